"""``firstlight.load``: a trained model, with its data and its config."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from lightning.pytorch import LightningDataModule, LightningModule

from firstlight.engine.packages import find_class
from firstlight.engine.runs import folders
from firstlight.engine.runs.checkpoint_files import load_checkpoint, newest_valid_checkpoint
from firstlight.engine.runs.folders import relative_to_cwd
from firstlight.engine.runs.safetensors_files import KEYS, read_safetensors
from firstlight.errors import CheckpointError

__all__ = ["Trained", "load", "load_run_checkpoint"]

Part = TypeVar("Part", LightningModule, LightningDataModule)


class Trained(NamedTuple):
    """What a run came to."""

    model: LightningModule
    """The trained model: on the CPU, in torch's default precision, in evaluation mode."""
    data: LightningDataModule | None
    """The data module it was trained with, not set up yet; None where the checkpoint does not say which."""
    config: dict[str, Any]
    """The run's whole configuration; of a run of the Python API, class and arguments of ``model`` and ``data``."""
    checkpoint: Path
    """The file that the weights are from."""


def load(
    run: str | os.PathLike[str] | None = None, *, last: bool = False, root: str | os.PathLike[str] = "."
) -> Trained:
    """Return a trained model, its data module, its config and its checkpoint.

    The weights are those that the run was scored with: averages, where ``EMAWeightAveraging`` makes them
    (``StochasticWeightAveraging`` makes them the last weights, when training ends). Nothing in a file is
    executed, and no module is imported because a file names it: classes are those of firstlight, of packages
    that their owner added (FIRSTLIGHT_PACKAGES, or an entry point in the group ``firstlight.packages``), and
    what the program has imported itself.

    Args:
        run: A name (``mlp``: its latest run), ``mlp/version_3``, a run's folder, a checkpoint, or a file that
            ``firstlight export`` wrote as safetensors; by default the latest run of all.
        last: Take the weights of the last step, not those with the best validation score.
        root: Folder that holds ``lightning_logs``, for a run that is given by its name.

    Raises:
        UsageError: If there is no such run.
        CheckpointError: If it has no checkpoint, or a damaged one, or one whose classes cannot be had.
    """
    path = _find(run, Path(root), last=last)
    checkpoint = read_safetensors(path) if path.suffix == ".safetensors" else load_run_checkpoint(path)
    origin = folders.run_of_checkpoint(path)
    written = origin.read_config() if origin else {}
    config = written | {part: _described(part, checkpoint, written) for part in KEYS}
    if not config["model"]:
        raise CheckpointError(f"checkpoint {path} does not say of which class its model is: use load_from_checkpoint")
    model = _build("model", LightningModule, config, checkpoint, path)
    data = _build("data", LightningDataModule, config, checkpoint, path) if config["data"] else None
    return Trained(model.eval(), data, config, path)


def load_run_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; where it is damaged, say which other one of its run is good.

    Raises:
        CheckpointError: If it is missing, damaged, or no checkpoint of a Trainer.
    """
    try:
        return load_checkpoint(path)
    except CheckpointError as error:
        run = folders.run_of_checkpoint(path)
        good = newest_valid_checkpoint(run.checkpoints) if run else None
        if run is None or good is None:
            raise
        other, step = good
        raise CheckpointError(
            f"{error}\nthe newest good one of its run is {relative_to_cwd(other)}, step {step}"
        ) from error


def _find(reference: str | os.PathLike[str] | None, root: Path, *, last: bool) -> Path:
    """Return the checkpoint that is meant."""
    if reference is not None and (Path(reference).is_file() or Path(reference).suffix in (".ckpt", ".safetensors")):
        return Path(reference)
    run = folders.find_run(root, None if reference is None else os.fspath(reference))
    names = {path.name for path in run.checkpoints.glob("*.ckpt")}
    if not names:
        raise CheckpointError(f"there is no checkpoint in {run}")
    if names <= {run.best.name, run.last.name}:
        return run.last if last or run.best.name not in names else run.best
    newest = newest_valid_checkpoint(run.checkpoints)  # a ModelCheckpoint's, which makes up names
    if newest is None:
        raise CheckpointError(f"all checkpoints in {run} are damaged: {', '.join(sorted(names))}")
    return newest[0] if last or len(names) == 1 else _best(newest[0])


def _best(newest: Path) -> Path:
    """Return the best checkpoint of a run, by what a ModelCheckpoint has noted in the newest."""
    states = load_checkpoint(newest).get("callbacks", {}).values()
    noted = [state for state in states if state.get("best_model_path")]
    noted.sort(key=lambda state: state["monitor"] is None)  # one that looks at a score goes first
    best = newest.with_name(Path(noted[0]["best_model_path"]).name) if noted else None
    if best is None or not best.exists():
        raise CheckpointError(
            f"none of the checkpoints in {relative_to_cwd(newest.parent)} says which is the best: name one"
        )
    return best


def _described(part: str, checkpoint: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return class and arguments of a part by its checkpoint, else by its run's config; None if they are not known."""
    kind, key = KEYS[part]
    section = written.get(part) or {}
    name, arguments = checkpoint.get(kind, section.get("class_path")), checkpoint.get(key, section.get("init_args"))
    # a model with wrong arguments does not fit its weights; data that is not what it was would not show
    if name is None or (part == "data" and arguments is None and not section):
        return None
    return {"class_path": name, "init_args": {k: v for k, v in (arguments or {}).items() if k[:1] != "_"}}


def _build(part: str, base: type[Part], config: Mapping[str, Any], checkpoint: dict[str, Any], path: Path) -> Part:
    """Build a model or data module, with the state that the checkpoint has of it."""
    described = config[part]
    kind = find_class(described["class_path"], base, f"{part} of checkpoint {path}")
    content = io.BytesIO()
    torch.save({**checkpoint, KEYS[part][1]: described["init_args"]}, content)
    content.seek(0)
    try:
        return kind.load_from_checkpoint(content, map_location="cpu", weights_only=True)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()[:30])
        raise CheckpointError(f"checkpoint {path} does not fit {described['class_path']}: {reason}") from error
