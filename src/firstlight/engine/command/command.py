"""``fit``, ``validate``, ``test`` and ``predict``: a Trainer, with a run's folder and its checkpoints."""

import json
import os
import re
import signal
from collections.abc import Mapping
from typing import Any

from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from firstlight.engine import processes
from firstlight.engine.callbacks import (
    Ended,
    PlateauSchedules,
    Predictions,
    SeveralUpdates,
    StepLoss,
    StepSeeds,
    Stopped,
    StopSignals,
    TrainingScores,
    TypedOptimizer,
    progress_bar,
    tensorboard_callbacks,
)
from firstlight.engine.command.explain import explain_failure
from firstlight.engine.command.parsing import Arguments
from firstlight.engine.command.request import Request
from firstlight.engine.command.session import allow_imports, instantiate_plainly, quiet
from firstlight.engine.files import write_atomically
from firstlight.engine.program import program
from firstlight.engine.runs import folders, receipts
from firstlight.engine.runs.checkpoint_files import AtomicCheckpointIO
from firstlight.engine.runs.folders import Run, relative_to_cwd
from firstlight.errors import FirstlightError, UsageError

__all__ = ["run"]


def run(verb: str, typed: list[str], kind: "type[Command] | None" = None) -> "Command":
    """Do what was typed.

    Args:
        verb: ``fit``, ``validate``, ``test`` or ``predict``.
        typed: What stands after it.
        kind: What does it, if not :class:`Command` itself.
    """
    quiet()
    allow_imports()
    signals = StopSignals()
    signals.install_handlers()
    request = Request.read(verb, typed)
    try:
        return (kind or Command)(request, signals)
    except BaseException as error:
        if request.claimed:
            folders.discard_unused_folder(request.claimed)
        if mended := explain_failure(error, request.checkpoint):
            raise mended from error
        raise


