"""``firstlight.load``: a trained model, with its data and its config."""

import io
import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from PIL import Image
from torch import Tensor

from firstlight.engine.packages import import_class
from firstlight.engine.runs.checkpoint_checks import accepted_arguments, refuse_other_shapes, refuse_untrained
from firstlight.engine.runs.checkpoint_files import CheckpointFile, load_checkpoint, newest_valid_checkpoint
from firstlight.engine.runs.columns import join_columns
from firstlight.engine.runs.folders import Run, find_run, relative_to_cwd, run_of_checkpoint
from firstlight.engine.runs.hyperparameters import from_plain
from firstlight.engine.runs.inputs import predict_inputs, read_inputs
from firstlight.engine.runs.safetensors_files import CHECKPOINT_KEYS
from firstlight.engine.texts import in_short
from firstlight.errors import CheckpointError, DataError

Part = TypeVar("Part", LightningModule, LightningDataModule)


class Trained(NamedTuple):
    """What ``load`` returns."""

    model: LightningModule
    """The trained model: on the CPU, in torch's default precision, in evaluation mode."""
    data: LightningDataModule | None
    """The data module it was trained with, before ``setup``; None if the checkpoint does not name it."""
    config: dict[str, Any]
    """The run's complete config; for a run of a plain Trainer, class and arguments of ``model`` and ``data``."""
    checkpoint: Path
    """The file that holds the weights."""

    def predict(self, inputs: Any) -> dict[str, Any]:
        """Return what the model predicts: the columns of ``predict_step`` by name, and the names of classes.

        Args:
            inputs: A file or folder, or several, as ``firstlight predict`` takes them, or images of Pillow; or an array
                or tensor of shape ``(examples, ...)``: the features of a table in their own units, or images as bytes
                from 0 to 255 or floats from 0 to 1.

        Raises:
            DataError: If a file cannot be read.
            UsageError: If the run's data module cannot read files, or an array has not the shape that it expects.
        """
        if isinstance(inputs, Tensor | np.ndarray):
            return predict_inputs(self.model, self.data, torch.as_tensor(inputs))
        tables: list[dict[str, Any]] = []
        for part in read_inputs(self.data, [inputs] if isinstance(inputs, str | os.PathLike | Image.Image) else inputs):
            if not part.skipped:
                tables.append(predict_inputs(self.model, self.data, part.x))
        if part.skipped:
            raise DataError(part.skipped[0])
        return join_columns(tables, {})


def load(
    run: str | os.PathLike[str] | None = None, *, last: bool = False, root: str | os.PathLike[str] = "."
) -> Trained:
    """Return a trained model, its data module, its config and its checkpoint.

    The weights are those that the run was scored with: the averages, if it used ``EMAWeightAveraging``
    (``StochasticWeightAveraging`` replaces the last weights by the averages when training ends). A file cannot run
    code, nor choose which modules are imported: its classes must come from firstlight, from packages that their
    owner added (FIRSTLIGHT_PACKAGES, or an entry point in the group ``firstlight.packages``), or from modules that
    the program has already imported.

    Args:
        run: A run name (``mlp``: the latest with this name), ``mlp/version_3``, a run's folder, a checkpoint, or a
            safetensors file from ``firstlight export``; by default the latest run.
        last: Load the weights of the last step instead of those with the best validation score.
        root: Folder that holds ``lightning_logs``, if ``run`` is a name.

    Raises:
        UsageError: If there is no such run.
        CheckpointError: If it has no checkpoint, or the checkpoint is damaged, or its classes cannot be imported.
    """
    return load_from(*_resolve(run, Path(root), last=last))


def load_from(origin: Run | None, checkpoint: CheckpointFile) -> Trained:
    """Return what :func:`load` does, from a checkpoint that was read, of a run or of none.

    Raises:
        CheckpointError: If its weights were never trained, or its classes cannot be imported.
    """
    refuse_untrained(checkpoint)
    written = origin.read_config() if origin and origin.config.is_file() else {}
    config = written | {part: _class_and_arguments(part, checkpoint.content, written) for part in CHECKPOINT_KEYS}
    if not config["model"]:
        raise CheckpointError(f"checkpoint {checkpoint.path} does not name its model's class: use load_from_checkpoint")
    model = _build("model", LightningModule, config, checkpoint)
    data = _build("data", LightningDataModule, config, checkpoint) if config["data"] else None
    return Trained(model.eval(), data, config, checkpoint.path)


