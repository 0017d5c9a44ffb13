"""No batch is stale, doubled, dropped or out of order after a stop, and a spoiled optimizer state trains nothing."""

import pytest
import torch
from harness import firstlight, the_run, tiny
from own_data import Drawn, Plain, Points

from firstlight import Sine
from firstlight.data.loaders import Loader
from firstlight.data.samplers import SampledOrder
from firstlight.engine.runs.checkpoint_files import load_checkpoint, save_checkpoint

ADAM = [*tiny("autograd_cubic"), "--optimizer=Adam", "--optimizer.lr=0.01", "--checkpoint.every_n_steps=3"]


def in_memory():
    data = Sine(50, batch_size=8, repeats=2)
    data.setup("fit")
    return data.train_dataloader()


def data_set(kind):
    data = kind()
    data.setup("fit")
    return data.train_dataloader()


def plain():
    loader = Plain().train_dataloader()
    return Loader(loader, SampledOrder(loader.batch_sampler, 0, 0, 1), 0)


def numbers(batches):
    return [torch.cat([part.flatten().double() for part in batch]).tolist() for batch in batches]


LOADERS = {
    "tensors": in_memory,
    "data set": lambda: data_set(Points),
    "augmented": lambda: data_set(Drawn),
    "plain": plain,
}


@pytest.mark.parametrize("kind", LOADERS)
def test_batches_before_and_after_a_stop_are_those_of_an_unbroken_epoch(kind):
    make = LOADERS[kind]
    loader = make()
    loader.set_epoch(1)
    unbroken = numbers(loader)
    assert len({tuple(batch) for batch in unbroken}) == len(unbroken)  # so that a doubled one would show
    for stop in range(len(unbroken)):
        before, after = make(), make()
        before.set_epoch(1)
        batches = iter(before)
        taken = numbers(next(batches) for _ in range(stop))
        state = before.state_dict()
        assert state == {"epoch": 1, "batch": stop}
        after.load_state_dict(state)
        assert taken + numbers(after) == unbroken
        after.set_epoch(2)
        assert len(numbers(after)) == len(unbroken)  # the next epoch is whole


def flip(checkpoint, path):
    whole = bytearray(path.read_bytes())
    values = checkpoint["optimizer_states"][0]["state"][0]["exp_avg"].numpy().tobytes()
    whole[whole.index(values) + 3] ^= 1
    path.write_bytes(whole)


def spoil(checkpoint, path, value):
    state = checkpoint["optimizer_states"][0]["state"][0]
    state["exp_avg"] = value(state["exp_avg"])
    save_checkpoint(checkpoint, path)


def leave_out(checkpoint, path):
    save_checkpoint(checkpoint | {"optimizer_states": []}, path)


SPOILED = {
    "flipped": (flip, "is damaged: the checksum of"),
    "nan": (lambda *file: spoil(*file, lambda values: values * torch.nan), "coefficients is NaN or infinite"),
    "shape": (lambda *file: spoil(*file, lambda values: values.repeat(2)), "The size of tensor a (8) must match"),
    "type": (lambda *file: spoil(*file, lambda _: "text"), "error: optimizer torch.optim.Adam"),
    "missing": (leave_out, "error: the checkpoint holds the states of 0 optimizers, but the model has 1"),
}


@pytest.mark.parametrize(
    "kind", [kind if kind in ("flipped", "shape") else pytest.param(kind, marks=pytest.mark.slow) for kind in SPOILED]
)
def test_spoiled_optimizer_state_ends_a_resume_in_a_line(kind, tmp_path):
    assert firstlight(tmp_path, *ADAM).status == 0
    last = the_run(tmp_path) / "checkpoints/last.ckpt"
    spoil_it, message = SPOILED[kind]
    spoil_it(load_checkpoint(last), last)
    ended = firstlight(tmp_path, "fit", "--resume", "--trainer.max_epochs=4")
    assert ended.status in (1, 2)
    assert "Traceback" not in ended.text
    assert message in ended.text
