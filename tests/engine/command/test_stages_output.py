"""What a run prints where nobody watches: its own lines, and nobody else's."""

import warnings
from pathlib import Path

import pytest

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=loss/val"],
        ["--trainer.callbacks+=LearningRateMonitor"],
        ["--trainer.logger=false"],
        ["--trainer.enable_checkpointing=false"],
        ["--optimizer=Adam", "--optimizer.lr=0.1", "--lr_scheduler=StepLR", "--lr_scheduler.step_size=5"],
        ["--trainer.accumulate_grad_batches=2"],
        ["--trainer.precision=bf16-mixed"],
    ],
)
def test_run_prints_a_line_an_epoch_and_nothing_that_is_not_ours(flags, firstlight, monkeypatch):
    # as it is where there is a GPU, and a config that says that the CPU is quicker
    monkeypatch.setattr("lightning.pytorch.accelerators.CUDAAccelerator.is_available", lambda: True)
    warnings.filterwarnings("error", "GPU available but not used")
    status, out, err = firstlight("fit", *SMALL, "--trainer.max_epochs=3", *flags)
    assert (status, err) == (0, "")
    first, *lines = out.splitlines()
    assert first.startswith("AutogradCubic, 4 parameters, on cpu")
    assert [line.split()[:2] for line in lines[:3]] == [["epoch", f"{number}/3"] for number in (1, 2, 3)]
    assert {line.split()[0] for line in lines[3:]} <= {"best:", "run:", "curves:", "next:"}


def test_fast_dev_run_may_have_callbacks_that_need_a_logger(did):
    assert "nothing was saved" in did("fit", *SMALL, "-c", "presets/debug", "--trainer.callbacks+=LearningRateMonitor")
    assert not Path("lightning_logs").exists()


def test_run_of_a_sweep_that_is_resumed_says_so(did):
    did("fit", *SMALL)
    assert "sweep:" not in did("fit", "--resume", "--trainer.max_epochs=2")
    Path("lightning_logs/autograd_cubic/sweep.log").touch()
    assert "\nsweep:   this run is one of a sweep" in did("fit", "--resume", "--trainer.max_epochs=3")
