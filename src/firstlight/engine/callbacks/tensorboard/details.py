"""What only some want to see, and what takes time: the model's graph, its step size, histograms."""

import warnings
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.seed import isolate_rng

from firstlight.data.in_memory import InMemory
from firstlight.engine.callbacks.tensorboard.pictures import boards
from firstlight.gallery import Moment, evaluating

__all__ = ["Details"]


class Details(Callback):
    """Log the model's graph, and of each epoch's last step its size and histograms of weights and gradients."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the graph, as one validation example runs through it."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        for board in boards(trainer) if isinstance(data, InMemory) else []:
            inputs = next(Moment(trainer, pl_module, data, "start", {}).inputs(data.val[0][:1], data.val[1][:1]))
            with isolate_rng(include_cuda=inputs.is_cuda):
                try:
                    with evaluating(trainer, pl_module), warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # tracing warns of itself, and of all that a trace may miss
                        board.experiment.add_graph(pl_module, inputs)
                except Exception as error:  # a model may hold what cannot be traced
                    warnings.warn(f"the model's graph is left out: {type(error).__name__}: {error}", stacklevel=1)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log what the last step of an epoch did; gradients are gone once it is validated."""
        if not trainer.is_last_batch:
            return
        step = max(trainer.global_step - 1, 0)
        rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
        for board in boards(trainer):
            board.log_metrics({f"lr/group_{number}": float(rate) for number, rate in enumerate(rates)}, step)
            for name, weights in pl_module.named_parameters():
                board.experiment.add_histogram(f"weights/{name}", weights, step)
                if weights.grad is not None:
                    board.experiment.add_histogram(f"gradients/{name}", weights.grad, step)
