import re

import pytest
import torch
from lightning.pytorch.callbacks import StochasticWeightAveraging, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from firstlight import AutogradCubic, Sine
from firstlight.engine.callbacks import Checkpoints, EpochLines, progress_bar
from firstlight.engine.callbacks.progress import Bar


@pytest.fixture
def lines(quick_trainer, capsys):
    """Return a function that trains a cubic, four steps an epoch, and returns the lines that are printed."""

    def run(ckpt_path=None, **arguments):
        quick = {
            "max_epochs": 3,
            "enable_checkpointing": True,
            "enable_progress_bar": True,
            "callbacks": [EpochLines(), Checkpoints(folder="here")],
        }
        trainer = quick_trainer(**quick | arguments)
        trainer.fit(AutogradCubic(), Sine(num_points=30, repeats=4), ckpt_path=ckpt_path)
        return capsys.readouterr().out.splitlines()

    return run


def test_line_has_the_epoch_the_steps_the_scores_and_the_seconds(lines):
    for number, line in enumerate(lines(), start=1):
        score = r"[\d.e+-]+"
        pattern = rf"epoch {number}/3  step {4 * number}  loss/train {score}  loss/val {score}  \d+\.\d s"
        assert re.fullmatch(pattern, line)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"limit_val_batches": 0},
        {"val_check_interval": 2},
        {"check_val_every_n_epoch": 2},
        {"num_sanity_val_steps": 0},
        {"accumulate_grad_batches": 3},
        {"max_epochs": -1, "max_steps": 11},
    ],
    ids=str,
)
def test_each_epoch_prints_one_line(arguments, lines):
    steps = [re.match(r"epoch (\d).*  step (\d+)", line).groups() for line in lines(**arguments)]
    accumulated = {"accumulate_grad_batches": ["2", "4", "6"], "max_steps": ["4", "8", "11"]}
    expected = next((accumulated[name] for name in accumulated if name in arguments), ["4", "8", "12"])
    assert steps == list(zip("123", expected, strict=True))


class Fails(AutogradCubic):
    """A model that raises an error in its seventh step."""

    def training_step(self, batch, batch_idx):
        if self.global_step == 6:
            raise ArithmeticError
        return super().training_step(batch, batch_idx)


def test_epoch_resumed_in_its_middle_prints_one_line(lines, quick_trainer):
    checkpoints = Checkpoints(every_n_steps=3, folder="here")
    trainer = quick_trainer(max_epochs=3, enable_checkpointing=True, callbacks=[checkpoints])
    with pytest.raises(ArithmeticError):
        trainer.fit(Fails(), Sine(num_points=30, repeats=4))
    resumed = lines(ckpt_path="here/last.ckpt", callbacks=[EpochLines(), Checkpoints(folder="there")])
    assert [line.split()[:4] for line in resumed] == [["epoch", "2/3", "step", "8"], ["epoch", "3/3", "step", "12"]]


def test_disabled_progress_prints_nothing(lines):
    quiet = EpochLines()
    quiet.disable()
    assert not lines(callbacks=[quiet], enable_checkpointing=False)


@pytest.mark.parametrize(("terminal", "kind"), [(True, TQDMProgressBar), (False, EpochLines)])
def test_terminal_gets_a_bar_and_a_file_gets_lines(terminal, kind, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    assert isinstance(progress_bar(), kind)


def test_bar_counts_epochs_from_one_and_shows_scores_alone(quick_trainer, capsys, tmp_path):
    logger = TensorBoardLogger(tmp_path, "", "version_0")
    quiet = {"enable_progress_bar": True, "callbacks": [Bar(refresh_rate=1)], "logger": logger}
    quiet |= {"max_epochs": 2, "log_every_n_steps": 1}
    quick_trainer(**quiet).fit(AutogradCubic(), Sine(num_points=30, repeats=2))
    shown = "".join(capsys.readouterr())
    assert {*re.findall(r"Epoch \d/\d", shown)} == {"Epoch 1/2", "Epoch 2/2"}
    assert "loss/train=" in shown
    assert "v_num" not in shown


def test_epoch_that_averaging_adds_is_counted(quick_trainer, capsys):
    callbacks = [StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=1), EpochLines()]
    trainer = quick_trainer(max_epochs=2, enable_progress_bar=True, callbacks=callbacks)
    model = AutogradCubic()
    model.norm = torch.nn.BatchNorm1d(1)  # whose statistics need another epoch
    trainer.fit(model, Sine(num_points=30))
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["1/3", "2/3", "3/3"]
