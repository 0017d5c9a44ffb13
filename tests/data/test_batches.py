import pytest
import torch

from firstlight import Batches

# examples, batch size, processes: every batch size up to one over the number of examples
SHARED = [(n, size, world) for world in (2, 3) for n in range(world, 14) for size in range(world, n + 2)]


def counted(n):
    """Return examples whose input is their number, and whose target is ten times that."""
    x = torch.arange(float(n))[:, None]
    return x, 10 * x


def visited(batches, epoch=None):
    """Return which examples each batch of an epoch has."""
    if epoch is not None:
        batches.set_epoch(epoch)
    return [x.flatten().tolist() for x, _ in batches]


def take(batches, epoch, number):
    """Take some batches of an epoch, and as Lightning does, not ask whether there are more."""
    batches.set_epoch(epoch)
    supply = iter(batches)
    for _ in range(number):
        next(supply)


def flat(lists):
    return [number for numbers in lists for number in numbers]


def shuffled(n=10, size=3, **arguments):
    return Batches(counted(n), size, shuffle=True, **arguments)


def test_whole_split_as_a_batch_is_prepared_once_and_the_same_object_in_every_step():
    calls = []

    def double(batch):
        calls.append(batch)
        return 2 * batch[0], batch[1]

    first, second, third = Batches(counted(10), 10, repeats=3, prepare=double)
    assert first is second is third
    assert first[0].flatten().tolist() == list(range(0, 20, 2))
    assert len(calls) == 1


def test_batches_are_rows_of_the_split_in_its_order():
    expected = [[0, 1, 2], [3, 4, 5], [6]]
    batches = Batches(counted(7), 3)
    assert visited(batches) == expected
    assert len(batches) == 3
    for x, y in batches:
        assert torch.equal(y, 10 * x)


def test_shuffling_keeps_inputs_and_targets_together():
    for x, y in shuffled():
        assert torch.equal(y, 10 * x)


def test_each_epoch_is_another_permutation():
    orders = [flat(visited(shuffled(), epoch)) for epoch in range(20)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 20


def test_the_first_epoch_is_number_0_and_can_be_had_again():
    batches = shuffled()
    assert visited(batches) == visited(batches) == visited(shuffled(), epoch=0)
    resumed = shuffled()
    resumed.load_state_dict(batches.state_dict())
    assert visited(resumed) == visited(batches)


def test_each_seed_is_another_order():
    assert len({tuple(flat(visited(shuffled(seed=seed)))) for seed in range(20)}) == 20


def test_order_depends_on_nothing_but_seed_and_epoch():
    expected = visited(shuffled(seed=3), epoch=2)
    batches = shuffled(seed=3)
    torch.manual_seed(1)
    for epoch in (5, 0, 2):
        torch.rand(7)
        order = visited(batches, epoch)
    assert order == expected
    state = torch.get_rng_state()
    visited(batches)
    assert torch.equal(torch.get_rng_state(), state)  # nor does it draw from the numbers of others


def test_every_example_is_equally_likely_to_come_first():
    first = [visited(shuffled(), epoch)[0][0] for epoch in range(1000)]
    assert min(first.count(example) for example in range(10)) > 60  # four standard deviations from 100


def test_several_passes_make_an_epoch():
    batches, single = shuffled(repeats=3), shuffled()
    assert len(batches) == 3 * len(single) == 12
    assert visited(batches, epoch=1) == visited(single, 3) + visited(single, 4) + visited(single, 5)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_of_the_whole_split_is_the_very_tensors(shuffle):
    x, y = counted(4)
    seen = list(Batches((x, y), 4, shuffle=shuffle, repeats=2))
    assert len(seen) == 2
    assert all(batch[0] is x and batch[1] is y for batch in seen)


@pytest.mark.parametrize(("repeats", "given"), [(1, 0), (1, 1), (1, 3), (1, 4), (2, 1), (2, 4), (2, 6), (2, 8)])
def test_an_epoch_goes_on_where_it_was_left(given, repeats):
    interrupted, whole = shuffled(repeats=repeats), visited(shuffled(repeats=repeats), epoch=4)
    take(interrupted, 4, given)
    resumed = shuffled(repeats=repeats)
    resumed.load_state_dict(interrupted.state_dict())
    assert visited(resumed, 4) == whole[given:]
    assert visited(resumed, 4) == whole  # once is enough
    assert visited(resumed, 5) == visited(shuffled(repeats=repeats), 5)


def test_a_position_counts_in_its_own_epoch_only():
    batches = shuffled()
    batches.load_state_dict({"epoch": 1, "batch": 2})
    assert visited(batches, 2) == visited(shuffled(), 2)


def test_after_a_whole_epoch_the_next_is_whole():
    batches = shuffled()
    take(batches, epoch=0, number=4)
    state = batches.state_dict()
    for epoch, expected in ((0, []), (1, visited(shuffled(), 1))):
        resumed = shuffled()
        resumed.load_state_dict(state)
        assert visited(resumed, epoch) == expected


def test_a_position_before_the_first_batch_of_an_epoch_gives_all_of_it():
    batches, resumed = shuffled(), shuffled()
    take(batches, epoch=0, number=4)
    batches.set_epoch(1)
    resumed.load_state_dict(batches.state_dict())
    assert visited(resumed, 1) == visited(shuffled(), 1)


def test_a_position_just_restored_is_still_the_position():
    batches = shuffled()
    batches.load_state_dict({"epoch": 1, "batch": 2})
    batches.set_epoch(1)
    assert batches.state_dict() == {"epoch": 1, "batch": 2}


@pytest.mark.parametrize("shuffle", [False, True])
def test_processes_share_every_batch_of_one_process(shuffle):
    for n, size, world in SHARED:
        split = counted(n)
        whole = visited(Batches(split, size, shuffle=shuffle, seed=n))
        if len(whole) > 1 and len(whole[-1]) < world:  # too few for all: they join the batch before
            whole[-2:] = [whole[-2] + whole[-1]]
        loaders = [Batches(split, size, shuffle=shuffle, seed=n, rank=r, world_size=world) for r in range(world)]
        shares = [visited(loader) for loader in loaders]
        assert {len(share) for share in shares} == {len(loader) for loader in loaders} == {len(whole)}
        for batch, *parts in zip(whole, *shares, strict=True):
            assert sorted(flat(parts)) == sorted(batch)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
            assert min(map(len, parts)) >= 1


def test_indices_tell_which_rows_a_share_has():
    for n, size, world in [(7, 3, 1), (7, 7, 1), *SHARED]:
        for rank in range(world):
            batches = Batches(counted(n), size, rank=rank, world_size=world)
            assert [batches.order.indices(number).tolist() for number in range(len(batches))] == visited(batches)


def test_fewer_examples_than_processes_cannot_be_shared():
    with pytest.raises(ValueError, match="2 examples cannot be shared by 3 processes"):
        Batches(counted(2), 2, world_size=3)


def test_a_batch_of_fewer_examples_than_processes_cannot_be_shared():
    with pytest.raises(ValueError, match=r"2.*3 processes"):
        Batches(counted(9), 2, world_size=3)
