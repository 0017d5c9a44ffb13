"""What is typed wins over what a checkpoint holds, in the optimizer too."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.errors import UsageError

__all__ = ["TypedOptimizer"]

KEY = "optimizer_settings"


class TypedOptimizer(Callback):
    """Let settings of the optimizer that were changed for a resumed run take effect.

    Restoring an optimizer's state restores its old step size as well. This callback keeps in every
    checkpoint the settings that the optimizers were built with, and where those of a resumed run differ,
    the new ones are applied. A step size that a schedule has moved on is changed in proportion.

    Raises:
        UsageError: If the checkpoint was saved with another optimizer.
    """

    def __init__(self) -> None:
        self.built: list[list[dict[str, Any]]] = []
        self.saved: list[list[dict[str, Any]]] | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note how the optimizers were built, before their state is restored."""
        self.built = [[_settings(group) for group in optimizer.param_groups] for optimizer in trainer.optimizers]
        for optimizer, built, saved in zip(trainer.optimizers, self.built, self.saved or [], strict=False):
            lacking = {name for group in built for name in group} - {name for group in saved for name in group}
            if lacking:
                raise UsageError(
                    f"the checkpoint is from another optimizer or schedule than {type(optimizer).__name__}: "
                    f"it has no {', '.join(sorted(lacking))}\n"
                    "resume with the same --optimizer and --lr_scheduler"
                )

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep how the optimizers were built."""
        checkpoint[KEY] = self.built

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Read how the optimizers were built that the checkpoint was saved with."""
        groups = [state["param_groups"] for state in checkpoint.get("optimizer_states", [])]
        self.saved = checkpoint.get(KEY) or [[_settings(group) for group in part] for part in groups]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Apply what differs."""
        for optimizer, built, saved in zip(trainer.optimizers, self.built, self.saved or [], strict=False):
            for group, new, old in zip(optimizer.param_groups, built, saved, strict=False):
                for name, value in new.items():
                    if name in old and old[name] != value:
                        _apply(group, name, value, old[name])
            for schedule in (config.scheduler for config in trainer.lr_scheduler_configs):
                if built != saved and schedule.optimizer is optimizer and hasattr(schedule, "base_lrs"):
                    schedule.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.saved = None


def _apply(group: dict[str, Any], name: str, new: Any, old: Any) -> None:
    if name != "lr":
        group[name] = new
        return
    group["lr"] = new * (group["lr"] / old if old else 1)
    if "initial_lr" in group:
        group["initial_lr"] = new


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a parameter group, without its parameters and without what a schedule writes."""
    plain = {name: value for name, value in group.items() if isinstance(value, bool | int | float | str | list | tuple)}
    plain.pop("params", None)
    if "initial_lr" in plain:
        plain["lr"] = plain.pop("initial_lr")
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
