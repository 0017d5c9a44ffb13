"""Examples in files, or in an array, for a trained model to predict."""

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from firstlight.data.data_module import DataModule
from firstlight.engine.runs.columns import Table, add_columns, join_columns
from firstlight.errors import DataError, UsageError

OF_DATA = ("index", "x", "y", "truth")
"""Columns of predictions that say nothing where the examples come from a file: they are in it, or not known."""
PART = 2**26
"""Bytes of inputs that are read before the model predicts for them."""


class Inputs(NamedTuple):
    """A part of what was read from files.

    Args:
        x: The inputs, as a split of the data module holds them.
        places: File and row of each, rows from 1.
        changes: What was done to make them so, and to how many, in all parts up to here.
        skipped: Why a file was skipped, one text each, in all parts up to here.
    """

    x: Tensor
    places: list[tuple[str, int]]
    changes: Counter[str]
    skipped: list[str]


def read_inputs(data: object, paths: Iterable[Any], part: float = PART) -> Iterator[Inputs]:
    """Yield the examples in files, images of Pillow and suitable files in folders, in parts; damaged ones are skipped.

    Raises:
        DataError: If nothing is left.
        UsageError: If the data module cannot read files.
    """
    if not isinstance(data, DataModule):
        kind = "no data module" if data is None else type(data).__name__
        raise UsageError(f"files are read by a data module of firstlight, but the run was trained with {kind}")
    batch = (data.batch_size or 1) * data.evaluation_times  # parts of whole batches give the same bits as one part
    inputs: list[Tensor] = []
    found = Inputs(torch.empty(0), [], Counter(), [])
    is_first, size = True, 0
    for path in _files(data, paths):
        try:
            x, change = data.read_file(path)
        except DataError as error:
            found.skipped.append(str(error))
            continue
        inputs.append(x)
        size += x.nbytes
        found.places.extend((str(path), row + 1) for row in range(len(x)))
        found.changes.update([change] * (change != ""))
        if size >= part and (end := len(found.places) // batch * batch):
            x = torch.cat(inputs)
            yield found._replace(x=x[:end], places=found.places[:end])
            is_first, inputs = False, [x[end:].clone()]
            del found.places[:end]
            size = inputs[0].nbytes
    if found.places:
        yield found._replace(x=torch.cat(inputs))
    elif is_first:
        kinds = ", ".join(data.file_suffixes) or f"file, as {type(data).__name__} has no file_suffixes,"
        reason = found.skipped[0] if found.skipped else f"no {kinds} in the folders"
        raise DataError(f"there is nothing to predict for: {reason}")


def serve_inputs(data: Any, x: Tensor) -> None:
    """Let a data module serve inputs in place of its test split; it need not find the data that it was trained on."""
    data.test = data.without_targets(x)
    data.prepare_data = data.setup = lambda *_, **__: None


def predict_inputs(model: LightningModule, data: object, x: Tensor) -> dict[str, Any]:
    """Return the columns that a model predicts for inputs, by name, with the names of classes.

    Raises:
        UsageError: If an input has not the shape that the model was trained on.
    """
    if isinstance(data, DataModule):
        if (shape := data.input_shape) and [n for n in x.shape[1:] if n > 1] != [n for n in shape if n > 1]:
            expected = ", ".join(map(str, ("examples", *shape)))
            raise UsageError(f"the inputs have the shape {tuple(x.shape)}: expected ({expected})")
        x = x.reshape(-1, *shape) if shape else x  # grey images may come without their channel
        batches: Any = data.batches(data.without_targets(x), times=data.evaluation_times)
    else:
        batches = [(x, torch.zeros(len(x), dtype=torch.long))]
    left_out: dict[str, str] = {}
    with torch.inference_mode():
        tables = [
            add_columns({}, model.predict_step(batch, number), left_out, batch) for number, batch in enumerate(batches)
        ]
    columns = predicted_columns(join_columns(tables, left_out))
    if left_out:
        warnings.warn(f"what has no entry for each example is left out: {', '.join(left_out)}", stacklevel=3)
    numbers = columns.get("class")
    if isinstance(numbers, Tensor) and numbers.ndim == 1 and isinstance(data, DataModule) and data.classes:
        columns["name"] = [data.classes[number] for number in numbers.tolist()]
    return columns


def predicted_columns(table: Table) -> Table:
    """Return the columns that are predictions, not data."""
    return {name: column for name, column in table.items() if name not in OF_DATA}


def _files(data: DataModule, paths: Iterable[Any]) -> Sequence[Any]:
    found: list[Any] = []
    for path in (Path(each) if isinstance(each, str | os.PathLike) else each for each in paths):
        if isinstance(path, Path) and path.is_dir():
            shown = (file for file in sorted(path.rglob("*")) if file.suffix.lower() in data.file_suffixes)
            found += [file for file in shown if file.name[0] != "." and file.is_file()]
        else:
            found.append(path)
    return found
