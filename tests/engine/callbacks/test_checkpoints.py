from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from firstlight import MLP, AutogradCubic, FashionMNIST, Sine
from firstlight.engine import callbacks
from firstlight.engine.callbacks import Checkpoints
from firstlight.engine.runs.checkpoint_files import load_checkpoint
from firstlight.errors import NotFiniteError, UsageError


@pytest.fixture
def fit(quick_trainer, monkeypatch):
    """Return a function that trains a cubic, three epochs of four steps, and returns its trainer."""

    def run(checkpoints, lr=1e-6, **arguments):
        trainer = quick_trainer(**{"max_epochs": 3, "enable_checkpointing": True} | arguments, callbacks=[checkpoints])
        trainer.saved = []
        for place, name in ((trainer, "save_checkpoint"), (callbacks.checkpoints, "write_atomically")):
            write = getattr(place, name)

            def noted(path, *content, write=write):
                trainer.saved.append((path.name, trainer.global_step))
                write(path, *content)

            monkeypatch.setattr(place, name, noted)
        trainer.fit(AutogradCubic(lr), Sine(num_points=30, repeats=4))
        return trainer

    return run


def test_best_is_the_best_epoch_and_last_is_the_last_step(fit):
    checkpoints = Checkpoints(folder="here")
    fit(checkpoints, lr=3e-4)  # too long a step: each epoch is worse than the one before
    assert load_checkpoint("here/best.ckpt")["global_step"] == 4
    assert load_checkpoint("here/last.ckpt")["global_step"] == 12
    assert (checkpoints.best, checkpoints.last) == (Path("here/best.ckpt"), Path("here/last.ckpt"))
    assert checkpoints.best_epoch == 0


def test_best_is_the_largest_score_in_mode_max(fit):
    fit(Checkpoints(folder="here", mode="max"), lr=3e-4)
    assert load_checkpoint("here/best.ckpt")["global_step"] == 12


def test_model_chooses_the_monitored_score(quick_trainer, fashion_root):
    checkpoints = Checkpoints(folder="here")
    trainer = quick_trainer(max_epochs=1, enable_checkpointing=True, callbacks=[checkpoints])
    trainer.fit(MLP(hidden_dims=[4]), FashionMNIST(str(fashion_root), batch_size=20))
    assert (checkpoints.monitor, checkpoints.mode) == ("accuracy/val", "max")
    assert checkpoints.best_score == trainer.callback_metrics["accuracy/val"]


@pytest.mark.parametrize(
    ("every", "accumulate", "steps"),
    [
        (None, 1, [0, 4, 8, 12]),
        (3, 1, [0, 3, 4, 6, 8, 9, 12]),
        (4, 1, [0, 4, 8, 12]),
        (None, 2, [0, 2, 4, 6]),
        (3, 2, [0, 2, 3, 4, 6]),
        (1, 4, [0, 1, 2, 3]),
    ],
)
def test_last_is_written_at_the_start_every_n_steps_and_at_each_end(every, accumulate, steps, fit):
    trainer = fit(Checkpoints(every_n_steps=every, folder="here"), accumulate_grad_batches=accumulate)
    assert [step for name, step in trainer.saved if name == "last.ckpt"] == steps


def test_last_is_written_after_the_validation_that_follows_a_step(fit):
    trainer = fit(Checkpoints(every_n_steps=1, folder="here"), max_epochs=1, val_check_interval=2, lr=3e-4)
    expected = "last 0, last 1, best 2, last 2, last 3, last 4"
    assert ", ".join(f"{name.removesuffix('.ckpt')} {step}" for name, step in trainer.saved) == expected


