"""Details in TensorBoard that take time: the model's graph, the learning rate, histograms."""

import warnings
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.seed import isolate_rng

from firstlight.data.data_module import DataModule
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.tensorboard.pictures import tensorboard_loggers
from firstlight.gallery import Moment, evaluating

__all__ = ["Details"]


class Details(Callback):
    """Log the model's graph, and for each epoch's last step the learning rate, weights and gradients."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Trace one validation example through the model, and log the graph."""
        data = internals.datamodule_of(trainer)
        if not isinstance(data, DataModule):
            return
        for logger in tensorboard_loggers(trainer):
            inputs = next(Moment(trainer, pl_module, data, "start").batches(data.val))[0][:1]
            with isolate_rng(include_cuda=inputs.is_cuda):
                try:
                    with evaluating(trainer, pl_module), warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # tracing is deprecated, and warns of what a trace may miss
                        logger.experiment.add_graph(pl_module, inputs)
                except Exception as error:  # not every model can be traced
                    warnings.warn(f"the model's graph is left out: {type(error).__name__}: {error}", stacklevel=1)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the last step of an epoch, before the validation drops its gradients."""
        if not trainer.is_last_batch:
            return
        step = max(trainer.global_step - 1, 0)
        rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
        for logger in tensorboard_loggers(trainer):
            logger.log_metrics({f"lr/group_{number}": float(rate) for number, rate in enumerate(rates)}, step)
            for name, weights in pl_module.named_parameters():
                logger.experiment.add_histogram(f"weights/{name}", weights, step)
                if weights.grad is not None:
                    logger.experiment.add_histogram(f"gradients/{name}", weights.grad, step)
