from types import SimpleNamespace

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback

from firstlight import Batches, FashionMNIST, Houses, InMemory, LinearRegression, PlantedNeuron, Sine


class Counted(InMemory):
    """Ten examples whose inputs are their numbers, in batches of three."""

    def __init__(self, repeats=1, batch_size=3):
        super().__init__(batch_size, repeats, seed=5)

    def setup(self, stage):
        x = torch.arange(10.0)[:, None]
        self.train = self.val = self.test = x, 10 * x


class Visits(Callback):
    """Write down which examples each training step saw."""

    def __init__(self):
        self.batches = []

    def on_train_batch_start(self, trainer, model, batch, batch_idx):
        self.batches.append(batch[0].flatten().tolist())


def visited(batches, epoch=0):
    """Return which examples each batch of an epoch has."""
    batches.set_epoch(epoch)
    return [x.flatten().tolist() for x, _ in batches]


def shuffled(**arguments):
    """Return batches in the order that is expected of the training data."""
    data = Counted()
    data.setup("fit")
    return Batches(data.train, 3, shuffle=True, seed=5, **arguments)


def test_trainer_visits_the_orders_of_its_epochs(quick_trainer):
    visits = Visits()
    quick_trainer(max_epochs=3, callbacks=[visits]).fit(LinearRegression(1), Counted())
    assert visits.batches == [batch for epoch in range(3) for batch in visited(shuffled(), epoch)]


def test_trainer_goes_on_with_the_batches_that_remain(quick_trainer, tmp_path):
    class Save(Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.save_checkpoint(tmp_path / f"{trainer.global_step}.ckpt")

    unbroken = Visits()
    quick_trainer(max_epochs=3, callbacks=[unbroken, Save()]).fit(LinearRegression(1), Counted(repeats=2))
    for step in (1, 7, 8, 9, 14):  # an epoch has 8
        resumed = Visits()
        trainer = quick_trainer(max_epochs=3, callbacks=[resumed])
        checkpoint = tmp_path / f"{step}.ckpt"
        trainer.fit(LinearRegression(1), Counted(repeats=2), ckpt_path=checkpoint, weights_only=True)
        assert resumed.batches == unbroken.batches[step:]


def test_trainer_overfits_the_same_batches_again_and_again(quick_trainer):
    visits = Visits()
    quick_trainer(max_epochs=3, overfit_batches=0.5, callbacks=[visits]).fit(LinearRegression(1), Counted())
    assert visits.batches == 3 * visited(shuffled())[:2] != 3 * [[0, 1, 2], [3, 4, 5]]


def test_only_training_is_shuffled_and_repeated():
    data = Counted(repeats=2)
    data.setup("fit")
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert visited(loader) == [list(range(10))]  # four batches' examples at a time
    assert visited(data.train_dataloader()) == visited(shuffled(repeats=2))


@pytest.mark.parametrize(("limit", "sizes"), [(1.0, [10]), (2, [3, 3]), (0.5, [3, 3])])
def test_limits_of_the_trainer_count_batches_as_large_as_in_training(limit, sizes, quick_trainer):
    seen = []

    class Look(Callback):
        def on_validation_batch_start(self, trainer, model, batch, *_):
            seen.append(len(batch[0]))

    trainer = quick_trainer(limit_val_batches=limit, callbacks=[Look()])
    trainer.validate(LinearRegression(1), Counted(), verbose=False)
    assert seen == sizes


def test_without_a_batch_size_a_split_is_one_batch():
    data = Counted(repeats=2, batch_size=None)
    data.setup("fit")
    assert visited(data.train_dataloader()) == [list(range(10))] * 2


class Elsewhere:
    """A Trainer whose model lies on another device than the data; torch's ``meta`` device stands for it."""

    global_rank, world_size, overfit_batches = 0, 1, 0
    limit_val_batches = limit_test_batches = limit_predict_batches = 1.0
    lightning_module = LinearRegression(1).to("meta")
    strategy = SimpleNamespace(root_device=torch.device("meta"))


def test_one_of_several_processes_can_have_all_examples():
    data = Counted()
    data.setup("fit")
    data.trainer = SimpleNamespace(**vars(Elsewhere) | {"world_size": 2, "lightning_module": LinearRegression(1)})
    shared, whole = (sum(len(y) for _, y in data.batches(data.train, shared=each)) for each in (True, False))
    assert shared < whole == len(data.train[1])


@pytest.mark.parametrize(("resident", "device"), [(True, "meta"), (False, "cpu"), ("auto", "cpu")])
def test_splits_are_held_where_the_model_is_if_that_is_asked_for(resident, device):
    data = Counted()
    data.device_resident, data.trainer = resident, Elsewhere()
    data.setup("fit")
    assert data.train_dataloader().split[0].device.type == device


@pytest.mark.parametrize(("free", "resident"), [(159, False), (160, True)])
def test_a_gpu_holds_a_split_that_takes_at_most_half_of_its_free_memory(free, resident, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 1000))
    assert Counted()._is_resident(80, torch.device("cuda")) is resident


@pytest.mark.parametrize("data_class", [Sine, PlantedNeuron, Houses, FashionMNIST])
def test_help_explains_every_argument_also_those_of_the_base_class(data_class):
    parser = ArgumentParser()
    parser.add_class_arguments(data_class, "data")
    texts = {action.dest: action.help for action in parser._actions if action.dest.startswith("data.")}
    assert "How many passes over the training" in texts["data.repeats"]
    assert {"data.seed", "data.fold", "data.num_folds"} < set(texts)
    assert all(texts.values())


def fingerprint(**splits):
    data = Counted()
    vars(data).update(splits)
    return data.fingerprint()


def test_fingerprint_tells_values_order_shapes_and_types_apart():
    x, y = torch.arange(6.0)[:, None], torch.arange(6)
    others = [
        (x + 1, y),
        (x, y.flip(0)),
        (x.flip(0), y.flip(0)),
        (x[:5], y[:5]),
        (x.view(3, 2), y),
        (x.bool(), y),
        (x.bfloat16(), y),
        (x.bfloat16().view(torch.int16), y),
    ]
    found = [fingerprint(train=split)["train"] for split in [(x, y), *others]]
    assert len(set(found)) == len(found)


def test_fingerprint_does_not_depend_on_how_tensors_lie_in_memory():
    x, y = torch.randn(6, 4), torch.arange(6)
    strided = torch.stack([x, -x], dim=-1)[..., 0], torch.stack([y, -y])[0]
    assert not strided[0].is_contiguous()
    assert fingerprint(train=(x, y)) == fingerprint(train=strided)
    assert fingerprint(train=(x.clone().requires_grad_(), y.clone())) == fingerprint(train=(x, y))


def test_fingerprint_is_of_the_splits_that_there_are():
    data = Sine(num_points=8)
    assert data.fingerprint() == {}
    data.setup("fit")
    assert {"train", "val"} <= data.fingerprint().keys()
    assert fingerprint(train=None, val=(torch.tensor(1), torch.ones(0))).keys() == {"train", "val"}
