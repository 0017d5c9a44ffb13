"""What a command line asks for: which configs, which run, which weights.

LightningCLI reads a command line from left to right, so a flag before ``--config`` would lose to it, or
fail. Here configs always go first and flags win. Nothing here needs torch.
"""

import argparse
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from firstlight.engine import processes
from firstlight.engine.command.configs import Config, read_settings
from firstlight.engine.command.own_flags import LATEST, NO_SETTINGS, SWITCHES, own_flags
from firstlight.engine.command.settings import Setting, flatten, prints_only, short_key, split_files, typed_settings
from firstlight.engine.program import expand_home
from firstlight.engine.runs import folders, receipts
from firstlight.engine.runs.folders import Run
from firstlight.engine.texts import printable
from firstlight.errors import CheckpointError, UsageError

CLASSES = ("model", "data", "optimizer", "lr_scheduler")
"""Settings that are a class with its arguments; null takes back what a config before says."""
OF_RUN = (None, "best", "last")
"""Values of ``--ckpt_path`` that mean a checkpoint of the run."""


@dataclass(frozen=True)
class Request:
    """A command line of ``fit``, ``validate``, ``test`` or ``predict``, with its names resolved.

    Args:
        words: What was typed after the stage.
        name: Name for a new run.
        root: Folder that holds, or will hold, ``lightning_logs``.
        run: The run to resume or to evaluate.
        checkpoint: The file to start from; None starts from untrained weights.
        configs: The configs, the strongest last.
        flags: The settings that were typed, in order.
        switches: Which of ``SWITCHES`` are on.
        files: Files and folders to predict for, instead of the test split.
        output: File to write the predictions to.
    """

    stage: str
    words: list[str]
    name: str
    root: Path
    run: Run | None
    checkpoint: Path | None
    configs: list[Config]
    flags: list[str]
    switches: Collection[str] = ()
    files: Sequence[Path] = ()
    output: Path | None = None
    note: str | None = None

    @classmethod
    def read(cls, stage: str, words: Sequence[str]) -> "Request":
        """Resolve the names in a command line; raise a ``UsageError`` for what is not there or contradicts itself."""
        own, flags = own_flags(stage, words)
        flags, files = split_files(flags) if stage == "predict" else (flags, [])
        if missing := [file for file in files if not Path(file).exists()]:
            raise UsageError(f"there is no file or folder {missing[0]} to predict for")
        named = [read_settings(name, stage, NO_SETTINGS) for name in own.config]
        names = [config.path.stem for config in named if not config.is_preset]
        name = own.name or (names[0] if names else None)
        if name and not folders.is_run_name(name):
            raise UsageError(
                f"--name {printable(name)}: a run name must be printable, and no path, $VARIABLE or version_N"
            )
        root = Path(expand_home(_last_value("trainer.default_root_dir", named, flags)) or ".")
        run = checkpoint = None
        if not any(map(prints_only, flags)):
            run = _find_run(stage, own, root, name)
            source = run
            if stage == "fit" and not run and own.ckpt_path in ("best", "last"):  # a new run, from another's weights
                try:
                    source = folders.find_run(root, names[0] if names else None)
                except UsageError as error:
                    raise UsageError(f"--ckpt_path {own.ckpt_path}: {error}") from None
            checkpoint = _find_checkpoint(stage, own.ckpt_path, source)
        configs = _choose_configs(stage, own, named, run, checkpoint)
        switches = [flag for flag in SWITCHES if getattr(own, flag) == "true"]
        more = (switches, [Path(file) for file in files], own.output and Path(expand_home(own.output)), own.note)
        return cls(stage, list(words), name or "default", root, run, checkpoint, configs, flags, *more)

    @property
    def settings(self) -> list[Setting]:
        """All settings with their places, the strongest last."""
        return [*(setting for config in self.configs for setting in config.settings), *typed_settings(self.flags)]

    @property
    def is_resume(self) -> bool:
        """Whether a run is resumed in its folder."""
        return self.stage == "fit" and self.run is not None

    @property
    def typed(self) -> set[str]:
        """The keys that were typed as flags."""
        return {setting.key for setting in typed_settings(self.flags)}

    @property
    def changed(self) -> set[str]:
        """The keys that are set on top of the config of the run that is resumed."""
        own = [self.run.config] if self.run else []
        configs = [config for config in self.configs if config.path not in own]
        return self.typed | {setting.key for config in configs for setting in config.settings}

    def arguments(self, saved: Mapping[str, Any] | None = None) -> list[str]:
        """Return the arguments for the parser: the weakest first, flags last.

        The hyperparameters that were saved in a checkpoint go below everything else, for the class that is configured
        (or, where none is, that of the model in the checkpoint).

        Raises:
            CheckpointError: If the checkpoint is another model's.
        """
        layers: list[dict[str, Any]] = []
        for config in self.configs:
            unset = [key for key in CLASSES if key in config.content and config.content[key] is None]
            layers = [{key: value for key, value in layer.items() if key not in unset} for layer in layers]
            layers.append({key: value for key, value in config.content.items() if key not in unset})
        texts = [yaml.safe_dump(layer, sort_keys=False) for layer in layers]
        if saved:
            kind, saved_kind = _last_value("model", self.configs, self.flags), saved.get("model_class")
            if kind and saved_kind and kind.rpartition(".")[2] != saved_kind.rpartition(".")[2]:
                raise CheckpointError(f"checkpoint {self.checkpoint} is of {saved_kind}, but the model is {kind}")
            kind = kind or saved_kind
            hparams = {key: value for key, value in saved.get("hyper_parameters", {}).items() if key[:1] != "_"}
            if kind and hparams and not self.run:
                model = {"class_path": kind, "init_args": hparams}
                texts.insert(0, json.dumps({"model": model}, default=str))
        # jsonargparse takes a text that is nothing but "trainer:" for the name of a file
        return [*(f"--config=# settings\n{text}" for text in texts), *self.flags]


