"""What was typed, taken apart before any parser sees it: configs by name, the run that is meant, the order of things.

LightningCLI reads a command line from left to right, so a flag before ``--config`` would lose to it, or
fail. Here configs always go first and flags win. Nothing here needs torch.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from firstlight.engine import processes
from firstlight.engine.command.configs import find_config
from firstlight.engine.command.settings import Setting, read_settings
from firstlight.engine.runs import folders, receipts
from firstlight.engine.runs.folders import Run
from firstlight.errors import CheckpointError, UsageError

__all__ = ["Request"]

LATEST = "latest"


@dataclass
class Request:
    """One command line of ``fit``, ``validate``, ``test`` or ``predict``, understood.

    Args:
        verb: What to do.
        name: Name for a new run.
        root: Folder that holds, or will hold, ``lightning_logs``.
        run: The run whose folder is used again: the one to resume, or to evaluate.
        checkpoint: The checkpoint to start from; None starts from untrained weights.
        claimed: The folder that was made for it.
        configs: The files of settings, the strongest last.
        flags: Everything else that was typed, in order.
        settings: What configs and flags say, the strongest last.
    """

    verb: str
    name: str
    root: Path
    run: Run | None = None
    checkpoint: Path | None = None
    claimed: Run | None = None
    configs: list[Path] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)

    @classmethod
    def read(cls, verb: str, typed: Sequence[str]) -> "Request":
        """Understand what was typed after the verb.

        Raises:
            UsageError: If a config, a run or a checkpoint is named that is not there.
        """
        names, flags = _split(typed)
        root = Path(_value(flags, "--trainer.default_root_dir") or _from_configs(names, "default_root_dir") or ".")
        own = [name for name in names if Path(name).parent.name != "presets"]  # a preset is no run's name
        name = _value(flags, "--name") or (Path(own[0]).stem if own else None)
        if name and (name != Path(name).name or name == ".."):
            raise UsageError(f"--name {name}: a run's name is that of a folder, without a way to it")
        if verb == "fit" and _value(flags, "--run", LATEST):
            raise UsageError("--run belongs to validate, test and predict; to go on with a run: fit --resume RUN")
        if verb != "fit" and _value(flags, "--resume", LATEST):
            raise UsageError(f"--resume belongs to fit; to choose a run: {verb} --run RUN")
        if _value(flags, "--resume", LATEST) and _value(flags, "--name", LATEST):
            raise UsageError(
                "--name names a new run; with --resume a run goes on in its own folder, under its own name"
            )
        request = cls(verb, name or "default", root, flags=flags)
        by_name = False
        if not any(_asks(flag) for flag in flags):
            by_name = request._choose_start(name) if verb == "fit" else request._choose_weights(name)
        if by_name and own:
            names.remove(own[0])  # it said which run is meant; the run's own config says all that it did
        base = [request.run.config] if request.run else []
        if request.checkpoint and not request.run and not own:
            origin = folders.run_of_checkpoint(request.checkpoint)
            base = [origin.config] if origin else []
        request.configs = [*base, *map(find_config, names)]
        request.settings = read_settings(request.configs, flags)
        return request

    def arguments(self, checkpoint: Mapping[str, Any] | None = None) -> list[str]:
        """Return the arguments for the parser: the weakest first, flags last.

        Args:
            checkpoint: Its hyperparameters go below everything else, for the class that is configured
                (or, where none is, the class that the checkpoint says it is of).

        Raises:
            CheckpointError: If the checkpoint is another model's.
        """
        layers = [f"--config={path}" for path in self.configs]
        kinds = [s.value for s in self.settings if s.key == "model" and isinstance(s.value, str)]
        kind = kinds[-1] if kinds else None
        if checkpoint:
            saved = checkpoint.get("model_class")
            if kind and saved and kind.rpartition(".")[2] != saved.rpartition(".")[2]:
                raise CheckpointError(f"checkpoint {self.checkpoint} is of {saved}, but the model is {kind}")
            kind = kind or saved
            hparams = {key: value for key, value in checkpoint.get("hyper_parameters", {}).items() if key[:1] != "_"}
            if kind and hparams and not self.run:
                layers.insert(0, "--config=" + json.dumps({"model": {"class_path": kind, "init_args": hparams}}))
        return [self.verb, *layers, *self.flags]

    def _choose_start(self, name: str | None) -> bool:
        """Find what a fit goes on from; return whether the config's name chose it."""
        resume, path = _value(self.flags, "--resume", default=LATEST), _value(self.flags, "--ckpt_path")
        requeued = (
            receipts.find_run_of_job(self.root, self.name, processes.slurm_job_id())
            if processes.was_slurm_job_requeued()
            else None
        )
        if resume or requeued:
            self.run = requeued or folders.find_run(self.root, name if resume == LATEST else resume)
            self.checkpoint = _existing(
                {"best": self.run.best, "last": self.run.last, None: self.run.last}.get(path, path)
            )
        elif path not in (None, "none"):
            self.checkpoint = _existing(path)
        return resume == LATEST

    def _choose_weights(self, name: str | None) -> bool:
        """Find what is to be evaluated; return whether the config's name chose it."""
        reference, path = _value(self.flags, "--run") or name, _value(self.flags, "--ckpt_path")
        if path == "none":
            return False
        if path not in (None, "best", "last"):
            self.checkpoint = _existing(path)
            self.run = folders.run_of_checkpoint(self.checkpoint)
            return False
        try:
            self.run = folders.find_run(self.root, reference)
        except UsageError as error:
            advice = "which weights? Train a run, or give --ckpt_path FILE (or none: untrained)"
            raise UsageError(f"{error}\n{advice}") from None
        best = self.run.best if path == "best" or self.run.best.exists() else self.run.last
        self.checkpoint = _existing(self.run.last if path == "last" else best)
        return _value(self.flags, "--run") is None


def _asks(flag: str) -> bool:
    """Return whether a flag only asks for something to read, for which no run is needed."""
    name = flag.partition("=")[0]
    return name in ("-h", "--help", "--print_config") or (name.startswith("--") and name.endswith(".help"))


def _existing(path: Any) -> Path:
    if not Path(path).is_file():
        raise UsageError(f"--ckpt_path: there is no checkpoint {path}")
    return Path(path)


def _split(typed: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the configs that were typed, and everything else, each in order."""
    names, flags = [], []
    rest = iter(typed)
    for word in rest:
        if word in ("-c", "--config"):
            name = next(rest, None)
            if name is None:
                raise UsageError(f"{word} needs the name of a config")
            names.append(name)
        elif word.startswith(("-c=", "--config=")):
            names.append(word.partition("=")[2])
        else:
            flags.append(word)
    return names, flags


def _value(flags: list[str], key: str, default: str | None = None) -> str | None:
    """Return the value of a flag where it was last typed; ``default`` is for a flag that stands alone."""
    found = None
    for number, word in enumerate(flags):
        if word.startswith(f"{key}="):
            found = word.removeprefix(f"{key}=")
        elif word == key:
            following = flags[number + 1 : number + 2]
            found = following[0] if following and not following[0].startswith("-") else default
    return found


def _from_configs(names: list[str], key: str) -> str | None:
    """Return a setting of the trainer from the last config that has it."""
    found = None
    for settings in _trainer_settings(names):
        found = settings.get(key) or found
    return found


def _trainer_settings(names: list[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        try:
            config = yaml.safe_load(find_config(name).read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue  # the parser says it better
        settings = config.get("trainer") if isinstance(config, dict) else None
        if isinstance(settings, dict):
            yield settings
