import pytest
import torch
from own_data import Noisy, Stream, StreamWithState
from torch.utils.data import DataLoader

from firstlight.data.streams import StreamLoader


def loader(stream, **arguments):
    return StreamLoader(DataLoader(stream, batch_size=8, **arguments), seed=1)


def epochs(stream_loader, numbers):
    found = []
    for number in numbers:
        stream_loader.set_epoch(number)
        found += [x for x, _ in stream_loader]
    return found


def same(one, other):
    return len(one) == len(other) and all(map(torch.equal, one, other))


@pytest.mark.parametrize("stream", [Stream, StreamWithState])
def test_stream_goes_on_from_any_batch_to_the_end_of_the_next_epoch(stream):
    whole = epochs(loader(stream()), [0, 1])
    assert len(whole) == 14
    for stop in range(1, 14):
        state = stopped(stream(), stop)
        resumed = loader(stream())
        resumed.load_state_dict(state)
        assert same(epochs(resumed, range(state["epoch"], 2)), whole[stop:]), stop


def stopped(stream, stop):
    """Return the position after some batches, with one fetched ahead as a Trainer does."""
    used, stream_loader = [0], StreamLoader(DataLoader(stream, 8), 1, position=lambda: used[-1])
    for epoch in (0, 1):
        stream_loader.set_epoch(epoch)
        used.append(0)
        supply = iter(stream_loader)
        ahead = next(supply)
        while ahead is not None:
            ahead = next(supply, None)
            used[-1] += 1
            if sum(used) == stop:
                return stream_loader.state_dict()
    raise AssertionError(stop)


def test_position_is_that_of_the_batches_that_were_used():
    fetched = iter(stream := StreamLoader(DataLoader(StreamWithState(), 8), 1, position=lambda: 2))
    batches = [next(fetched) for _ in range(3)]
    resumed = loader(StreamWithState())
    resumed.load_state_dict(stream.state_dict())
    assert torch.equal(next(iter(resumed))[0], batches[2][0])


def test_each_process_goes_on_from_its_own_state():
    supplies, states = [], []
    for start in (0, 3):
        (stream := StreamWithState()).next = start
        process = loader(stream)
        process.gather = lambda state: states.append(state) or states
        supplies.append(iter(process))
        next(supplies[-1])
        state = process.state_dict()
    for rank, supply in enumerate(supplies):
        resumed = loader(StreamWithState())
        resumed.rank = rank
        resumed.load_state_dict(state)
        assert torch.equal(next(iter(resumed))[0], next(supply)[0])


def test_stream_that_workers_read_is_read_again():
    whole = epochs(loader(Stream(), num_workers=1), [0])
    resumed = loader(StreamWithState(), num_workers=1)
    assert not resumed.has_state
    resumed = loader(Stream(), num_workers=1)
    resumed.load_state_dict({"epoch": 0, "batch": 3, "data": None})
    assert same(epochs(resumed, [0]), whole[3:])


def test_length_is_that_of_the_data_if_it_has_one():
    class Sized(Stream):
        def __len__(self):
            return len(Noisy(50, 0))

    assert len(loader(Sized())) == 7
    with pytest.raises(TypeError):
        len(loader(Stream()))
