"""Callbacks of a resumed run: what Lightning does not restore of them, and those that cannot be resumed."""

from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer, callbacks
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.nn.modules.batchnorm import _NormBase

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.checkpoints import TRAINED_WEIGHTS
from firstlight.engine.callbacks.step_boundaries import after_hook
from firstlight.errors import CheckpointError, FirstlightError, UsageError

KEY, GRADIENTS = "callback_effects", "gradients"
NOT_RESUMABLE: dict[type[Callback], str] = {
    callbacks.BatchSizeFinder: "searches before the first step: resume without it",
    callbacks.LearningRateFinder: "searches before the first step: resume without it",
    callbacks.ModelPruning: "keeps its masks out of checkpoints: start a new run",
    callbacks.SpikeDetection: "cannot load the state that it saves: resume without it",
}
"""Callbacks with which a run cannot go on to the same bits, and why."""


class ResumedCallbacks(Callback):
    """Restore what other callbacks had done to a run before its checkpoint.

    Lightning restores what a callback returns as its ``state_dict``, and nothing else. This callback saves and restores

    - which parameters are trained, and which layers keep statistics, where that changed in training (finetuning);
    - that the run was stopped early, and by what, so that a resume does not train another epoch;
    - what callbacks and the model did at the start of the epoch. Lightning does not call ``on_train_epoch_start`` in an
      epoch that is resumed in its middle. Here it is called for the model, for callbacks without a state, as all they
      know is the epoch, and for ``StochasticWeightAveraging``, whose state takes effect there. What they change in the
      weights or the optimizers is put back: the checkpoint was written after it;
    - gradients that a model with manual optimization has not used yet.

    Args:
        is_resume: Whether the run starts from a checkpoint.
        keep_stop: Whether a run that was stopped early stays so; not if its callbacks are others now.
        is_unfinished: Whether the run may have been killed or stopped between its last step and its end.
    """

    def __init__(self, *, is_resume: bool, keep_stop: bool, is_unfinished: bool = False) -> None:
        self.is_resume, self.keep_stop, self.is_unfinished = is_resume, keep_stop, is_unfinished
        self.stopped_by: str | None = None
        """What stopped the run early, now or before it was resumed."""
        self._num_states: int | None = None  # of optimizers, in the checkpoint
        self._switches: dict[str, bool] = {}  # as the model was built
        self._switched: dict[str, bool] = {}  # what training had changed of them
        self._gradients: dict[str, Any] = {}
        self._patience: dict[callbacks.EarlyStopping, int] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note settings that a state would replace; raise a ``UsageError`` for a callback that cannot be resumed."""
        if self.is_resume and (reason := not_resumable(trainer)):
            raise UsageError(f"trainer.callbacks: {reason}")
        for saving in internals.callbacks_of(trainer, callbacks.OnExceptionCheckpoint):
            if not self.is_resume and Path(saving.ckpt_path).exists():  # Lightning has chosen to start from it
                raise UsageError(
                    f"{saving.ckpt_path} is left from another run: remove it, or start from it by --ckpt_path"
                )
        self._patience = {each: each.patience for each in internals.callbacks_of(trainer, callbacks.EarlyStopping)}
        if trainer.strategy.broadcast(self.is_unfinished):  # only the first process has seen the run as it was left
            _end_if_done(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save what callbacks did."""
        now = _switches(pl_module)
        switched = {name: now[name] for name, was in self._switches.items() if now.get(name, was) != was}
        checkpoint[KEY] = {"switched": switched, "stopped_by": _stopped_by(trainer)}
        if not pl_module.automatic_optimization:
            gradients = {name: parameter.grad for name, parameter in pl_module.named_parameters()}
            checkpoint[GRADIENTS] = {name: value for name, value in gradients.items() if value is not None}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Read what callbacks did, and stop a run that had been stopped."""
        _reopen_epoch(checkpoint.get("loops", {}).get("fit_loop", {}))
        self._num_states = len(checkpoint.get("optimizer_states", []))
        effects = checkpoint.get(KEY, {})
        self._switched, self._gradients = effects.get("switched", {}), checkpoint.get(GRADIENTS, {})
        self.stopped_by = effects.get("stopped_by") if self.keep_stop else None
        trainer.should_stop = bool(self.stopped_by)
        if TRAINED_WEIGHTS in checkpoint:
            pl_module.load_state_dict(checkpoint[TRAINED_WEIGHTS])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore what was saved.

        Raises:
            CheckpointError: If there is not a state for each optimizer: Lightning would not restore the others.
        """
        if self._num_states is not None and self._num_states != (wanted := len(trainer.optimizers)):
            raise CheckpointError(
                f"the checkpoint holds the states of {self._num_states} optimizers, but the model has {wanted}"
            )
        internals.end_epoch_only_once(trainer)
        internals.begin_averaging_again(trainer)
        self._switches = _switches(pl_module)
        for name, value in self._switched.items():
            _switch(pl_module, name, on=value)
        for stopping, patience in self._patience.items():
            stopping.patience = patience  # what is typed wins over the state
        for name, gradient in self._gradients.items():
            parameter = pl_module.get_parameter(name)
            parameter.grad = gradient.to(parameter.device)
        if internals.is_resumed_within_epoch(trainer):
            after_hook(pl_module, "on_train_start", partial(_start_epoch_again, trainer, pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what stopped the run."""
        self.stopped_by = self.stopped_by or _stopped_by(trainer)


def not_resumable(trainer: Trainer) -> str | None:
    """Return why a run cannot be resumed, if it has a callback with which none can."""
    kinds = (kind for kind in NOT_RESUMABLE if internals.callbacks_of(trainer, kind))
    return next((f"a run with {kind.__name__} cannot be resumed: it {NOT_RESUMABLE[kind]}" for kind in kinds), None)


def refuse_no_step(trainer: Trainer) -> None:
    """Raise a ``FirstlightError`` for a run that never took a batch: it must not be called finished."""
    if trainer.global_step == 0 and trainer.fit_loop.total_batch_idx < 0:
        why = _stopped_by(trainer) or "the training data have no batches"
        raise FirstlightError(f"the run ended before its first step: {why}")


def _reopen_epoch(loop: dict[str, Any]) -> None:
    """Let an epoch go on that ``max_steps`` or a callback ended in its middle; Lightning would leave the rest out."""
    if not loop.get("epoch_loop.batch_progress", {}).get("is_last_batch", True):
        for count in (loop["epoch_progress"]["total"], loop["epoch_progress"]["current"]):
            count["processed"] = count["completed"]


def _end_if_done(trainer: Trainer) -> None:
    """Have a run that is resumed after its last step start and end; the Trainer would call no hook of either."""
    loop, run = trainer.fit_loop, trainer.fit_loop.run

    def run_or_end() -> None:
        loop.setup_data()
        if not loop.skip:
            run()
            return
        loop.reset()
        loop.on_run_start()
        loop.on_run_end()

    vars(loop)["run"] = run_or_end


def _start_epoch_again(trainer: Trainer, model: LightningModule) -> None:
    weights, loggers = deepcopy(model.state_dict()), trainer.loggers
    states = [deepcopy(optimizer.state_dict()) for optimizer in trainer.optimizers]
    trainer.loggers = []  # the curves have it
    for callback in internals.callbacks_of(trainer, Callback):
        has_state = any(is_overridden(hook, callback) for hook in ("state_dict", "on_save_checkpoint"))
        if isinstance(callback, callbacks.StochasticWeightAveraging) or not has_state:
            callback.on_train_epoch_start(trainer, model)
    with internals.logged_in_hook(model, "on_train_epoch_start"):
        model.on_train_epoch_start()
    trainer.loggers = loggers
    model.load_state_dict(weights)
    for optimizer, state in zip(trainer.optimizers, states, strict=True):
        optimizer.load_state_dict(state)


def _switches(model: LightningModule) -> dict[str, bool]:
    """Return by name which parameters are trained, and which layers keep statistics."""
    trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    layers = ((name, layer) for name, layer in model.named_modules() if isinstance(layer, _NormBase))
    return trained | {name: layer.track_running_stats for name, layer in layers}


def _switch(model: LightningModule, name: str, *, on: bool) -> None:
    parameters = dict(model.named_parameters())
    if name in parameters:
        parameters[name].requires_grad_(on)
    elif isinstance(layer := model.get_submodule(name), _NormBase):
        layer.track_running_stats = on


def _stopped_by(trainer: Trainer) -> str | None:
    """Return what stopped a run early, in a few words; None if nothing did."""
    if not trainer.should_stop:
        return None
    for stopping in internals.callbacks_of(trainer, callbacks.EarlyStopping):
        if stopping.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            return f"EarlyStopping: {stopping.stopping_reason.name.lower().replace('_', ' ')}"
    for timer in internals.callbacks_of(trainer, callbacks.Timer):
        if (left := timer.time_remaining()) is not None and left <= 0:
            return "Timer: no time left"
    return "trainer.should_stop was set"
