"""What pictures, predictions, exports and checkpoints ask of a data module, besides its loaders."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from firstlight.errors import DataError, UsageError

__all__ = ["ExampleAccess"]


class ExampleAccess(ABC):
    """Single examples of a data module's splits, their names, and what tells whether they are still the same."""

    classes: tuple[str, ...] = ()
    """Names of the classes, where targets are classes; ``setup`` may set them."""
    feature_names: tuple[str, ...] = ()
    """Names of the features, for pictures; ``setup`` may set them."""
    input_shape: tuple[int, ...] = ()
    """Shape of one example's inputs, where it is known before ``setup``: arrays of another are not predicted."""
    file_suffixes: ClassVar[tuple[str, ...]] = ()
    """Ends of the names of the files in a folder that :meth:`read_file` is for."""

    def fingerprint(self) -> dict[str, str]:
        """Return a text for each split that ``setup`` filled; it changes with their examples and with their order."""
        return {name: self.fingerprint_of(vars(self)[name]) for name in ("train", "val", "test") if name in vars(self)}

    @abstractmethod
    def fingerprint_of(self, split: Any) -> str:
        """Return a hash of a split's examples, as they are stored, and of their order."""

    @abstractmethod
    def examples(self, split: Any, indices: Tensor) -> Any:
        """Return a batch of chosen examples of a split, as they are stored."""

    @abstractmethod
    def split_size(self, split: Any) -> int:
        """Return the number of examples in a split."""

    def read_file(self, path: Path) -> tuple[Tensor, str]:
        """Return the inputs of the examples in a file, as splits hold them, and what was done to make them so.

        ``predict`` needs no more than this to score files: ``setup`` is not called.

        Raises:
            DataError: If the file cannot be read.
        """
        raise UsageError(f"{type(self).__name__} does not say how to read {path}: it has no read_file")

    @abstractmethod
    def without_targets(self, x: Tensor) -> Any:
        """Return a split of inputs whose targets are not known: all zero."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of the data: the names of the classes."""
        return {"classes": list(self.classes)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint kept.

        Raises:
            DataError: If the data have other classes now.
        """
        saved = tuple(state_dict.get("classes", self.classes))
        self._refuse_other("classes", self.classes, saved)
        self.classes = saved

    def _refuse_other(self, what: str, now: Sequence[str], saved: Sequence[str]) -> None:
        if now and saved and [*now] != [*saved]:
            known = ", ".join(saved)
            raise DataError(f"the {what} are {', '.join(now)}, but the checkpoint was trained on {known}")
