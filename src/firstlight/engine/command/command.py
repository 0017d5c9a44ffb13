"""One ``fit``, ``validate``, ``test`` or ``predict``: its settings, its model and data, its Trainer."""

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback, LambdaCallback, ProgressBar
from lightning.pytorch.plugins import CheckpointIO, DoublePrecision

from firstlight.engine import callbacks, processes
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.command.classes import allow_imports
from firstlight.engine.command.failures import explain_failure, first_failure
from firstlight.engine.command.finders import keep_found
from firstlight.engine.command.loggers import Place, keep_ids
from firstlight.engine.command.optimizers import set_optimizer
from firstlight.engine.command.own_flags import own_flags
from firstlight.engine.command.parser import dump, instantiate, make_parser, parse
from firstlight.engine.command.refusals import refuse_nonsense, refused_by_library, refused_by_trainer
from firstlight.engine.command.request import Request
from firstlight.engine.command.settings import Setting, as_list
from firstlight.engine.files import write_atomically
from firstlight.engine.quiet import silence_lightning
from firstlight.engine.runs import folders, receipts
from firstlight.engine.runs.checkpoint_checks import refuse_untrained, refuse_weights_alone
from firstlight.engine.runs.checkpoint_files import AtomicCheckpointIO, CheckpointFile
from firstlight.engine.runs.hyperparameters import plain_hyperparameters
from firstlight.engine.runs.loading import load_run_checkpoint
from firstlight.engine.runs.safetensors_files import CHECKPOINT_KEYS
from firstlight.errors import UsageError

STOPPING = ("trainer.callbacks", "trainer.max_time")
"""Settings that may have ended a run early."""


class _Own(LambdaCallback):
    """A class of its own: a ``LambdaCallback`` that the model's ``configure_callbacks`` returns replaces all others."""


@contextlib.contextmanager
def prepared(stage: str, words: Sequence[str], more: Sequence[Setting] = ()) -> Iterator["Command"]:
    """Yield a command with its settings parsed and nothing built; explain what fails while it is in use.

    ``more`` are settings among the words that come from a file, with their places, for messages.

    Raises:
        FirstlightError: If a user can mend what failed.
    """
    silence_lightning()
    allow_imports()
    signals = callbacks.StopSignals()
    signals.install_handlers()
    request, command = Request.read(stage, words), None
    try:
        command = Command(request, signals, more)
        yield command
    except BaseException as error:
        if command and command.run and command.run != request.run:
            folders.discard_unused_folder(command.run)
        failure = first_failure(error)
        mended = explain_failure(failure, request.checkpoint)
        if mended := mended or refused_by_library(failure, [*request.settings, *more]):
            raise mended from failure
        if failure is not error:
            raise failure from None
        raise


