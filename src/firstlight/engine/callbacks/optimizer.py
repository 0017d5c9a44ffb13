"""Optimizers and schedules of a resumed run: new settings take effect, and no step of a schedule is left out."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.optim.lr_scheduler import OneCycleLR

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.errors import UsageError

KEY, SCHEDULES, PARAMETERS = "optimizer_settings", "schedule_settings", "optimizer_parameters"
LENGTHS = {"T_0", "T_max", "milestones", "step_size", "step_size_down", "step_size_up", "total_iters", "total_steps"}
"""Arguments of schedules that count steps or epochs."""
POSITION = {"last_epoch", "_step_count", "_last_lr", "base_lrs"}
"""What a schedule changes as it goes, or takes from its optimizer."""


class TypedOptimizer(Callback):
    """Apply the optimizer settings of a resumed run where they differ from those in its checkpoint.

    Restoring an optimizer's state restores its old learning rate as well. This callback saves in every checkpoint
    the settings that the optimizers and schedules were built with, and applies new ones where they differ. A learning
    rate that a schedule has changed since is scaled by the same factor. The length of a schedule cannot change.
    """

    def __init__(self) -> None:
        self.built: dict[str, list[Any]] = {KEY: [], SCHEDULES: [], PARAMETERS: []}
        """Before any step: settings of each parameter group and schedule, and the names of each group's parameters."""
        self.saved: dict[str, list[Any]] = {}
        """The same, of the run that wrote the checkpoint."""
        self.lengths: list[dict[str, Any]] = []
        """Lengths of each schedule, as it was built."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the settings that the optimizers were built with, before their state is restored.

        Raises:
            UsageError: If the checkpoint was saved with another optimizer, or a schedule is too short for the run.
        """
        refuse_short_schedules(trainer)
        self.lengths = _lengths(trainer)
        if trainer.ckpt_path:
            internals.reload_training_data(trainer)
        self.built = {
            KEY: [[_settings(group) for group in optimizer.param_groups] for optimizer in trainer.optimizers],
            SCHEDULES: [_schedule_settings(each) for each in _schedules(trainer)],
            PARAMETERS: _parameters(trainer),
        }
        for then, now in self._pairs(PARAMETERS):
            if then != now:
                raise UsageError(
                    f"the checkpoint's optimizer trains {_names(then, now)}, that of this run {_names(now, then)}\n"
                    "its state cannot be used: start a new run from these weights with --ckpt_path"
                )
        for optimizer, (saved, built) in zip(trainer.optimizers, self._pairs(KEY), strict=False):
            lacking = {name for group in built for name in group} - {name for group in saved for name in group}
            if lacking:
                raise UsageError(
                    f"the checkpoint is from another optimizer or schedule than {type(optimizer).__name__}: "
                    f"it has no {', '.join(sorted(lacking))}\n"
                    "resume with the same --optimizer and --lr_scheduler"
                )

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the settings that the optimizers were built with."""
        checkpoint |= self.built

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Read the settings that the optimizers of the checkpoint were built with.

        Lightning's finders save and load a checkpoint before :meth:`on_fit_start`: that one has none, nor needs any.
        """
        groups = [state["param_groups"] for state in checkpoint.get("optimizer_states", [])]
        saved = {KEY: [[_settings(group) for group in part] for part in groups]}
        self.saved = saved | {key: checkpoint[key] for key in self.built if key in checkpoint}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Apply the settings that differ; raise a ``UsageError`` if the checkpoint's schedule has another length."""
        # StochasticWeightAveraging takes the schedules away that it had replaced
        for lengths, restored in zip(self.lengths, _lengths(trainer), strict=False):
            for name, length in lengths.items():
                if restored[name] != length:
                    raise UsageError(
                        f"the schedule of the checkpoint has {name} {_text(restored[name])}, that of this run "
                        f"{_text(length)}: a schedule cannot change its length\n"
                        "resume with the same --trainer.max_epochs and --lr_scheduler, or start a new run"
                    )
        for optimizer, (saved, built) in zip(trainer.optimizers, self._pairs(KEY), strict=False):
            for group, new, old in zip(optimizer.param_groups, built, saved, strict=False):
                for name, value in new.items():
                    if name in old and old[name] != value:
                        _apply(group, name, value, old[name])
            for schedule in (config.scheduler for config in trainer.lr_scheduler_configs):
                if built != saved and schedule.optimizer is optimizer and hasattr(schedule, "base_lrs"):
                    schedule.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        for schedule, (then, now) in zip(_schedules(trainer), self._pairs(SCHEDULES), strict=False):
            for name, value in now.items():
                if name in then and then[name] != value:
                    setattr(schedule, name, value)
        self.saved = {}

    def _pairs(self, key: str) -> Iterator[tuple[Any, Any]]:
        """Return what was saved and what was built, where there is both."""
        return zip(self.saved.get(key, []), self.built[key], strict=False)


