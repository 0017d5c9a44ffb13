import random
from functools import cache

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, default_collate

from firstlight.data.seeded import Rows, Seeded, StateCheck
from firstlight.errors import DataError


class Example(Dataset):
    """Examples that are made by a function of their number; each time one is made is counted."""

    def __init__(self, make):
        self.make, self.count = make, 0

    def __getitem__(self, index):
        self.count += 1
        return self.make(index)


DRAWING = {
    "torch": lambda _: torch.rand(()),
    "numpy": lambda _: np.random.random(),
    "python": lambda _: random.random(),
    "some examples only": lambda index: torch.rand(()) if index == 6 else torch.tensor(float(index)),
}


def batch(make, indices, epoch=0, collate=default_collate, seed=0):
    return Seeded(Example(make), collate, seed).__getitems__(Rows(epoch, indices))


def test_what_an_example_draws_depends_on_seed_epoch_and_its_number_alone():
    for name, make in DRAWING.items():
        first = batch(make, [3, 6, 1])
        assert torch.equal(first[1:2], batch(make, [6])), name
        assert torch.equal(first.flip(0), batch(make, [1, 6, 3])), name
        assert len({float(batch(make, [6], epoch, seed=seed)) for epoch in range(3) for seed in range(3)}) == 9, name
        seeded = Seeded(Example(make), default_collate, 0)
        again = [seeded.__getitems__(Rows(0, [index])) for index in (1, 6, 3)]
        assert torch.equal(torch.cat(again).flip(0), first), name


def test_what_collate_draws_is_the_same_again():
    def noisy(examples):
        return default_collate(examples) + torch.rand(())

    assert torch.equal(batch(float, [3, 1], collate=noisy), batch(float, [3, 1], collate=noisy))
    assert not torch.equal(batch(float, [3, 1], collate=noisy), batch(float, [3, 1], epoch=1, collate=noisy))


def test_examples_that_draw_nothing_are_fetched_once():
    examples = Example(float)
    seeded = Seeded(examples, default_collate, 0)
    for _ in range(3):
        seeded.__getitems__(Rows(0, [1, 2]))
    assert examples.count == 6


def test_global_generators_go_on_where_they_were():
    def draw():
        return torch.rand(3).tolist(), np.random.random(3).tolist(), random.random()

    def seed():
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)

    seed()
    expected = draw(), draw()
    seed()
    found = [draw()]
    for make in DRAWING.values():
        batch(make, [3, 6, 1])
    assert (*found, draw()) == expected


def test_data_set_that_fetches_whole_batches_is_asked_for_whole_batches():
    class Whole(Example):
        def __getitems__(self, indices):
            return [10 * index for index in indices]

    assert Seeded(Whole(float), default_collate, 0).__getitems__(Rows(0, [1, 2])).tolist() == [10, 20]


def test_error_in_the_data_is_handed_on():
    def fail(index):
        raise DataError(f"row {index} is bad")

    error = batch(fail, [7])
    assert isinstance(error, DataError)
    assert str(error) == "row 7 is bad"


def own_generator(index):
    return torch.rand((), generator=torch.Generator().manual_seed(index))


def seeded_by_itself(index):
    torch.manual_seed(index)
    return torch.rand(())


def kept_state(make):
    examples = Example(make)
    return StateCheck(Seeded(examples, default_collate, 0))[list(range(8))], examples.count


@pytest.mark.parametrize("name", ["torch", "numpy", "python"])
def test_examples_kept_as_they_were_changed_at_random_are_noticed(name):
    said, _ = kept_state(cache(DRAWING[name]))
    assert said.startswith("keeps examples as they were changed at random")


def test_nothing_is_said_of_other_data_sets_and_few_examples_are_fetched():
    prepared = cache(lambda: torch.rand(8))  # drawn once, for all examples
    makes = [*DRAWING.values(), float, own_generator, seeded_by_itself, lambda index: prepared()[index]]
    for make in [*makes, *(cache(make) for make in makes[3:]), lambda index: cache(float)(index) + torch.rand(())]:
        said, count = kept_state(make)
        assert said == ""
        assert count <= 5
