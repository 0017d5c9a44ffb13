"""What is typed wins over what a checkpoint holds, in the optimizer too."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.errors import UsageError

__all__ = ["PlateauSchedules", "TypedOptimizer"]

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


class PlateauSchedules(Callback):
    """Take the steps of a ``ReduceLROnPlateau`` that Lightning leaves out around a resume.

    Lightning takes such a step at an epoch's end after the checkpoint is written, and leaves it out in
    the epoch in which a run is resumed, because the scores that it depends on are not in the checkpoint.
    This callback puts them there, and makes up for both.
    """

    def __init__(self) -> None:
        self.pending: list[float | None] = []
        self._left_out = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the scores for the steps that are still to come in this epoch."""
        epoch = trainer.fit_loop.epoch_progress
        at_end = epoch.total.processed > epoch.total.completed  # type: ignore[attr-defined]
        checkpoint["plateau_scores"] = self._scores(trainer) if at_end else []

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Read them."""
        self.pending = checkpoint.get("plateau_scores", [])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the steps that came after the checkpoint."""
        self._step(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note whether Lightning is going to leave out the steps of this epoch."""
        self._left_out = trainer.fit_loop.restarting

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the steps that were left out in the epoch before; now its scores are known."""
        self._make_up(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the steps that were left out in the last epoch."""
        self._make_up(trainer)

    def _make_up(self, trainer: Trainer) -> None:
        if self._left_out:
            self.pending, self._left_out = self._scores(trainer), False
            self._step(trainer)

    def _scores(self, trainer: Trainer) -> list[float | None]:
        """Return the score that each schedule waits for at the end of this epoch; None where it waits for none."""
        epochs = trainer.fit_loop.epoch_progress.total.processed  # type: ignore[attr-defined]
        scores: list[float | None] = []
        for config in trainer.lr_scheduler_configs:
            due = config.reduce_on_plateau and config.interval == "epoch" and epochs % config.frequency == 0
            score = trainer.callback_metrics.get(config.monitor) if due and config.monitor else None
            scores.append(None if score is None else float(score))
        return scores

    def _step(self, trainer: Trainer) -> None:
        progress = trainer.fit_loop.epoch_loop.scheduler_progress
        for config, score in zip(trainer.lr_scheduler_configs, self.pending, strict=False):
            if score is not None:
                progress.increment_ready()
                config.scheduler.step(score)  # type: ignore[arg-type]
                progress.increment_completed()
        self.pending = []


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
