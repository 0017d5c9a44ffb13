"""The predictions of a run, written as a CSV file."""

import csv
import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from firstlight.data.data_module import DataModule
from firstlight.data.order import Order
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.files import write_atomically
from firstlight.engine.runs.inputs import predicted_columns
from firstlight.errors import UsageError

__all__ = ["Predictions"]

Table = dict[str, Any]
"""Columns by name, each a tensor or a list with an entry for each example."""
POSITIONS = {"dataloader", "index"}
"""Columns that say which example a row is of."""


class Predictions(Callback):
    """Write what ``predict_step`` returns to a CSV file, one row an example.

    A tensor, an array or a list with an entry for each example is a column, and one of shape ``(batch, n)`` becomes
    ``n`` columns. Returned alone it is called ``prediction``; tuples and mappings of columns may be nested. What is no
    column is left out, and a warning names it. A column of class numbers called ``class`` is followed by the names of
    the classes, where the data has names.

    Args:
        path: The file to write; None in a process that does not write, and in a trial run that keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.num_rows = 0
        self.places: list[tuple[str, int]] | None = None
        """File and row of each example, where they come from files: columns in place of those of the data."""

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with an empty table."""
        self.batches: list[Table] = []
        self.left_out: dict[str, str] = {}

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add a batch."""
        loaders = trainer.predict_dataloaders
        order = getattr(loaders, "order", None)
        columns: Table = {"index": order.indices(batch_idx)} if isinstance(order, Order) else {}
        for name, value in _leaves(outputs):
            column = _column(value)
            num_rows = _num_rows(columns) or len(column)
            if not len(column):
                self.left_out[name] = type(value).__name__
            elif len(column) != num_rows:
                self.left_out[name] = f"{len(column)} entries in a batch of {num_rows}"
            else:
                columns[name] = column
        if isinstance(loaders, list | tuple) and len(loaders) > 1 and columns:
            columns = {"dataloader": torch.full((_num_rows(columns),), dataloader_idx), **columns}
        self.batches.append(columns)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file, in the first process.

        Raises:
            UsageError: If there is no column.
        """
        parts = [part for part in _gather(self._join(self.batches)) if part]
        self.num_rows = sum(map(_num_rows, parts))
        if not trainer.is_global_zero or self.path is None:
            return
        table = self._join(parts)
        reasons = ", ".join(f"{name} ({why})" for name, why in self.left_out.items())
        if not table.keys() - POSITIONS:
            what = f"{type(pl_module).__name__}.predict_step returned nothing with an entry for each example"
            raise UsageError(f"{what}: {reasons or 'None'}")
        if reasons:
            print(f"warning: {self.path.name} is without {reasons}", file=sys.stderr)
        data = internals.datamodule_of(trainer)
        classes = data.classes if isinstance(data, DataModule) else ()
        if self.places is None:
            columns = dict(_printed(table, classes))
        else:
            places = [self.places[row] for row in table["index"].tolist()]
            columns = {"file": [file for file, _ in places], "row": [row for _, row in places]}
            columns |= _printed(predicted_columns(table), classes)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows([column[row] for column in columns.values()] for row in _row_order(parts))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, text.getvalue().encode())

    def _join(self, parts: list[Table]) -> Table:
        """Return the columns that all parts have, one below the other."""
        joined: Table = {}
        for name in dict.fromkeys(name for part in parts for name in part):
            columns: list[Any] = [part.get(name) for part in parts]
            if all(isinstance(column, list) for column in columns):
                joined[name] = [entry for column in columns for entry in column]
            elif all(isinstance(column, Tensor) for column in columns) and len({c.shape[1:] for c in columns}) == 1:
                joined[name] = torch.cat(columns)
            else:
                self.left_out[name] = "of another shape in another batch"
        return joined


def _leaves(outputs: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield what tuples, mappings and lists of tensors hold, by name."""
    if hasattr(outputs, "_asdict"):  # a named tuple
        outputs = outputs._asdict()
    if isinstance(outputs, Mapping):
        for key, value in outputs.items():
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    elif isinstance(outputs, tuple) or (isinstance(outputs, list) and any(isinstance(x, Tensor) for x in outputs)):
        for number, value in enumerate(outputs, start=1):
            yield from _leaves(value, f"{name or 'prediction'}.{number}")
    elif outputs is not None:
        yield name or "prediction", outputs


def _column(value: Any) -> Tensor | list[Any]:
    """Return a value as a column; an empty list if it is none."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        if all(isinstance(entry, str | int | float) for entry in value):
            return value
        try:
            value = torch.from_numpy(np.array(value))
        except (RuntimeError, TypeError, ValueError):  # entries of several lengths, or of other kinds
            return []
    is_column = isinstance(value, Tensor) and value.ndim and value.numel() and not value.is_complex()
    return value.detach().cpu() if is_column else []


def _num_rows(table: Table) -> int:
    return len(next(iter(table.values()), ()))


def _gather(table: Table) -> list[Table]:
    """Return the tables of all processes."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [table]
    tables: list[Table] = [{}] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(tables, table)
    return tables


def _row_order(parts: list[Table]) -> list[int]:
    """Return the order of rows in which they are those of the data: processes take examples in turn."""
    places: list[tuple[int, int, int]] = []
    for process, part in enumerate(parts):
        rows = _num_rows(part)
        loaders = part["dataloader"].tolist() if "dataloader" in part else [0] * rows
        starts = {loader: loaders.index(loader) for loader in set(loaders)}
        counted = [row - starts[loader] for row, loader in enumerate(loaders)]
        numbers = part["index"].tolist() if "index" in part else counted
        places += zip(loaders, numbers, [process] * rows, strict=True)
    return sorted(range(len(places)), key=places.__getitem__)


def _printed(table: Table, classes: tuple[str, ...]) -> Iterator[tuple[str, list[object]]]:
    """Yield the columns of the file."""
    for name, values in table.items():
        if isinstance(values, list):
            yield name, values
            continue
        flat = values.reshape(len(values), -1)
        for number, column in enumerate(flat.unbind(1), start=1):
            title = name if flat.shape[1] == 1 else f"{name}{number}"
            if not column.is_floating_point():
                yield title, column.tolist()
            else:  # nine digits identify a float32
                yield title, [f"{value:.9g}" for value in column.tolist()]
        if name == "class" and classes:
            yield "name", [classes[number] for number in values.tolist()]
