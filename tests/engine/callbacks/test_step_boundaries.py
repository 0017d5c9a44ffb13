import pytest
from lightning.pytorch.callbacks import Callback

from firstlight import AutogradCubic, Sine
from firstlight.engine.callbacks.step_boundaries import is_step_boundary


class Boundaries(Callback):
    """Keep after which batches there was a step boundary, counted over all epochs."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if is_step_boundary(trainer, batch_idx):
            self.seen.append(trainer.global_step)


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ({}, [1, 2, 3, 5, 6, 7]),
        ({"val_check_interval": 2}, [1, 3, 5, 7]),
        ({"val_check_interval": 3}, [1, 2, 5, 6]),
        ({"val_check_interval": 3, "check_val_every_n_epoch": None}, [1, 2, 5, 7]),
        ({"val_check_interval": 3, "limit_val_batches": 0}, [1, 2, 3, 5, 6, 7]),
        ({"limit_train_batches": 3}, [1, 2, 4, 5]),
        ({"max_steps": 6}, [1, 2, 3, 5]),
    ],
    ids=str,
)
def test_neither_a_validation_nor_the_end_of_the_epoch_follows_a_step_boundary(arguments, steps, quick_trainer):
    boundaries = Boundaries()
    quick_trainer(max_epochs=2, callbacks=[boundaries], **arguments).fit(
        AutogradCubic(), Sine(num_points=30, repeats=4)
    )
    assert boundaries.seen == steps