def _last_value(key: str, configs: Sequence[Config], flags: Sequence[str]) -> str | None:
    """Return the value of a setting as flags, or else configs, have it."""
    values = [(short_key(name), value) for config in configs for name, value in flatten(config.content)]
    values += [(setting.key, setting.value) for setting in typed_settings(flags)]
    return next(
        (str(value) for name, value in reversed(values) if name == key and value not in (None, "", "null")), None
    )


def _find_run(stage: str, own: argparse.Namespace, root: Path, name: str | None) -> Run | None:
    """Return the run to resume or to evaluate; None for a new run, and for weights that are of no run."""
    if stage == "fit":
        job = processes.slurm_job_id() if processes.was_slurm_job_requeued() else None
        if requeued := receipts.find_run_of_job(root, name or "default", job):
            return requeued
        return folders.find_run(root, name if own.resume == LATEST else own.resume) if own.resume else None
    if own.ckpt_path not in OF_RUN:
        if own.run and own.ckpt_path != "none":
            raise UsageError(f"--run {own.run} and --ckpt_path {own.ckpt_path} both name weights: leave one out")
        return None if own.ckpt_path == "none" else folders.run_of_checkpoint(Path(own.ckpt_path))
    try:
        return folders.find_run(root, own.run or name)
    except UsageError as error:
        advice = "or pass --ckpt_path FILE (--ckpt_path none scores the untrained model)"
        raise UsageError(f"{error}\n{advice}") from None


def _find_checkpoint(stage: str, ckpt_path: str | None, run: Run | None) -> Path | None:
    """Return the checkpoint that ``--ckpt_path`` means; None for untrained weights."""
    how = "" if ckpt_path in OF_RUN else "--ckpt_path: "
    if run and ckpt_path in OF_RUN:
        takes_best = ckpt_path == "best" or (ckpt_path is None and stage != "fit" and run.best.exists())
        ckpt_path = str(run.best if takes_best else run.last)
    elif ckpt_path is None or (ckpt_path == "none" and not run):
        return None
    if not Path(ckpt_path).is_file():
        raise UsageError(f"{how}there is no checkpoint {ckpt_path}")
    return Path(ckpt_path)


def _choose_configs(
    stage: str, own: argparse.Namespace, named: list[Config], run: Run | None, checkpoint: Path | None
) -> list[Config]:
    """Return the configs to read, the strongest last: that of the run, or of the checkpoint's, then those named."""
    models = [config for config in named if not config.is_preset]
    origin = folders.run_of_checkpoint(checkpoint) if checkpoint and not (run or models) else run
    if not origin or (models and "start" not in origin.read_receipt()):  # a folder of another program
        return named
    found_by_name = own.resume == LATEST if stage == "fit" else own.run is None and own.ckpt_path in OF_RUN
    if models and found_by_name:  # that config only said which run is meant, whose own config says the same
        named = [config for config in named if config is not models[0]]
    return [read_settings(str(origin.config), stage, NO_SETTINGS), *named]