class PlateauSchedules(Callback):
    """Take the steps of a ``ReduceLROnPlateau`` that Lightning leaves out around a resume.

    Lightning takes such a step at the end of an epoch, after the checkpoint is written, and does not take it in
    the epoch in which a run is resumed, because the scores that it depends on are not in the checkpoint. This
    callback saves them there and takes both steps.
    """

    def __init__(self) -> None:
        self.pending: list[float | None] = []
        """Scores that the schedules still have to be given in this epoch; None where there is none."""
        self._was_left_out = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the scores for the steps that are still to be taken in this epoch."""
        checkpoint["plateau_scores"] = self._scores(trainer) if internals.is_epoch_ending(trainer) else []

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Read these scores."""
        self.pending = checkpoint.get("plateau_scores", [])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the steps that the run before had not taken when it wrote the checkpoint."""
        self._step(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note whether Lightning leaves out the steps of this epoch."""
        self._was_left_out = internals.is_finishing_resumed_epoch(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the steps that were left out in the epoch before; its scores are known by now."""
        if self._was_left_out:
            self.pending, self._was_left_out = self._scores(trainer), False
            self._step(trainer)

    on_train_end = on_train_epoch_start  # for the last epoch

    def _scores(self, trainer: Trainer) -> list[float | None]:
        """Return the score that each schedule needs at the end of this epoch; None where it needs none."""
        epochs = internals.num_epochs_processed(trainer)
        scores: list[float | None] = []
        for config in trainer.lr_scheduler_configs:
            due = config.reduce_on_plateau and config.interval == "epoch" and epochs % config.frequency == 0
            score = trainer.callback_metrics.get(config.monitor) if due and config.monitor else None
            scores.append(None if score is None else float(score))
        return scores

    def _step(self, trainer: Trainer) -> None:
        counter = internals.schedule_counter(trainer)
        for config, score in zip(trainer.lr_scheduler_configs, self.pending, strict=False):
            if score is not None:
                counter.increment_ready()
                config.scheduler.step(score)  # type: ignore[arg-type]  # that of a ReduceLROnPlateau
                counter.increment_completed()
        self.pending = []


def _parameters(trainer: Trainer) -> list[list[list[str]]]:
    names = {id(parameter): name for name, parameter in trainer.lightning_module.named_parameters()}
    groups = [optimizer.param_groups for optimizer in trainer.optimizers]
    return [[[names.get(id(each), "") for each in group["params"]] for group in part] for part in groups]


def _names(groups: list[list[str]], others: list[list[str]]) -> str:
    """Return the names of a group that differs from the others', in a few words."""
    group = next((group for group, other in zip_longest(groups, others) if group != other), None)
    return ", ".join(group[:3]) + ", ..." * (len(group) > 3) if group else "none there"


def _schedules(trainer: Trainer) -> list[Any]:
    """Return all schedules, those that another one is made of included."""
    schedules: list[Any] = [config.scheduler for config in trainer.lr_scheduler_configs]
    return [part for each in schedules for part in (each, *getattr(each, "_schedulers", ()))]


def _schedule_settings(schedule: Any) -> dict[str, Any]:
    """Return the settings of a schedule: what can be written down and is not changed as it goes."""
    found = {}
    for name in vars(schedule).keys() - POSITION:
        with contextlib.suppress(TypeError):
            found[name] = json.loads(json.dumps(vars(schedule)[name]))
    return found


def _lengths(trainer: Trainer) -> list[dict[str, Any]]:
    states = [vars(config.scheduler) for config in trainer.lr_scheduler_configs]
    return [{name: state[name] for name in sorted({*LENGTHS, "warmup"} & state.keys())} for state in states]


def _text(length: Any) -> str:
    return str(list(length) if isinstance(length, Counter) else length)  # the milestones of a MultiStepLR


def refuse_short_schedules(trainer: Trainer) -> None:
    """Raise a ``UsageError`` for a ``OneCycleLR`` of the model's own that ends before the run, as torch does then."""
    if internals.typed(trainer).fast_dev_run or not trainer.lightning_module.automatic_optimization:
        return
    for config in trainer.lr_scheduler_configs:
        if isinstance(config.scheduler, OneCycleLR):
            total, length = config.scheduler.total_steps, internals.planned_length(trainer, config.interval)
            if length and total < length // config.frequency:
                raise UsageError(f"OneCycleLR.total_steps is {total}, but the run takes {length} {config.interval}s")


def _apply(group: dict[str, Any], name: str, new: Any, old: Any) -> None:
    """Change a setting of a parameter group; a learning rate is scaled, for a schedule may have changed it."""
    if name != "lr":
        group[name] = new
        return
    group["lr"] = new * (group["lr"] / old if old else 1)
    if "initial_lr" in group:
        group["initial_lr"] = new


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a parameter group as it was built: without its parameters, before any schedule."""
    plain = {name: value for name, value in group.items() if isinstance(value, bool | int | float | str | list | tuple)}
    plain.pop("params", None)
    if "initial_lr" in plain:
        plain["lr"] = plain.pop("initial_lr")
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
