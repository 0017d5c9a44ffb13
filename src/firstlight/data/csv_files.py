"""CSV files with a header, read strictly: each cell that cannot be used is named."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from firstlight.errors import DataError, suggestion

__all__ = ["CSVFile", "is_number", "read_csv"]


@dataclass(frozen=True)
class CSVFile:
    """The cells of a CSV file.

    Args:
        path: The file.
        header: The names of the columns.
        rows: The cells below the header, a list for each row.
        lines: The line of each row in the file.
    """

    path: Path
    header: list[str]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """Return the cells of a column.

        Raises:
            DataError: If there is no such column, or a cell is empty.
        """
        if name not in self.header:
            raise DataError(f"{self.path} has no column {name!r}{suggestion(name, self.header, 'columns')}")
        cells = [row[self.header.index(name)].strip() for row in self.rows]
        if "" in cells:
            raise DataError(f"{self.path}, line {self.lines[cells.index('')]}: {name} is empty")
        return cells

    def numbers(self, names: Sequence[str], advice: str = "") -> Tensor:
        """Return columns of numbers, of shape ``(rows, columns)``, in double precision.

        Raises:
            DataError: If there is no such column, or a cell is not a finite number.
        """
        return torch.tensor([self._numbers(name, advice) for name in names], dtype=torch.double).T

    def _numbers(self, name: str, advice: str) -> list[float]:
        cells = self.column(name)
        numbers = [float(cell) if is_number(cell) else math.nan for cell in cells]
        for line, cell, number in zip(self.lines, cells, numbers, strict=True):
            if not math.isfinite(number):
                form = "; write numbers as 1234.5" if "," in cell else ""
                raise DataError(f"{self.path}, line {line}: {name} is {cell[:40]!r}, not a finite number{form}{advice}")
        return numbers


def read_csv(path: Path, advice: str = "") -> CSVFile:
    """Read a CSV file: UTF-8, names of columns in the first line, cells between what is most common there of ``,;TAB``.

    Raises:
        DataError: If it cannot be read, is empty, or its rows are not of one length.
    """
    if path.exists() and not path.is_file():  # a pipe may never end
        raise DataError(f"{path} cannot be read: it is not a regular file")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = max(",;\t", key=file.readline().count)
            file.seek(0)
            reader = csv.reader(file, strict=True, delimiter=delimiter, skipinitialspace=True)
            header = [name.strip() for name in next(reader, [])]
            found = [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}{advice}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not in UTF-8: save it with that encoding") from error
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num} cannot be read: {error}") from error
    if len({*header}) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{path} has two columns {twice!r}")
    if not found:
        raise DataError(f"{path} has no rows below its header")
    for line, row in found:
        if len(row) != len(header):
            raise DataError(f"{path}, line {line}: {len(row)} cells, but the header has {len(header)}")
    lines, rows = zip(*found, strict=True)
    return CSVFile(path, header, list(rows), list(lines))


def is_number(cell: str) -> bool:
    """Return whether a cell is a number, be it NaN or infinite; ``1_000`` is none outside of Python."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