def test_files_go_into_the_folder_of_the_logger(fit):
    trainer = fit(Checkpoints(), logger=True, log_every_n_steps=1)
    assert sorted(path.name for path in Path(trainer.log_dir, "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_checkpoint_remembers_the_best_score(fit):
    fit(Checkpoints(folder="here"), lr=3e-4)
    fresh = Checkpoints(folder="here")
    fresh.load_state_dict(load_checkpoint("here/last.ckpt")["callbacks"]["Checkpoints"])
    assert fresh.best_epoch == 0
    assert fresh.best_score == load_checkpoint("here/best.ckpt")["callbacks"]["Checkpoints"]["best_score"]


def test_fast_dev_run_saves_nothing(fit):
    assert not fit(Checkpoints(folder="here"), fast_dev_run=True).saved


def test_score_that_the_model_does_not_log_is_refused(fit):
    with pytest.raises(UsageError, match=r"checkpoint\.monitor is 'acc', but the model logs loss/val"):
        fit(Checkpoints(monitor="acc", folder="here"))


class Plain(LightningModule):
    """A model of plain Lightning, which logs its validation scores under names of its own."""

    names = ("val_loss", "val_acc")
    trained_name = "train_loss"

    def __init__(self):
        super().__init__()
        self.cubic = AutogradCubic(1e-6)

    def training_step(self, batch, batch_idx):
        loss = self.cubic.loss(self.cubic(batch[0]), batch[1])
        self.log(self.trained_name, loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        for number, name in enumerate(self.names):
            self.log(name, number + float(self.current_epoch == 1))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-6)


@pytest.fixture
def plain(quick_trainer):
    """Return a function that trains a plain model."""

    def run(checkpoints, names, trained_name="train_loss", **arguments):
        model = Plain()
        model.names, model.trained_name = names, trained_name
        trainer = quick_trainer(max_epochs=2, enable_checkpointing=True, callbacks=[checkpoints], **arguments)
        trainer.fit(model, Sine(num_points=30, repeats=4))

    return run


@pytest.mark.parametrize("sanity", [0, 2])
def test_only_validation_loss_of_a_plain_model_chooses_the_best(sanity, plain):
    checkpoints = Checkpoints(folder="here")
    plain(checkpoints, ("val_loss", "val_acc"), num_sanity_val_steps=sanity)
    assert (checkpoints.monitor, checkpoints.best_score, checkpoints.best_epoch) == ("val_loss", 0.0, 0)


def test_loss_of_validation_may_have_the_name_of_that_of_training(plain):
    checkpoints = Checkpoints(folder="here")
    plain(checkpoints, ("loss",), "loss")
    assert (checkpoints.monitor, checkpoints.best_score) == ("loss", 0.0)


@pytest.mark.parametrize(
    ("names", "trained_name"), [((), "train_loss"), (("val_acc", "val_f1"), "train_loss"), (("val_mae",), "loss")]
)
def test_model_without_a_score_that_could_be_meant_keeps_no_best(names, trained_name, plain, capsys):
    plain(Checkpoints(folder="here"), names, trained_name)
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith("no best.ckpt is kept, as the model logs ")
    assert [path.name for path in Path("here").iterdir()] == ["last.ckpt"]


def test_validation_score_that_is_not_logged_is_refused_before_training(plain):
    with pytest.raises(UsageError, match=r"checkpoint\.monitor is 'val_los', but the model logs val_loss$"):
        plain(Checkpoints(folder="here", monitor="val_los"), ("val_loss",))


def test_best_of_another_score_is_not_the_best_of_this_one():
    checkpoints = Checkpoints(folder="here", monitor="val_acc")
    Path("here").mkdir()
    checkpoints.best.touch()
    checkpoints.load_state_dict({"monitor": "val_loss", "best_score": 0.1, "best_epoch": 3})
    assert checkpoints.best_score is None


def test_weights_that_are_nan_are_never_saved(quick_trainer):
    checkpoints = Checkpoints(folder="here")
    trainer = quick_trainer(max_epochs=1, enable_checkpointing=True, callbacks=[checkpoints], num_sanity_val_steps=0)
    model = AutogradCubic()
    model.coefficients.data[2] = torch.nan
    with pytest.raises(NotFiniteError, match="coefficients is NaN or infinite after step 0"):
        trainer.fit(model, Sine(num_points=30))
    assert not list(Path().rglob("*.ckpt"))


class Improving(AutogradCubic):
    """A model whose first validation score is NaN, the second 2 and the third 3."""

    def on_validation_epoch_end(self):
        self.log("loss/val", [float("nan"), 2.0, 3.0][self.current_epoch])


def test_score_that_is_nan_is_never_the_best(quick_trainer):
    checkpoints = Checkpoints(folder="here")
    trainer = quick_trainer(max_epochs=3, enable_checkpointing=True, callbacks=[checkpoints], num_sanity_val_steps=0)
    trainer.fit(Improving(), Sine(num_points=30))
    assert checkpoints.best_score == 2.0
    assert load_checkpoint("here/best.ckpt")["global_step"] == 2


class Counting(Plain):
    """A model that counts in hooks of its own, and has a ModelCheckpoint of its own."""

    def __init__(self):
        super().__init__()
        self.register_buffer("counts", torch.zeros(2))

    def on_train_batch_end(self, *_):
        self.log("counted", self.global_step)
        self.counts[0] += 1

    def on_validation_end(self):
        self.counts[1] += 1

    def configure_callbacks(self):
        return [ModelCheckpoint(dirpath="own", filename="own")]


def test_checkpoint_holds_what_came_of_the_hooks_of_the_model_and_of_other_callbacks(quick_trainer):
    checkpoints = Checkpoints(folder="here", every_n_steps=1)
    arguments = {"val_check_interval": 2, "num_sanity_val_steps": 0, "callbacks": [checkpoints]}
    trainer = quick_trainer(max_epochs=1, enable_checkpointing=True, **arguments)
    seen, save = {}, trainer.save_checkpoint

    def noted(path, *args):
        save(path, *args)
        if Path(path).name == "last.ckpt":
            seen[trainer.global_step] = load_checkpoint(path)

    trainer.save_checkpoint = noted
    trainer.fit(Counting(), Sine(num_points=30, repeats=4))
    assert {step: each["state_dict"]["counts"].tolist() for step, each in seen.items() if step < 4} == {
        0: [0, 0],
        1: [1, 0],
        2: [2, 1],
        3: [3, 1],
    }
    (own,) = (state for name, state in load_checkpoint("here/last.ckpt")["callbacks"].items() if "Model" in name)
    assert own["best_model_path"].endswith("own/own.ckpt")


def test_scores_of_a_step_are_logged_once_and_before_its_checkpoint(quick_trainer):
    checkpoints, logger, rows = Checkpoints(folder="here", every_n_steps=1), CSVLogger(".", "logs", "0"), {}
    arguments = {"logger": logger, "log_every_n_steps": 1, "num_sanity_val_steps": 0, "callbacks": [checkpoints]}
    trainer = quick_trainer(max_epochs=1, enable_checkpointing=True, **arguments)
    save = trainer.save_checkpoint

    def noted(path, *args):
        file = Path("logs/0/metrics.csv")
        rows[trainer.global_step] = file.read_text().count("\n") if file.exists() else 0
        save(path, *args)

    trainer.save_checkpoint = noted
    trainer.fit(Counting(), Sine(num_points=30, repeats=4))
    assert {step: rows[step] for step in range(4)} == {0: 0, 1: 2, 2: 3, 3: 4}  # the first is the header
