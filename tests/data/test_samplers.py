import random

import pytest
import torch
from torch.utils.data import BatchSampler, DistributedSampler, RandomSampler, SequentialSampler, WeightedRandomSampler

from firstlight.data.samplers import SampledOrder, SharedOrder
from firstlight.errors import DataError


class Own:
    """A batch sampler of one's own, with its own random numbers or those of Python."""

    def __init__(self, draw):
        self.draw = draw

    def __len__(self):
        return 5

    def __iter__(self):
        return iter([[int(10 * self.draw())] for _ in range(5)])


def drawn(order, epoch=0, start=0):
    return [list(batch) for batch in order.batches(epoch, start)]


SAMPLERS = {
    "random": lambda: RandomSampler(range(11)),
    "random with a generator": lambda: RandomSampler(range(11), generator=torch.Generator()),
    "weighted": lambda: WeightedRandomSampler([1.0, 2.0, 3.0], 11),
}


def test_order_is_a_function_of_seed_and_epoch_whatever_drew_before():
    for name, make in SAMPLERS.items():
        orders = [SampledOrder(BatchSampler(make(), 3, drop_last=False), seed=seed) for seed in (1, 1, 2)]
        first = drawn(orders[0], 4)
        torch.rand(3)
        assert drawn(orders[1], 4) == first, name
        assert drawn(orders[1], 4, start=2) == first[2:], name
        assert drawn(orders[1], 5) != first, name
        assert drawn(orders[2], 4) != first, name


def test_processes_take_turns_and_as_many_steps():
    sampler = BatchSampler(SequentialSampler(range(10)), 2, drop_last=False)
    shares = [drawn(SampledOrder(sampler, rank=rank, world_size=2)) for rank in (0, 1)]
    assert shares == [[[0, 1], [4, 5], [8, 9]], [[2, 3], [6, 7], [0, 1]]]
    assert len(SampledOrder(sampler, rank=1, world_size=2)) == 3


@pytest.mark.parametrize("sizes", [[4, 4, 3], [4, 4, 1], [1, 5, 1], [1, 1, 1, 1, 1], [7], [3, 1]])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_in_evaluation_each_example_counts_once_and_processes_share_every_batch(sizes, world_size):
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    batches = [tuple(range(start, start + size)) for start, size in zip(starts, sizes, strict=True)]
    orders = [SharedOrder(batches, rank=rank, world_size=world_size) for rank in range(world_size)]
    shares = [drawn(order) for order in orders]
    assert sorted(index for share in shares for batch in share for index in batch) == [*range(sum(sizes))]
    assert all(batch for share in shares for batch in share)
    assert [len(order) for order in orders] == [len(share) for share in shares] == [len(shares[0])] * world_size
    assert drawn(orders[0], start=1) == shares[0][1:]


def test_fewer_examples_than_processes_cannot_be_shared():
    with pytest.raises(DataError, match="2 examples cannot be shared by 3 processes"):
        drawn(SharedOrder([[0], [1]], world_size=3))


def test_examples_that_are_shared_out_already_are_left_so():
    sampler = DistributedSampler(range(8), num_replicas=2, rank=1, shuffle=False)
    order = SampledOrder(BatchSampler(sampler, 2, drop_last=False), rank=1, world_size=2)
    assert drawn(order) == [[1, 3], [5, 7]]


def test_sampler_with_random_numbers_of_its_own_is_found_out():
    assert SampledOrder(Own(random.random)).is_repeatable()
    assert not SampledOrder(Own(random.Random(0).random)).is_repeatable()
