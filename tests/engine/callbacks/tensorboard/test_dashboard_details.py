import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from firstlight import LegendreCubic, Sine
from firstlight.engine.callbacks import Details


def test_details_are_the_graph_the_learning_rate_and_histograms(quick_trainer, tmp_path):
    logger = TensorBoardLogger(tmp_path, "", "logs")
    trainer = quick_trainer(max_epochs=2, log_every_n_steps=1, logger=logger, callbacks=[Details()])
    trainer.fit(LegendreCubic(lr=5e-6), Sine(num_points=9, batch_size=3))
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    tags = events.Tags()
    assert tags["graph"]
    assert tags["histograms"] == ["weights/coefficients", "gradients/coefficients"]
    assert [(rate.step, rate.value) for rate in events.Scalars("lr/group_0")] == [
        (2, pytest.approx(5e-6)),
        (5, pytest.approx(5e-6)),
    ]
