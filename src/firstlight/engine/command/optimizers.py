"""An optimizer and a schedule that a config sets, in place of the model's own."""

from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import ReduceLROnPlateau, instantiate_class
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from firstlight.errors import UsageError

__all__ = ["set_optimizer"]


def set_optimizer(model: LightningModule, optimizer: Namespace | None, schedule: Namespace | None) -> None:
    """Have a model train with an optimizer, a schedule, or both, that a config names.

    They are made when training begins, from the parameters that the model then has: a strategy may have put others
    in place of those that it was built with.

    Args:
        model: The model; its ``configure_optimizers`` is replaced.
        optimizer: Class and arguments of the optimizer; None keeps the model's own.
        schedule: Class and arguments of the schedule, for either of them.
    """
    own = model.configure_optimizers

    def configure_optimizers() -> Any:
        made = instantiate_class(model.parameters(), optimizer.as_dict()) if optimizer else own()
        if not schedule:
            return made
        if not isinstance(made, Optimizer):
            raise UsageError(f"lr_scheduler: {type(model).__name__} has a schedule of its own; set --optimizer too")
        scheduler = instantiate_class(made, schedule.as_dict())
        settings = {"scheduler": scheduler}
        if isinstance(scheduler, OneCycleLR | CyclicLR):  # these count steps, all others epochs
            settings["interval"] = "step"
        if isinstance(scheduler, ReduceLROnPlateau):
            settings["monitor"] = scheduler.monitor
        return {"optimizer": made, "lr_scheduler": settings}

    if optimizer or schedule:
        model.configure_optimizers = configure_optimizers  # type: ignore[method-assign]
