import itertools
import json
from pathlib import Path

import own_data
import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from firstlight import MLP
from firstlight.data.loaders import Loader
from firstlight.data.streams import StreamLoader
from firstlight.engine.callbacks import ResumableLoaders
from firstlight.errors import DataError


class Restless(RandomSampler):
    """A sampler that counts how often it was asked."""

    times = 0

    def __iter__(self):
        self.times += 1
        return iter([self.times % 50] * 8)


class Endless:
    """A sampler without a length or an end."""

    def __iter__(self):
        while True:
            yield [1, 2]


class EndlessAfterAll(Endless):
    """One that says a length."""

    def __len__(self):
        return 3


class OwnRandom(own_data.Rows):
    """Examples with noise of a generator that it keeps."""

    def __init__(self):
        super().__init__(50, 0)
        self.random = torch.Generator()

    def __getitem__(self, index):
        return self.x[index] + torch.rand(4, generator=self.random), self.y[index]


class Kept(own_data.Rows):
    """Examples that are changed at random and kept as they are then."""

    def __init__(self):
        super().__init__(50, 0)
        self.kept = {}

    def __getitem__(self, index):
        if index not in self.kept:
            self.kept[index] = self.x[index] + torch.rand(4), self.y[index]
        return self.kept[index]


class Better(DataLoader):
    """Somebody else's loader."""


class WithState(Better):
    """One with a state."""

    def state_dict(self):
        return {}


class Stateful(WithState):
    """Named as the loader of torchdata."""

    __module__ = "torchdata.stateful_dataloader.stateful_dataloader"

    def __init__(self, dataset, batch_size=1, **arguments):
        super().__init__(dataset, batch_size, **arguments)


class RowsWithState(own_data.Rows):
    def state_dict(self):
        return {}


class Other(own_data.Plain):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def train_dataloader(self):
        return self.make()


ROWS = own_data.Rows(50, 0)
REASONS = {
    "Stream has no state_dict, so it is read again": lambda: DataLoader(own_data.Stream(), 8),
    "StreamWithState is read by workers, so it is read again up to where the run was, by as many workers": lambda: (
        DataLoader(own_data.StreamWithState(), 8, num_workers=1)
    ),
    "Stream has no state_dict, so it is read again up to where the run was, by as many workers, but": lambda: (
        DataLoader(own_data.Stream(), 8, num_workers=1, persistent_workers=True)
    ),
    "BatchSampler and Restless of Rows draws from random numbers of its own": lambda: DataLoader(
        ROWS, batch_sampler=BatchSampler(Restless(ROWS), 8, drop_last=False)
    ),
    "Rows has a sampler without a length, so it is read again": lambda: DataLoader(ROWS, batch_sampler=Endless()),
    "OwnRandom has random numbers of its own, or another state": lambda: DataLoader(OwnRandom(), 8),
    "Kept keeps examples as they were changed at random; cache them before": lambda: DataLoader(Kept(), 8),
    "Kept keeps examples": lambda: DataLoader(Kept(), 8, shuffle=True, num_workers=1),
    "the loader of Rows makes no batches": lambda: DataLoader(ROWS, batch_size=None),
    "Better is not a plain DataLoader, and has no state_dict": lambda: Better(ROWS, 8),
    "WithState is not a plain DataLoader, and goes on from its own state alone": lambda: WithState(ROWS, 8),
    "Stateful is not a plain DataLoader, and goes on from": lambda: Stateful(RowsWithState(50, 0), 8),
    "list_iterator is not a plain DataLoader": lambda: iter([]),
}


def made(make, trainer):
    callback, data = ResumableLoaders(0), Other(make)
    trainer.datamodule = data
    callback.setup(trainer, MLP(), "fit")
    loaders = data.train_dataloader()
    callback.teardown(trainer, MLP(), "fit")
    assert "train_dataloader" not in vars(data)
    return callback, loaders


