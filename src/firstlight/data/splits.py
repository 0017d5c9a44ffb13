"""What is a split of a data module, and what is none."""

from torch import Tensor

from firstlight.errors import DataError

__all__ = ["check_split"]


def check_split(data: object, split: object) -> None:
    """Refuse what is no split: two tensors, inputs and targets, of as many rows, at least one.

    Args:
        data: The data module that it is of.
        split: What ``setup`` filled it with.

    Raises:
        DataError: If it is something else.
    """
    parts = list(split) if isinstance(split, tuple | list) else [split]
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if len(parts) == len(tensors) == 2 and len(tensors[0]) == len(tensors[1]) > 0:
        return
    found = " and ".join(
        f"{len(part)} rows" if isinstance(part, Tensor) and len(parts) == 2 else type(part).__name__ for part in parts
    )
    named = {name: vars(data)[name] for name in ("train", "val", "test") if name in vars(data)}
    name = next((name for name, value in named.items() if value is split), "split")
    raise DataError(
        f"{type(data).__name__}.{name} is {found}: expected two tensors, inputs and targets, of as many rows"
    )
