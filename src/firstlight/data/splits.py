"""The type of a split, its check, and splits into folds."""

from collections.abc import Mapping

import torch
from torch import Tensor

from firstlight.data.seeds import generator
from firstlight.errors import DataError

__all__ = ["Split", "check_split", "fold_rows", "hold_out", "random_shares", "split_name"]

Split = tuple[Tensor, Tensor]
"""Inputs ``x`` and targets ``y``; row ``i`` of one belongs to row ``i`` of the other."""


def check_split(data: object, split: object) -> None:
    """Check that a split is two tensors, inputs and targets, of equal length.

    Args:
        data: Data module of the split.
        split: What ``setup`` filled it with.

    Raises:
        DataError: If it is anything else, or empty.
    """
    parts = list(split) if isinstance(split, tuple | list) else [split]
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if len(parts) == len(tensors) == 2 and len(tensors[0]) == len(tensors[1]) > 0:
        return
    found = " and ".join(
        f"{len(part)} rows" if isinstance(part, Tensor) and len(parts) == 2 else type(part).__name__ for part in parts
    )
    raise DataError(f"{split_name(data, split)} is {found}: expected two tensors, inputs and targets, of as many rows")


def split_name(data: object, split: object) -> str:
    """Return the name of a data module's split, for messages: ``Sine.train``."""
    named = {name: value for name, value in vars(data).items() if name in ("train", "val", "test")}
    name = next((name for name, value in named.items() if value is split), "split")
    return f"{type(data).__name__}.{name}"


def hold_out(fold: int, num_folds: int, *splits: Split, seed: int) -> tuple[Split, Split]:
    """Divide the examples of some splits into random folds; return all folds but one, and that one.

    Args:
        fold: Number of the fold to hold out, from 0.
        num_folds: Folds in all.
        splits: The splits to divide.
        seed: Seed of the draw.

    Raises:
        DataError: If there are fewer examples than folds.
    """
    x, y = (torch.cat(parts) for parts in zip(*splits, strict=True))
    kept, held_out = fold_rows(fold, num_folds, len(x), seed)
    return (x[kept], y[kept]), (x[held_out], y[held_out])


def fold_rows(fold: int, num_folds: int, num_examples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the examples of all random folds but one, and those of that one.

    They are a function of the seed, the number of examples and the number of folds; the sizes of folds differ by one
    at most.

    Raises:
        DataError: If there are fewer examples than folds.
    """
    if num_examples < num_folds:
        raise DataError(f"{num_examples} examples cannot make {num_folds} folds")
    folds = list(torch.randperm(num_examples, generator=generator(seed, num_folds)).tensor_split(num_folds))
    held_out, kept = folds.pop(fold).sort().values, torch.cat(folds).sort().values
    return kept, held_out


def random_shares(num_examples: int, fractions: Mapping[str, float], random: torch.Generator) -> dict[str, Tensor]:
    """Draw a random share of the examples for each name; ``train`` gets those that are left, in order.

    Args:
        num_examples: Examples in all.
        fractions: How large the shares are.
        random: Where the random numbers come from.

    Raises:
        DataError: If a share, or what is left, is empty.
    """
    sizes = [round(fraction * num_examples) for fraction in fractions.values()]
    left = num_examples - sum(sizes)
    if left <= 0 or not all(sizes):
        shares = " and ".join(f"{name}_fraction {fraction}" for name, fraction in fractions.items()) or "nothing"
        raise DataError(f"{num_examples} examples cannot be split with {shares}")
    parts = torch.randperm(num_examples, generator=random).split_with_sizes([*sizes, left])
    return {name: rows.sort().values for name, rows in zip([*fractions, "train"], parts, strict=True)}
