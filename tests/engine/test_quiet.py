import logging
import subprocess
import sys
import warnings

import pytest
import torch

from firstlight import Houses, LinearRegression, quiet_trainer

PROGRAM = """
from firstlight import Houses, LinearRegression, quiet_trainer
import pytorch_lightning  # a package may import it
quiet_trainer(max_epochs=1, log_every_n_steps=1000).fit(LinearRegression(), Houses())
"""


@pytest.fixture(autouse=True)
def restored():
    """Restore what is silenced for the whole process."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.callbacks.model_summary")
    levels = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.slow
def test_quiet_trainer_trains_and_prints_and_writes_nothing(tmp_path):
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_arguments_win_over_the_quiet_settings():
    trainer = quiet_trainer(max_epochs=3, enable_checkpointing=True)
    assert trainer.max_epochs == 3
    assert trainer.checkpoint_callback
    assert not trainer.loggers


def test_targets_of_another_shape_than_the_outputs_are_an_error():
    data = Houses()
    data.answer = lambda features, _: torch.zeros(len(features))
    with pytest.raises(UserWarning, match="Using a target size"):
        quiet_trainer(max_epochs=1).fit(LinearRegression(), data)
