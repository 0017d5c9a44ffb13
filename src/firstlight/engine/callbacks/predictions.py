"""The predictions of a run, written as a CSV file."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.data.data_module import DataModule
from firstlight.data.order import Order
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.files import make_folder, write_atomically
from firstlight.engine.runs.columns import Table, add_columns, join_columns, num_rows
from firstlight.engine.runs.inputs import predicted_columns
from firstlight.engine.sharding import gather_objects
from firstlight.errors import UsageError

POSITIONS = {"dataloader", "index"}
"""Columns that say which example a row is of."""


class Predictions(Callback):
    """Write what ``predict_step`` returns to a CSV file, one row an example.

    A tensor, an array or a list with an entry for each example is a column, and one of shape ``(batch, n)`` becomes
    ``n`` columns. Entries that are lists or mappings, or of several shapes, are written as JSON. Returned alone it is
    called ``prediction``; tuples and mappings of columns may be nested. What is no column is left out, and a warning
    names it. A column of class numbers called ``class`` is followed by the names of the classes, where the data has
    names.

    Args:
        path: The file to write; None in a process that does not write, and in a trial run that keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.num_rows = 0
        self.parts: list[Table] = []
        """What each process predicted, in each call of ``Trainer.predict``."""
        self.places: list[tuple[str, int]] = []
        """File and row of each example, where they come from files: columns in place of those of the data."""
        self.left_out: dict[str, str] = {}

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with an empty table."""
        self.batches: list[Table] = []

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
        columns: Table = {"index": order.indices(batch_idx) + self.num_rows} if isinstance(order, Order) else {}
        columns = add_columns(columns, outputs, self.left_out, batch)
        if isinstance(loaders, dict | list | tuple) and len(loaders) > 1 and columns:
            columns = {"dataloader": torch.full((num_rows(columns),), dataloader_idx), **columns}
        self.batches.append(columns)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Collect what all processes predicted."""
        parts = [part for part in gather_objects(join_columns(self.batches, self.left_out)) if part]
        self.num_rows += sum(map(num_rows, parts))
        self.parts += parts

    def write(self, trainer: Trainer) -> None:
        """Write the file, in the first process.

        Raises:
            UsageError: If there is no column.
        """
        if not trainer.is_global_zero or self.path is None:
            return
        parts = self.parts
        table = join_columns(parts, self.left_out)
        reasons = ", ".join(f"{name} ({why})" for name, why in self.left_out.items())
        if not table.keys() - POSITIONS:
            what = "predict_step returned nothing with an entry for each example"
            raise UsageError(f"{type(trainer.lightning_module).__name__}.{what}: {reasons or 'None'}")
        if reasons:
            print(f"warning: {self.path.name} is without {reasons}", file=sys.stderr)
        data = internals.typed(trainer).datamodule
        classes = data.classes if isinstance(data, DataModule) else ()
        if not self.places:
            columns = dict(_printed(table, classes))
        else:
            places = [self.places[row] for row in table["index"].tolist()]
            columns = {"file": [file for file, _ in places], "row": [row for _, row in places]}
            columns |= _printed(predicted_columns(table), classes)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows([column[row] for column in columns.values()] for row in _row_order(parts))
        make_folder(self.path.parent)
        write_atomically(self.path, text.getvalue().encode(errors="backslashreplace"))  # file names may not be UTF-8


def _row_order(parts: list[Table]) -> list[int]:
    """Return the order of rows in which they are those of the data: processes take examples in turn."""
    places: list[tuple[int, int, int]] = []
    for process, part in enumerate(parts):
        rows = num_rows(part)
        loaders = part["dataloader"].tolist() if "dataloader" in part else [0] * rows
        starts = {loader: loaders.index(loader) for loader in set(loaders)}
        counted = [row - starts[loader] for row, loader in enumerate(loaders)]
        numbers = part["index"].tolist() if "index" in part else counted
        places += zip(loaders, numbers, [process] * rows, strict=True)
    return sorted(range(len(places)), key=places.__getitem__)


def _printed(table: Table, classes: tuple[str, ...]) -> Iterator[tuple[str, list[object]]]:
    for name, values in table.items():
        if isinstance(values, list):
            yield name, [json.dumps(x, ensure_ascii=False) if isinstance(x, list | dict) else x for x in values]
            continue
        flat = values.reshape(len(values), -1)
        for number, column in enumerate(flat.unbind(1), start=1):
            title = name if flat.shape[1] == 1 else f"{name}{number}"
            if not column.is_floating_point():
                yield title, column.tolist()
            else:  # nine digits identify a float32
                yield title, [f"{value:.9g}" for value in column.tolist()]
        if name == "class" and classes and values.ndim == 1:
            yield "name", [classes[number] for number in values.tolist()]