@pytest.mark.parametrize("reason", REASONS)
def test_what_stands_in_the_way_of_the_same_bits_is_said(reason, quick_trainer, capsys):
    trainer = quick_trainer()
    callback, _ = made(REASONS[reason], trainer)
    callback.on_train_start(trainer, MLP())
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"a resume may not end in the same bits: {reason}")


@pytest.mark.parametrize(
    ("data", "reasons"),
    [("Plain", []), ("Streamed", ["Stream has no state_dict, so it is read again up to where the run was"])],
)
def test_receipt_says_whether_a_resume_ends_in_the_same_bits(data, reasons, did, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "own_data")
    model = ("--model=MLP", "--model.num_features=4", "--model.hidden_dims=[8]", "--model.num_classes=2")
    did("fit", *model, f"--data={data}", "--trainer.max_epochs=1", "--name=own")
    assert json.loads(Path("lightning_logs/own/version_0/run.json").read_text())["inexact_resume"] == reasons


@pytest.mark.parametrize("data", ["Plain", "Weighted", "States", "Drawn"])
def test_nothing_is_said_of_loaders_that_resume_to_the_same_bits(data, quick_trainer):
    source = getattr(own_data, data)()
    source.setup("fit")
    callback, _ = made(source.train_dataloader, quick_trainer())
    assert callback.reasons == []


def test_loader_of_torchdata_is_taken_as_that_of_torch(quick_trainer):
    callback, loader = made(lambda: Stateful(own_data.Noisy(50, 0), 8, shuffle=True), quick_trainer())
    _, plain = made(lambda: DataLoader(own_data.Noisy(50, 0), 8, shuffle=True), quick_trainer())
    assert callback.reasons == []
    assert all(torch.equal(batch[0], other[0]) for batch, other in zip(loader, plain, strict=True))
    _, stream = made(lambda: Stateful(own_data.StreamWithState(), 8), quick_trainer())
    assert isinstance(stream, StreamLoader)

    class Foreign(own_data.Plain):
        def predict_dataloader(self):
            return Stateful(own_data.Rows(20, 1), 8)

        val_dataloader = predict_dataloader

    model = MLP(num_features=4, hidden_dims=[4], num_classes=2)
    trainer = quick_trainer(callbacks=[ResumableLoaders(0)])
    trainer.validate(model, Foreign())
    assert len(trainer.predict(model, Foreign())) == 3


def test_training_loader_without_a_batch_is_refused(quick_trainer):
    with pytest.raises(DataError, match="the training loader of Rows has no batch"):
        made(lambda: DataLoader(ROWS, 64, drop_last=True), quick_trainer())


class Collecting(MLP):
    """A model that collects the losses of an epoch, as Lightning's guide shows it, and counts its steps."""

    def __init__(self):
        super().__init__(num_features=4, hidden_dims=[4], num_classes=2)
        self.losses, self.unused, self.validated, self.count, self.size = [], [], [], 0, 3

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.losses.append(loss.detach())
        self.count += 1
        self.size = len(batch[0])  # set once, to the same in each run
        return loss

    def on_validation_epoch_start(self):
        self.validated.clear()

    def validation_step(self, batch, batch_idx):
        self.validated.append(super().validation_step(batch, batch_idx))


class Keeping(Collecting):
    def on_save_checkpoint(self, checkpoint):
        checkpoint["losses"] = list(self.losses)


class Extra(Collecting):
    def get_extra_state(self):
        return {"count": self.count}

    def set_extra_state(self, state):
        self.count = state["count"]


def test_attributes_that_training_changes_are_named_once_unless_they_are_kept(quick_trainer, capsys):
    for model in (Collecting(), Keeping(), Extra()):
        callback = ResumableLoaders(0)
        quick_trainer(max_epochs=2, val_check_interval=1, callbacks=[callback]).fit(model, own_data.Plain())
        said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("a resume may not")]
        names = ["count", "losses"] if type(model) is Collecting else []
        assert [reason.split()[0] for reason in callback.reasons] == [f"Collecting.{name}" for name in names]
        assert len(said) == len(names)


