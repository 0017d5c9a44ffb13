"""A run with one of Lightning's finders is the run with what it found typed in its place."""

from pathlib import Path

import pytest
import yaml
from tests.faults.harness import differences

from firstlight.engine.runs.checkpoint_files import load_checkpoint

SMALL = ("fit", "--config=linear_regression", "--data.num_examples=95", "--trainer.max_epochs=2", "--pictures=none")
SCHEDULED = ("--optimizer=Adam", "--optimizer.lr=0.1", "--lr_scheduler=StepLR", "--lr_scheduler.step_size=1")
RATE = ("--trainer.callbacks=LearningRateFinder", "--trainer.callbacks.num_training_steps=20")
SIZE = ("--trainer.callbacks=BatchSizeFinder", "--trainer.callbacks.max_val=8")


def last(*names):
    return [load_checkpoint(f"lightning_logs/{name}/version_0/checkpoints/last.ckpt") for name in names]


def found_in(out):
    (line,) = [line for line in out.splitlines() if "found:" in line]
    return line.split()[-2]


@pytest.mark.parametrize(
    ("flags", "finder", "setting"),
    [
        ([], RATE, "model.lr"),
        (SCHEDULED, RATE, "optimizer.lr"),
        pytest.param([], SIZE, "data.batch_size", marks=pytest.mark.slow),
    ],
)
def test_run_is_the_one_with_what_was_found_typed(flags, finder, setting, did):
    out = did(*SMALL, "--name=found", *flags, *finder)
    assert found_in(out) == setting
    part, name = setting.split(".")
    config = yaml.safe_load(Path("lightning_logs/found/version_0/config.yaml").read_text())
    did(*SMALL, "--name=typed", *flags, f"--{setting}={config[part]['init_args'][name]!r}")
    found, typed = (
        load_checkpoint(f"lightning_logs/{run}/version_0/checkpoints/last.ckpt") for run in ("found", "typed")
    )
    assert config["trainer"]["callbacks"] == []
    for checkpoint in (found, typed):
        checkpoint["hyper_parameters"].pop("lr")  # with an optimizer of its own, a model has no use for it
        checkpoint["datamodule_hyper_parameters"].pop("batch_size")
    assert list(differences(found, typed)) == []


def test_run_whose_learning_rate_was_found_can_be_resumed(did):
    did(*SMALL, "--name=found", *RATE)
    did("fit", "--resume=found", "--trainer.max_epochs=3")
    did(*SMALL, "--name=whole", *RATE, "--trainer.max_epochs=3")
    found, whole = (
        load_checkpoint(f"lightning_logs/{run}/version_0/checkpoints/last.ckpt") for run in ("found", "whole")
    )
    assert list(differences(found, whole)) == []
