import pytest
import torch

from firstlight.data.order import Order, ResumableLoader


def shown(order, epoch=0, start=0):
    """Return the examples of each batch of an epoch, as lists."""
    everything = torch.arange(order.num_examples)
    return [(everything if rows is None else rows).tolist() for rows in order.batches(epoch, start)]


@pytest.mark.parametrize(("examples", "sizes"), [(10, [4, 4]), (8, [4, 4]), (3, [3])])
def test_smaller_last_batch_is_left_out_if_asked_for_unless_it_is_the_only_one(examples, sizes):
    order = Order(examples, 4, shuffle=True, drop_last=True)
    assert [len(batch) for batch in shown(order)] == sizes
    assert len(order) == len(sizes)


def test_order_of_an_epoch_is_a_function_of_seed_and_epoch():
    order, other = Order(9, 2, shuffle=True, seed=3), Order(9, 2, shuffle=True, seed=4)
    assert shown(order, epoch=5) == shown(Order(9, 2, shuffle=True, seed=3), epoch=5)
    assert len({str(shown(each, epoch)) for each in (order, other) for epoch in range(3)}) == 6


def test_fixed_order_is_that_of_the_first_pass():
    fixed, order = Order(9, 2, shuffle=True, is_fixed=True, repeats=2), Order(9, 2, shuffle=True)
    assert shown(fixed, epoch=5) == 2 * shown(order) != 2 * shown(order, epoch=5)


def test_passes_of_an_epoch_differ_and_go_on_in_the_middle():
    order = Order(6, 3, shuffle=True, repeats=3)
    everything = shown(order)
    assert len({str(everything[at : at + 2]) for at in (0, 2, 4)}) == 3
    for start in range(7):
        assert shown(order, start=start) == everything[start:]


class Counting(ResumableLoader):
    def batches(self, start):
        return iter(range(start, 4))


def test_position_holds_for_its_own_epoch_and_once():
    loader = Counting()
    loader.set_epoch(2)
    supply = iter(loader)
    assert [next(supply), next(supply)] == [0, 1]
    state = loader.state_dict()
    assert state == {"epoch": 2, "batch": 2}
    for epoch, left in ((2, [2, 3]), (3, [0, 1, 2, 3])):
        other = Counting()
        other.load_state_dict(state)
        other.set_epoch(epoch)
        assert list(other) == left
        assert list(other) == [0, 1, 2, 3]