class Command(Arguments):
    """One request, from its arguments to its last line.

    Args:
        request: What was typed.
        signals: The signals that end a run.
    """

    def __init__(self, request: Request, signals: StopSignals) -> None:
        self.signals = signals
        self.fitting = request.verb == "fit"
        self.run_folder: Run | None = None
        super().__init__(request)

    def before_instantiate_classes(self) -> None:
        """Choose the run's folder, and hand models hyperparameters that any checkpoint reader understands."""
        if not self.config[self.request.verb].trainer.fast_dev_run:
            self.run_folder = self.request.run or self._claim()
        self.save_config_kwargs = {"path": self.run_folder.config if self.run_folder and self.fitting else None}
        for kind in (LightningModule, LightningDataModule):
            self.parser.add_instantiator(instantiate_plainly, kind, subclasses=True)

    def _claim(self) -> Run | None:
        """Make the folder of the new run; the first process does, and the others hear of it when all have met."""
        if processes.is_first_process():
            self.request.claimed = folders.claim_run_folder(self.request.root, self.request.name)
        return self.request.claimed

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the Trainer with the run's logger and callbacks."""
        settings = self.config_init[self.request.verb]
        given = _as_list(settings.trainer.callbacks)
        logger = settings.trainer.logger
        if logger in (None, True):
            logger = self._logger() if self.fitting else False
        kwargs["callbacks"] = given + self._callbacks(settings, given)
        kwargs["plugins"] = [*_as_list(settings.trainer.plugins), AtomicCheckpointIO()]
        try:
            trainer = super().instantiate_trainer(logger=logger, **kwargs, **processes.devices_and_nodes())
        except (MisconfigurationException, RuntimeError, TypeError, ValueError) as error:
            # the Trainer's constructor does nothing but check what was asked for
            raise UsageError("trainer: " + str(error).strip().partition("\n")[0]) from error
        cores = max(os.cpu_count() or 1, 2)
        if trainer.num_devices > cores and isinstance(trainer.accelerator, CPUAccelerator):
            raise UsageError(f"trainer.devices is {trainer.num_devices}: this machine has {cores} processor cores")
        if settings.trainer.limit_train_batches == 0 and self.fitting:
            raise UsageError("trainer.limit_train_batches is 0: there is nothing to train on")
        return trainer

    def _callbacks(self, settings: Namespace, given: list[Callback]) -> list[Callback]:
        checkpoints = settings.checkpoint
        checkpoints.signals = self.signals
        mine: list[Callback] = [self.signals]
        if settings.trainer.enable_progress_bar is not False and not any(isinstance(c, ProgressBar) for c in given):
            mine.append(progress_bar())
        if self.fitting:
            mine += [StepSeeds(settings.seed_everything), SeveralUpdates(settings.updates_per_batch)]
            mine += [StepLoss(checkpoints), TrainingScores(), TypedOptimizer(), PlateauSchedules()]
            mine += tensorboard_callbacks(settings.seed_everything, settings.pictures)
        self.signals.defer = settings.trainer.enable_checkpointing is not False
        if self.signals.defer:
            mine.append(checkpoints)  # where there is none, Lightning adds one of its own
        if self.run_folder:
            checkpoints.folder = self.run_folder.checkpoints
        if self.request.verb == "predict":
            mine.append(Predictions(self.run_folder.folder / "predictions.csv" if self.run_folder else None))
        return mine

    def _logger(self) -> TensorBoardLogger | bool:
        if self.run_folder is None:  # a run that logs nothing, or a process that does not
            return TensorBoardLogger(self.request.root, self.request.name, 0)
        path = self.run_folder.folder
        # a killed run's curve may be ahead of its checkpoint: what comes again replaces it
        purge = self.checkpoint["global_step"] if self.request.run and self.checkpoint else None
        return TensorBoardLogger(
            path.parents[1], path.parent.name, path.name, default_hp_metric=False, purge_step=purge
        )

    def after_instantiate_classes(self) -> None:
        """Start from the chosen checkpoint, and say what is going to happen."""
        path = self.request.checkpoint
        settings = self.config_init[self.request.verb]
        settings.ckpt_path = str(path) if path else None
        if path:  # its doubles would be rounded, in a model that is made double only after it took them
            self.trainer.precision_plugin.convert_module(self.model)
        if settings.lr_scheduler and not settings.optimizer:
            self.schedule_own_optimizer(settings.lr_scheduler)
        if not self.trainer.is_global_zero:
            return
        if self.fitting:
            count = sum(parameter.numel() for parameter in self.model.parameters())
            where = f" in {self.run_folder}" if self.run_folder else ""
            print(f"{type(self.model).__name__}, {count:,} parameters, on {self.trainer.accelerator.name()}{where}")
        if self.checkpoint and path:
            epochs, step = self.checkpoint["epoch"] + 1, self.checkpoint["global_step"]
            print(f"weights: {relative_to_cwd(path)}, epoch {epochs}, step {step}")
        elif not self.fitting:
            print("weights: untrained, as asked for (--ckpt_path none)")

    def fit(self, **kwargs: Any) -> None:
        """Train, and keep the run's receipt."""
        folder = self.run_folder if self.trainer.is_global_zero else None
        try:
            with folders.lock_run(folder):
                self._fit(folder, **kwargs)
        except Stopped as stopped:
            stopped.is_requeued = bool(folder) and stopped.signal == signal.SIGUSR1 and processes.requeue_slurm_job()
            raise

    def _fit(self, folder: Run | None, **kwargs: Any) -> None:
        before = receipts.read(folder) if folder else {}
        status: receipts.Ending = "failed"
        if folder:
            receipts.start(folder, self.config["fit"].seed_everything, self.trainer.accelerator.name())
        try:
            self.trainer.fit(**kwargs)
            status = "finished"
        except Ended as ended:
            status = ended.status
            ended.step, ended.run = self.trainer.global_step, folder
            raise
        except RuntimeError as error:
            if self.trainer.world_size == 1 or not re.search(r"(?i)closed by peer|reset by peer|nccl", str(error)):
                raise
            checkpoints = self.config_init["fit"].checkpoint.folder  # all processes know this one
            how = f": {program()} fit --resume {Run(checkpoints.parent).name}" if checkpoints else ""
            raise FirstlightError(f"another process of this run ended; go on from its last checkpoint{how}") from error
        finally:
            if folder:
                self._close_receipt(folder, status, before)

    def _close_receipt(self, folder: Run, status: receipts.Ending, before: Mapping[str, Any]) -> None:
        checkpoints = self.config_init["fit"].checkpoint
        best = {"name": checkpoints.monitor, "score": checkpoints.best_score, "epoch": checkpoints.best_epoch}
        scores = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        try:
            if before and not scores and status != "stopped":  # it had finished, or may not go on like this
                receipts.restore(folder, before, status)
            else:
                receipts.end(folder, status, scores, self.trainer.global_step, self.trainer.current_epoch, best)
        except OSError:
            if status == "finished":
                raise  # otherwise the run's own error says what is wrong

    def after_fit(self) -> None:
        """Say what came out, where it is, and what to do next."""
        if not self.trainer.is_global_zero:
            return
        if self.run_folder is None:
            print("every stage ran on a few batches; nothing was saved (trainer.fast_dev_run)")
            return
        if self.checkpoint and self.checkpoint["global_step"] == self.trainer.global_step:
            print(f"there was nothing left to do: raise --trainer.max_epochs (now {self.trainer.max_epochs})")
        checkpoints = self.config_init["fit"].checkpoint
        if checkpoints.best_score is not None:
            print(f"best:    {checkpoints.monitor} {checkpoints.best_score:.5g} in epoch {checkpoints.best_epoch + 1}")
        print(f"run:     {self.run_folder}")
        print(f"curves:  {program()} tensorboard --logdir {relative_to_cwd(self.run_folder.folder.parents[1])}")
        print(f"next:    {program()} test --run {self.run_folder.name}")

    def validate(self, **kwargs: Any) -> None:
        """Score the validation data."""
        self._report(self.trainer.validate(verbose=False, **kwargs)[0])

    def test(self, **kwargs: Any) -> None:
        """Score the test data."""
        self._report(self.trainer.test(verbose=False, **kwargs)[0])

    def _report(self, scores: Mapping[str, float]) -> None:
        """Print the scores, and leave them in the run's folder."""
        if not self.trainer.is_global_zero:
            return
        print("  ".join(f"{name} {value:.5g}" for name, value in sorted(scores.items())))
        if self.run_folder:
            checkpoint = str(self.request.checkpoint) if self.request.checkpoint else None
            text = json.dumps({"checkpoint": checkpoint, **scores}, indent=2) + "\n"
            write_atomically(self.run_folder.folder / f"{self.request.verb}.json", text.encode())

    def predict(self, **kwargs: Any) -> None:
        """Write predictions for the test data."""
        self.trainer.predict(return_predictions=False, **kwargs)
        if self.run_folder and self.trainer.is_global_zero:
            print(f"predictions: {relative_to_cwd(self.run_folder.folder / 'predictions.csv')}")


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value] if value is not None else []
