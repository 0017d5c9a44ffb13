from typing import Any

import torch

from my_research.data import TwoMoons


def points(**arguments: Any) -> TwoMoons:
    data = TwoMoons(**arguments)
    data.setup("fit")
    return data


def test_points_without_noise_lie_on_two_half_circles() -> None:
    x, y = points(num_points=100, noise=0).train[:]
    upper, lower = x[y == 0], x[y == 1] - torch.tensor([1, 0.5])
    assert len(upper) == len(lower) == 50
    torch.testing.assert_close(torch.cat([upper, lower]).norm(dim=1), torch.ones(100))
    assert upper[:, 1].min() >= 0
    assert lower[:, 1].max() <= 0


def test_noise_has_the_standard_deviation_it_is_given() -> None:
    clean, noisy = points(num_points=10_000, noise=0), points(num_points=10_000, noise=0.1)
    noise = noisy.train[:][0] - clean.train[:][0]
    torch.testing.assert_close(noise.std(), torch.tensor(0.1), rtol=0.02, atol=0)


def test_splits_differ_and_are_the_same_for_the_same_seed() -> None:
    first, again, other = points(seed=1), points(seed=1), points(seed=2)
    assert torch.equal(first.test[:][0], again.test[:][0])
    for split in (first.train, first.val, other.test):
        assert not torch.equal(first.test[:][0], split[:][0])