def load_run_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint; if it is damaged, the error names the newest valid one of the same run.

    Raises:
        CheckpointError: If the file is missing or damaged, or a Trainer did not write it.
    """
    try:
        return load_checkpoint(path)
    except CheckpointError as error:
        run = run_of_checkpoint(path)
        valid = newest_valid_checkpoint(run.checkpoints) if run else None
        if valid is None:
            raise
        hint = f"the newest valid checkpoint of this run is {relative_to_cwd(valid.path)}, step {valid.step}"
        raise CheckpointError(f"{error}\n{hint}") from error


def _resolve(reference: str | os.PathLike[str] | None, root: Path, *, last: bool) -> tuple[Run | None, CheckpointFile]:
    """Return the run that a reference names, and its checkpoint; a checkpoint from elsewhere has no run."""
    if reference is not None and (Path(reference).is_file() or Path(reference).suffix in (".ckpt", ".safetensors")):
        path = Path(reference)
        return run_of_checkpoint(path), CheckpointFile(path, load_run_checkpoint(path))
    run = find_run(root, None if reference is None else os.fspath(reference))
    return run, _choose_checkpoint(run, last=last)


def _choose_checkpoint(run: Run, *, last: bool) -> CheckpointFile:
    paths = {*run.checkpoints.glob("*.ckpt")}
    if not paths:
        raise CheckpointError(f"there is no checkpoint in {run}")
    if paths & {run.best, run.last}:
        path = run.last if run.last in paths and (last or run.best not in paths) else run.best
        return CheckpointFile(path, load_run_checkpoint(path))
    newest = newest_valid_checkpoint(run.checkpoints)  # ModelCheckpoint chose the names, which do not tell the order
    if newest is None:
        raise CheckpointError(f"all checkpoints in {run} are damaged: {', '.join(sorted(path.name for path in paths))}")
    return newest if last or len(paths) == 1 else _best_by_model_checkpoint(newest)


def _best_by_model_checkpoint(newest: CheckpointFile) -> CheckpointFile:
    """Return the best checkpoint of a run, by the state of ModelCheckpoint in the newest."""
    states = [state for state in newest.content.get("callbacks", {}).values() if state.get("best_model_path")]
    states.sort(key=lambda state: state["monitor"] is None)  # the first with a monitored score
    path = newest.path.with_name(Path(states[0]["best_model_path"]).name) if states else None
    if path == newest.path:
        return newest
    if path is None or not path.exists():
        folder = relative_to_cwd(newest.path.parent)
        raise CheckpointError(f"no checkpoint in {folder} names the best one: pass the path of a checkpoint")
    return CheckpointFile(path, load_run_checkpoint(path))


def _class_and_arguments(part: str, content: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return class and arguments of the model or the data, if known.

    The checkpoint goes before the run's config, which has the arguments that are no hyperparameters too.
    """
    class_key, arguments_key = CHECKPOINT_KEYS[part]
    section = written.get(part) or {}
    saved = content.get(arguments_key)
    name = content.get(class_key) or (saved or {}).get("_class_path") or section.get("class_path")
    arguments = {**(section.get("init_args") or {}), **(saved or {})} if section or saved is not None else None
    # a model with wrong arguments does not fit its weights, but data with wrong arguments would go unnoticed
    if name is None or (part == "data" and arguments is None and not section):
        return None
    return {"class_path": name, "init_args": {k: v for k, v in (arguments or {}).items() if k[:1] != "_"}}


def _build(part: str, base: type[Part], config: Mapping[str, Any], checkpoint: CheckpointFile) -> Part:
    """Build the model or the data module, with its state from the checkpoint."""
    class_path, arguments = config[part]["class_path"], config[part]["init_args"]
    part_class = import_class(class_path, base, f"{part} of checkpoint {checkpoint.path}")
    accepted = accepted_arguments(part_class, arguments, checkpoint.path)
    objects = from_plain(part_class, accepted, f"checkpoint {checkpoint.path}")
    if part == "model":
        refuse_other_shapes(part_class, objects, checkpoint)
    buffer = io.BytesIO()
    torch.save({**checkpoint.content, CHECKPOINT_KEYS[part][1]: arguments}, buffer)
    buffer.seek(0)
    try:
        with torch.device("cpu"):  # whatever the program's default is
            return part_class.load_from_checkpoint(buffer, map_location="cpu", weights_only=True, **objects)
    except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = f"{in_short(error)} (in {traceback.extract_tb(error.__traceback__)[-1].name})"
        raise CheckpointError(f"checkpoint {checkpoint.path} does not fit {class_path}: {reason}") from error
