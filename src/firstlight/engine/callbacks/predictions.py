"""The predictions of a run, written as a CSV file."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

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


class Predictions(Callback):
    """Write the columns that ``predict_step`` returns to a CSV file, one row an example.

    A column of class numbers called ``class`` is followed by the names of the classes, where the data
    has names. A column of shape ``(batch, n)`` becomes ``n`` columns.

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
        self.table: dict[str, list[Tensor]] = {}

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
        if not isinstance(outputs, dict):
            raise UsageError(f"{type(pl_module).__name__}.predict_step must return a dict of columns to be written")
        columns = {name: column.detach().cpu() for name, column in outputs.items()}
        order = getattr(trainer.predict_dataloaders, "order", None)
        if isinstance(order, Order):
            columns = {"index": order.indices(batch_idx), **columns}
        for name, column in columns.items():
            self.table.setdefault(name, []).append(column)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file, in the first process."""
        table = {name: torch.cat(parts) for name, parts in self.table.items()}
        tables = _gather(table)
        self.num_rows = sum(len(next(iter(part.values()))) for part in tables)
        if not trainer.is_global_zero or self.path is None:
            return
        table = {name: torch.cat([part[name] for part in tables]) for name in table}
        data = internals.datamodule_of(trainer)
        classes = data.classes if isinstance(data, DataModule) else ()
        if self.places is None:
            columns = dict(_columns(table, classes))
        else:
            places = [self.places[row] for row in table["index"].tolist()]
            columns = {"file": [file for file, _ in places], "row": [row for _, row in places]}
            columns |= _columns(predicted_columns(table), classes)
        order = table["index"].argsort().tolist() if "index" in table else range(len(next(iter(columns.values()))))
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows([column[row] for column in columns.values()] for row in order)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, text.getvalue().encode())


def _gather(table: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return the tables of all processes."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [table]
    tables: list[dict[str, Tensor]] = [{}] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(tables, table)
    return tables


def _columns(table: dict[str, Tensor], classes: tuple[str, ...]) -> Iterator[tuple[str, list[object]]]:
    for name, values in table.items():
        flat = values.reshape(len(values), -1)
        for number, column in enumerate(flat.unbind(1), start=1):
            title = name if flat.shape[1] == 1 else f"{name}{number}"
            if not column.is_floating_point():
                yield title, column.tolist()
            else:  # nine digits identify a float32
                yield title, [f"{value:.9g}" for value in column.tolist()]
        if name == "class" and classes:
            yield "name", [classes[number] for number in values.tolist()]
