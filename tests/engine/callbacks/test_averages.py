"""An average that no step has touched is never used."""

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging

from firstlight import LinearRegression, Sine
from firstlight.engine.callbacks import BegunAverages, Checkpoints
from firstlight.engine.runs.checkpoint_files import load_checkpoint

LATE = {
    "stochastic": lambda: StochasticWeightAveraging(1e-3, swa_epoch_start=9),
    "exponential": lambda: EMAWeightAveraging(update_starting_at_step=99),
}
EARLY = {
    "stochastic": lambda: StochasticWeightAveraging(1e-3, swa_epoch_start=1),
    "exponential": lambda: EMAWeightAveraging(decay=0.5),
}


@pytest.fixture
def fit(quick_trainer):
    """Return a function that trains, and returns the last weights, those of the checkpoint, and the score."""

    def run(*callbacks):
        torch.manual_seed(0)
        checkpoints = Checkpoints(folder="here")
        trainer = quick_trainer(max_epochs=2, enable_checkpointing=True, callbacks=[*callbacks, checkpoints])
        model = LinearRegression(num_features=3, lr=1e-3)
        trainer.fit(model, Sine(num_points=30, num_powers=3, repeats=4))
        weights, saved = (
            part["linear.weight"].tolist()
            for part in (model.state_dict(), load_checkpoint("here/last.ckpt")["state_dict"])
        )
        checkpoints.last.unlink()
        checkpoints.best.unlink()
        return weights, saved, trainer.callback_metrics["loss/val"].item()

    return run


@pytest.mark.parametrize("kind", LATE)
def test_training_that_ends_before_the_average_begins_is_training_without_one(kind, fit):
    assert fit(BegunAverages(), LATE[kind]()) == fit()


@pytest.mark.parametrize("kind", EARLY)
def test_average_that_began_is_what_it_would_be(kind, fit):
    averaged = fit(EARLY[kind]())
    assert fit(BegunAverages(), EARLY[kind]()) == averaged
    assert averaged != fit()