class Command:
    """What a command line asks for: parsed when it is made, then built, then run by ``stages.run_stage``."""

    def __init__(self, request: Request, signals: callbacks.StopSignals, more: Sequence[Setting] = ()) -> None:
        self.request = request
        self.signals = signals
        self.is_fit = request.stage == "fit"
        saved = load_run_checkpoint(request.checkpoint) if request.checkpoint else None
        if request.checkpoint and saved is not None:
            refuse = refuse_weights_alone if self.is_fit else refuse_untrained
            refuse(CheckpointFile(request.checkpoint, saved))
        start: dict[str, int | None] = saved or {}
        self.start_epoch, self.start_step = start.get("epoch"), start.get("global_step")
        self._unread = {str(request.checkpoint): saved} if saved else {}
        self.settings = [*request.settings, *more]
        self.parser = make_parser(request.stage)
        self.config = parse(self.parser, request, saved, more)
        self.run = None if self.config.trainer.fast_dev_run else request.run
        is_same = request.run is not None and not any(key.startswith(STOPPING) for key in request.changed)
        self.resumed = callbacks.ResumedCallbacks(
            is_resume=request.checkpoint is not None,
            keep_stop=is_same,
            is_unfinished=request.run is not None and request.run.read_receipt().get("status") != "finished",
        )
        allow_changed = "allow_changed_data" in request.switches
        self.fingerprint = callbacks.DataFingerprint(is_resume=request.is_resume, allow_changed=allow_changed)

    @property
    def argv(self) -> list[str]:
        """The words that ask for the same again, the program's first."""
        return [sys.argv[0], self.request.stage, *self.request.words]

    def claim_folder(self) -> None:
        """Make the folder of a new run; the first process does, and the others hear of it when all have met."""
        if not self.run and not self.config.trainer.fast_dev_run and processes.is_first_process():
            self.run = folders.claim_run_folder(self.request.root, self.request.name)

    def instantiate(self) -> None:
        """Build the model, the data module and the callbacks of the config."""
        if self.config.seed_everything is not False:
            seed_everything(self.config.seed_everything, workers=True)
        self._place = Place(self.request, self.run, self.start_step)
        self.built = instantiate(self.parser, self._place.fill(self.config), self.settings)
        self.model: LightningModule = self.built.model
        self.data = self.built.data
        self.checkpoints: callbacks.Checkpoints = self.built.checkpoint
        self._plain: dict[str, Callable[[Any], dict[str, Any]]] = {}
        for part, (_, key) in CHECKPOINT_KEYS.items():
            self._record_resolved(part)
            if built := self.built[part]:
                self._plain[key] = partial(plain_hyperparameters, type(built), written=partial(self._written, part))
                self._plain[key](built.hparams)  # what cannot be saved is refused now
        set_optimizer(self.model, self.built.optimizer, self.built.lr_scheduler, self.settings)

    def _record_resolved(self, part: str) -> None:
        """Write into the config what a class made of an argument that was null, such as a path in the environment."""
        arguments: dict[str, Any] = (self.config[part] or {}).get("init_args") or {}
        for name, value in getattr(self.built[part], "hparams", {}).items():
            if name in arguments and arguments[name] is None:
                arguments[name] = value

    def _written(self, part: str) -> dict[str, Any]:
        """Return the arguments of the model or the data module, as the run's ``config.yaml`` has them."""
        text = self.parser.dump(self.config, skip_unset=False, skip_validation=True)
        return (yaml.safe_load(text)[part] or {}).get("init_args") or {}

    def build(self, **changes: Any) -> None:
        """Build all that is needed to run; changes are arguments of the Trainer, over those of the config."""
        self.instantiate()
        self.trainer = self.make_trainer(**changes)
        # a model that is made double only after it took its weights, or is averaged, has rounded them
        if isinstance(self.trainer.precision_plugin, DoublePrecision):
            self.trainer.precision_plugin.convert_module(self.model)

    def make_trainer(self, **changes: Any) -> Trainer:
        """Return a Trainer with the run's logger and callbacks; changes are arguments, over those of the config.

        Raises:
            UsageError: If its arguments contradict each other, or ask for what this machine has not.
        """
        settings = {**self.built.trainer, **processes.devices_and_nodes(), **changes}
        settings["strategy"] = _as_commands(settings["strategy"])
        settings["callbacks"] = self._callbacks(as_list(settings["callbacks"]))
        plugins = as_list(settings["plugins"])
        if others := [type(each).__name__ for each in plugins if isinstance(each, CheckpointIO)]:
            raise UsageError(f"trainer.plugins: {others[0]} cannot write a run's checkpoints: they are always atomic")
        settings["plugins"] = [*plugins, AtomicCheckpointIO(self._unread, self._plain)]
        settings["logger"] = self._place.choose(settings["logger"], self.config.logger)
        refuse_nonsense(settings, self.request.stage, self.settings)
        try:
            trainer = Trainer(**settings)
        except Exception as error:  # the Trainer's constructor does nothing but check what was asked for
            raise refused_by_trainer(error, settings, self.settings) from error
        if internals.starts_forks(trainer):
            raise UsageError("trainer.strategy starts the processes of a run as copies of this one: use ddp")
        processes.check_processes(trainer.world_size, trainer.global_rank)
        cores = max(os.cpu_count() or 1, 2)
        if trainer.num_devices > cores and isinstance(trainer.accelerator, CPUAccelerator):
            raise UsageError(f"trainer.devices is {trainer.num_devices}: this machine has {cores} processor cores")
        processes.announce_meeting(trainer)
        return trainer

    def _callbacks(self, given: list[Callback]) -> list[Callback]:
        settings, seed = self.built, self.built.seed_everything
        self.checkpoints.signals = self.signals
        before: list[Callback] = []
        mine: list[Callback] = [self.signals, callbacks.LoaderWorkers(), callbacks.SharedScores(), self.fingerprint]
        is_shared = settings.trainer.use_distributed_sampler is not False
        mine.append(callbacks.ResumableLoaders(seed, use_distributed_sampler=is_shared))
        if settings.trainer.enable_progress_bar is not False and not any(isinstance(c, ProgressBar) for c in given):
            mine.append(callbacks.progress_bar())
        if self.is_fit:
            mine.append(callbacks.SeveralUpdates(settings.updates_per_batch))
            before += [callbacks.StepSeeds(seed)]
            before += [_Own(on_fit_start=lambda trainer, _: keep_found(trainer, self.config, settings))]
            before += [callbacks.BegunAverages(), callbacks.TypedOptimizer()]  # others replace what these need to see
            mine += [callbacks.StepLoss(self.checkpoints), callbacks.PlateauSchedules()]
            mine += [self.resumed, callbacks.ResumedScores()]  # the latter restores what the former begins anew
            mine += callbacks.tensorboard_callbacks(seed, settings.pictures, self._words_of_fit())
            if self.run:
                mine.append(_Own(on_train_start=self._save_config))
        self.signals.defer = settings.trainer.enable_checkpointing is not False
        if self.signals.defer:
            mine.append(self.checkpoints)  # where there is none, Lightning adds one of its own
        if self.run:
            self.checkpoints.folder = self.run.checkpoints
        if self.request.stage == "predict":
            own = self.run.folder / "predictions.csv" if self.run else None
            self.predictions = callbacks.Predictions(self.request.output or own)
            mine.append(self.predictions)
        return before + given + mine

    def _words_of_fit(self) -> str:
        """Return the configs and flags that the run was begun with."""
        commands = self.run.read_receipt().get("commands", []) if self.run else []
        words = [*map(str, commands[0][2:])] if commands and isinstance(commands[0], list) else self.request.words
        own, flags = own_flags("fit", words)
        return shlex.join([*own.config, *flags]) or "none"

    def _save_config(self, trainer: Trainer, _: LightningModule) -> None:
        """Write the run's config, as training starts: a resume that is refused leaves it as it was."""
        if self.run and trainer.is_global_zero:
            write_atomically(self.run.config, dump(self.parser, self.config).encode())
            receipts.update(self.run, not_resumable=callbacks.not_resumable(trainer))
            keep_ids(self.run, trainer.loggers)


def _as_commands(strategy: Any) -> Any:
    """Return the strategy that starts a command for each process, for one that makes copies of this process."""
    found = re.fullmatch(r"ddp_(?:fork|spawn|notebook)(.*)", strategy) if isinstance(strategy, str) else None
    if not found:
        return strategy
    if processes.is_first_process():
        print(f"trainer.strategy: ddp{found[1]} instead of {strategy}, which is for notebooks")
    return f"ddp{found[1]}"
