"""The warm-up is a straight line, and after it comes PyTorch's cosine."""

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from firstlight import WarmupCosineLR


def sgd():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)


def rates(schedule, steps):
    """Return the learning rates of the next steps."""
    found = []
    for _ in range(steps):
        found += schedule.get_last_lr()
        schedule.optimizer.step()
        schedule.step()
    return found


def test_learning_rate_rises_in_equal_steps_up_to_that_of_the_optimizer():
    assert rates(WarmupCosineLR(sgd(), total_steps=20, warmup=4), 5) == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])


def test_after_the_warm_up_it_falls_as_pytorch_s_cosine_does_and_stays_where_it_ends():
    schedule = WarmupCosineLR(sgd(), total_steps=20, warmup=4, end_factor=0.1)
    assert rates(schedule, 20)[4:] == pytest.approx(rates(CosineAnnealingLR(sgd(), 16, eta_min=0.2), 16))
    assert rates(schedule, 3) == pytest.approx([0.2] * 3)


@pytest.mark.parametrize(("warmup", "steps"), [(0.1, 2), (0.01, 0), (0, 0), (1, 1)])
def test_warm_up_below_one_is_a_share_of_all_steps(warmup, steps):
    assert WarmupCosineLR(sgd(), 20, warmup).warmup == steps


@pytest.mark.parametrize("warmup", [20, -1, 0.99])
def test_warm_up_must_leave_steps_for_the_cosine(warmup):
    with pytest.raises(ValueError, match=f"less than total_steps, 20; got {warmup}"):
        WarmupCosineLR(sgd(), 20, warmup)


def test_state_that_is_restored_goes_on_as_it_was():
    whole, half = (WarmupCosineLR(sgd(), 20, 4) for _ in range(2))
    rates(half, 9)
    resumed = WarmupCosineLR(sgd(), 20, 4)
    resumed.load_state_dict(half.state_dict())
    resumed.optimizer.load_state_dict(half.optimizer.state_dict())
    assert rates(resumed, 11) == rates(whole, 20)[9:]