def test_sampler_without_an_end_gives_what_is_asked_for(quick_trainer):
    _, loader = made(lambda: DataLoader(ROWS, batch_sampler=Endless()), quick_trainer())
    assert len(list(itertools.islice(loader, 7))) == 7
    _, loader = made(lambda: DataLoader(ROWS, batch_sampler=EndlessAfterAll()), quick_trainer())
    assert len(list(loader)) == 3


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_validation_draws_the_same_in_each_run_and_epoch_with_any_number_of_workers(workers, quick_trainer):
    class Validated(own_data.Plain):
        def val_dataloader(self):
            return DataLoader(own_data.Noisy(10, 0), 4, num_workers=workers)

    trainer = quick_trainer()
    callback, trainer.datamodule = ResumableLoaders(0), Validated()
    callback.setup(trainer, MLP(), "fit")
    (expected, *_), (found, *_) = ([x for x, _ in trainer.datamodule.val_dataloader()] for _ in range(2))
    assert torch.equal(found, expected)
    loader = trainer.datamodule.val_dataloader()
    loader.set_epoch(1)
    assert torch.equal(next(iter(loader))[0], expected)


def test_validate_scores_a_randomly_changed_set_as_fit_did(did, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "own_data")
    model = ("--model=MLP", "--model.num_features=4", "--model.hidden_dims=[8]", "--model.num_classes=2")
    did("fit", *model, "--data=Shaken", "--trainer.max_epochs=2", "--name=own")
    run = Path("lightning_logs/own/version_0")
    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    did("validate", "--run=own")
    found = json.loads((run / "validate.json").read_text())
    for name in ("loss/val", "accuracy/val"):
        assert found[name] == best["scores"][name].item()


def test_samplers_are_left_to_share_examples_out_where_the_trainer_is_told_so(quick_trainer):
    callback, trainer = ResumableLoaders(0, use_distributed_sampler=False), quick_trainer()
    trainer.datamodule, trainer.strategy.world_size = own_data.Shaken(), 2
    callback.setup(trainer, MLP(), "fit")
    for loader in (trainer.datamodule.train_dataloader(), trainer.datamodule.val_dataloader()):
        assert loader.order.world_size == 1


def test_loaders_in_a_collection_are_all_made_resumable(quick_trainer):
    _, loaders = made(own_data.Weighted().train_dataloader, quick_trainer())
    assert {name: type(loader) for name, loader in loaders.items()} == {"first": Loader, "second": Loader}
    combined = CombinedLoader(own_data.Weighted().train_dataloader(), "max_size")
    callback, loaders = made(lambda: combined, quick_trainer())
    assert [*map(type, loaders.iterables.values())] == [*map(type, loaders.flattened)] == [Loader, Loader]
    assert (loaders, callback.reasons) == (combined, [])


class Whole(LightningModule):
    """A model with a loader of its own, which keeps the batches that it was given."""

    def __init__(self, **draws):
        super().__init__()
        self.w, self.draws, self.seen = torch.nn.Parameter(torch.zeros(1)), draws, []

    def training_step(self, batch):
        self.seen.append(batch.tolist())
        return self.w.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return DataLoader(range(200), 8, **self.draws)


def test_loaders_of_a_model_of_ones_own_are_made_resumable_too(quick_trainer):
    trainer = quick_trainer(max_epochs=1, callbacks=ResumableLoaders(0))
    trainer.fit(Whole())
    assert isinstance(trainer.train_dataloader, Loader)


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_to_overfit_are_the_same_in_each_epoch_and_random_if_the_loader_shuffles(shuffle, quick_trainer):
    model = Whole(shuffle=shuffle)
    quick_trainer(max_epochs=2, overfit_batches=2, callbacks=ResumableLoaders(0)).fit(model)
    first, again = model.seen[:2], model.seen[2:]
    assert first == again
    assert (first == [[*range(8)], [*range(8, 16)]]) != shuffle
