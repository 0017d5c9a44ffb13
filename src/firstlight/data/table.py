"""Numbers in a table: the rows of a CSV file."""

import math
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse.typing import NonNegativeInt, OpenUnitInterval, PositiveInt
from torch import Tensor

from firstlight.data.batches import Batches
from firstlight.data.csv_files import CSVFile, is_number, read_csv
from firstlight.data.in_memory import InMemory
from firstlight.data.seeds import generator
from firstlight.data.splits import Split, check_split, random_shares
from firstlight.errors import DataError, UsageError

__all__ = ["Table"]


class Table(InMemory):
    """Rows of a CSV file with a header: columns of numbers as features, and one column as the target.

    A batch is a pair ``(x, y)``: features of shape ``(batch, num_features)``, in standard deviations from their mean
    over the training split alone, and targets: numbers of shape ``(batch, 1)``, in their own unit, or class numbers
    of shape ``(batch,)``. Mean and standard deviation are kept in checkpoints. ``repeats``, ``seed``, ``fold`` and
    ``num_folds`` are those of :class:`InMemory`.

    Args:
        path: The file.
        target: Name of the column with the targets.
        features: Names of the columns with the features; null takes all others.
        kind: Whether targets are numbers or names of classes; auto: classes, unless all are numbers.
        test_path: A file with the test split; null holds a random share of the rows out.
        batch_size: Rows per batch, over all processes together.
        val_fraction: Share of the rows that is held out for validation.
        test_fraction: Share of the rows that is held out for testing, unless ``test_path`` names a file.
    """

    file_suffixes = (".csv",)

    def __init__(
        self,
        path: str = "table.csv",
        target: str = "target",
        features: list[str] | None = None,
        kind: Literal["auto", "number", "class"] = "auto",
        test_path: str | None = None,
        batch_size: PositiveInt = 32,
        val_fraction: OpenUnitInterval = 0.2,
        test_fraction: OpenUnitInterval = 0.2,
        repeats: PositiveInt = 1,
        seed: int = 0,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
    ) -> None:
        super().__init__(batch_size, repeats, seed, fold, num_folds)
        self.save_hyperparameters()
        self.path, self.test_path = path, test_path
        self.target, self.kind = target, kind
        self.columns = features
        self.fractions = {"test": test_fraction, "val": val_fraction}  # the test split does not depend on val_fraction
        self.mean = self.std = torch.empty(0)

    def setup(self, stage: str) -> None:
        """Read the file, and draw the splits.

        Raises:
            DataError: If a file cannot be read, a column is missing, or a cell is not what it should be.
        """
        file = read_csv(Path(self.path), "; name the file with --data.path")
        if self.columns is None:
            self.columns = [name for name in file.header if name != self.target]
        if not self.columns:
            raise DataError(f"{self.path}: there are no columns with features, but for the target {self.target!r}")
        if "" in self.columns:
            raise DataError(f"{self.path}: a column has no name: choose the others with --data.features")
        if self.target in self.columns:
            raise UsageError(f"data.features: {self.target!r} is the target")
        self.feature_names, self.input_shape = tuple(self.columns), (len(self.columns),)
        classes = self._classes(file)
        self._refuse_other("classes", classes, self.classes)  # those of a checkpoint, after load
        self.classes = classes
        x, y = self._split(file)
        drawn = {name: share for name, share in self.fractions.items() if name == "val" or not self.test_path}
        rows = random_shares(len(x), drawn, generator(self.seed))
        splits = {name: (x[numbers], y[numbers]) for name, numbers in rows.items()}
        self.train, self.val = splits["train"], splits["val"]
        self.test = self._split(read_csv(Path(self.test_path))) if self.test_path else splits["test"]
        self.hold_out_fold()
        if not len(self.mean):  # not those of a checkpoint
            self.mean, self.std = self.train[0].mean(0), self.train[0].std(0, correction=0)
            self.std[self.std == 0] = 1  # a constant says nothing, and stays 0
            for name, number in zip(self.columns, (self.mean + self.std).tolist(), strict=True):
                if not math.isfinite(number):
                    raise DataError(f"{self.path}: the numbers of {name} are too large for a standard deviation")

    def batches(self, split: Split, **options: Any) -> Batches:
        """Return a loader of a split's batches, with standardized features.

        Raises:
            DataError: If the split is not what it should be.
            UsageError: If nothing says how to standardize it.
        """
        check_split(self, split)
        self._refuse_unknown_columns()
        x, y = split
        return super().batches(((x - self.mean) / self.std, y), **options)

    def read_file(self, path: Path) -> tuple[Tensor, str]:
        """Return the features in a CSV file, of shape ``(rows, num_features)``; it needs no target."""
        self._refuse_unknown_columns()
        return read_csv(path).numbers(self.columns or []), ""

    def _refuse_unknown_columns(self) -> None:
        if not len(self.mean):
            raise UsageError("Table has no columns, means and deviations yet: call setup, or load a checkpoint")

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: the classes, the columns, and their mean and standard deviation."""
        numbers = {"mean": self.mean.tolist(), "std": self.std.tolist()}
        return {**super().state_dict(), "columns": self.columns, **numbers}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint kept.

        Raises:
            DataError: If the file has other columns or classes now.
        """
        super().load_state_dict(state_dict)
        self._refuse_other("features", self.columns or [], state_dict["columns"])
        self.columns, self.input_shape = state_dict["columns"], (len(state_dict["columns"]),)
        self.mean, self.std = (torch.tensor(state_dict[name], dtype=torch.double) for name in ("mean", "std"))

    def _classes(self, file: CSVFile) -> tuple[str, ...]:
        names = sorted({*file.column(self.target)})
        are_numbers = self.kind == "number" or (self.kind == "auto" and all(map(is_number, names)))
        return () if are_numbers else tuple(names)

    def _split(self, file: CSVFile) -> Split:
        x = file.numbers(self.columns or [], "; choose columns of numbers with --data.features")
        if not self.classes:
            return x, file.numbers([self.target])
        names, numbers = file.column(self.target), {name: number for number, name in enumerate(self.classes)}
        for line, name in zip(file.lines, names, strict=True):
            if name not in numbers:
                raise DataError(f"{file.path}, line {line}: {name!r} is not a class of {self.path}")
        return x, torch.tensor([numbers[name] for name in names])
