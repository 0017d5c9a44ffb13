"""What ``predict_step`` returns, as columns of a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

Table = dict[str, Any]
"""Columns by name, each a tensor, or a list with a number, a text or lists and dicts of such for each example."""


def num_rows(table: Table) -> int:
    """Return the number of examples in a table."""
    return len(next(iter(table.values()), ()))


def add_columns(table: Table, outputs: object, left_out: dict[str, str], batch: object = None) -> Table:
    """Return a table of a batch with the columns that ``predict_step`` returned for it.

    A tensor, an array or a list with an entry for each example is a column. Returned alone it is called ``prediction``;
    tuples and mappings of columns may be nested, and so may lists of tensors that have an entry for each example. What
    is no column goes into ``left_out``, with the reason.
    """
    lengths = [num_rows(table)] if table else []
    apply_to_collection(batch, Tensor, lambda value: lengths.extend(value.shape[:1]))
    columns = dict(table)
    for name, value in _leaves(outputs, lengths[0] if lengths else 0):
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
    """Return the columns that all parts have, one below the other; the names of others go into ``left_out``.

    Where the entries of a part have another shape than those of another part, the column becomes a list.
    """
    joined: Table = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        columns: list[Any] = [part[name] for part in parts if name in part]
        if len(columns) < len(parts):
            left_out[name] = "not in all batches"
        elif all(isinstance(column, Tensor) for column in columns) and len({c.shape[1:] for c in columns}) == 1:
            joined[name] = torch.cat(columns)
        else:
            joined[name] = [entry for column in columns for entry in _plain(column)]
    return joined


def _leaves(outputs: object, rows: int, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield what tuples, mappings and lists of tensors hold, by name."""
    if hasattr(outputs, "_asdict"):  # a named tuple
        outputs = outputs._asdict()
    if isinstance(outputs, Mapping):
        for key, value in outputs.items():
            yield from _leaves(value, rows, f"{name}.{key}" if name else str(key))
    elif isinstance(outputs, tuple) or (isinstance(outputs, list) and _has_columns(outputs, rows)):
        for number, value in enumerate(outputs, start=1):
            yield from _leaves(value, rows, f"{name or 'prediction'}.{number}")
    elif outputs is not None:
        yield name or "prediction", outputs


def _has_columns(outputs: list[Any], rows: int) -> bool:
    """Return whether a list holds tensors that are columns, not one for each example."""
    lengths = {value.shape[:1] for value in outputs if isinstance(value, Tensor)}
    is_column = lengths == {(rows,)}
    return bool(lengths) and (is_column or (len(lengths) == 1 and len(outputs) != rows))


def _column(value: Any) -> Tensor | list[Any]:
    """Return a value as a column; an empty list if it is none."""
    if isinstance(value, list | np.ndarray):
        try:
            entries = _plain(value)
        except TypeError:
            return []
        if not isinstance(entries, list) or all(isinstance(entry, str | int | float) for entry in entries):
            return entries if isinstance(entries, list) else []
        try:
            value = torch.from_numpy(np.array(entries))
        except (RuntimeError, TypeError, ValueError):  # entries of several lengths, or of other kinds
            return entries
        if not value.numel():
            return entries
    is_column = isinstance(value, Tensor) and value.ndim and value.numel() and not value.is_complex()
    return value.detach().cpu() if is_column else []


def _plain(value: Any) -> Any:
    """Return a value as numbers, texts and None, in lists and dicts; raise a ``TypeError`` for anything else."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, str | int | float | None):
        return value
    raise TypeError(type(value).__name__)
