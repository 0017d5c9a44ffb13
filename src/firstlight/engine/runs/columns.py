"""What ``predict_step`` returns, as columns of a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Table = dict[str, Any]
"""Columns by name, each a tensor or a list with an entry for each example."""


def num_rows(table: Table) -> int:
    """Return the number of examples in a table."""
    return len(next(iter(table.values()), ()))


def add_columns(table: Table, outputs: object, left_out: dict[str, str]) -> Table:
    """Return a table of a batch with the columns that ``predict_step`` returned for it.

    A tensor, an array or a list with an entry for each example is a column. Returned alone it is called ``prediction``;
    tuples and mappings of columns may be nested. What is no column goes into ``left_out``, with the reason.
    """
    columns = dict(table)
    for name, value in _leaves(outputs):
        column = _column(value)
        rows = num_rows(columns) or len(column)
        if not len(column):
            left_out[name] = type(value).__name__
        elif len(column) != rows:
            left_out[name] = f"{len(column)} entries in a batch of {rows}"
        else:
            columns[name] = column
    return columns


def join_columns(parts: Sequence[Table], left_out: dict[str, str]) -> Table:
    """Return the columns that all parts have, one below the other; the names of others go into ``left_out``."""
    joined: Table = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        columns: list[Any] = [part.get(name) for part in parts]
        if all(isinstance(column, list) for column in columns):
            joined[name] = [entry for column in columns for entry in column]
        elif all(isinstance(column, Tensor) for column in columns) and len({c.shape[1:] for c in columns}) == 1:
            joined[name] = torch.cat(columns)
        else:
            left_out[name] = "of another shape in another batch"
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
