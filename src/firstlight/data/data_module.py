"""What the data modules here share: three splits, folds, and loaders for all stages."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from jsonargparse.typing import NonNegativeInt, PositiveInt
from lightning.pytorch import LightningDataModule

from firstlight.data.examples import ExampleAccess
from firstlight.data.order import ResumableLoader

__all__ = ["DataModule"]


class DataModule(ExampleAccess, LightningDataModule, ABC):
    """A data module with splits for training, validation and testing; predictions are made for the test split.

    A subclass fills :attr:`train`, :attr:`val` and :attr:`test` in ``setup``.

    Args:
        batch_size: Examples per batch, over all processes together; null takes a split as one batch.
        repeats: How many passes over the training split make one epoch.
        seed: Seed of the data's own random numbers: splits, synthetic examples, order of batches, folds.
        fold: Which fold of the examples for training and validation is held out for validation, from 0; null keeps
            the data's own validation split.
        num_folds: Folds in all.

    Raises:
        ValueError: If there is no such fold.
    """

    evaluation_times: ClassVar[int] = 1
    """How many times as large batches are in evaluation, unless the Trainer limits their number."""

    train: Any
    val: Any
    test: Any

    def __init__(
        self,
        batch_size: PositiveInt | None = None,
        repeats: PositiveInt = 1,
        seed: int = 0,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
    ) -> None:
        super().__init__()
        if fold is not None and num_folds < 2:
            raise ValueError(f"num_folds is {num_folds}: there must be at least 2")
        if fold is not None and fold >= num_folds:
            raise ValueError(f"fold is {fold}: {num_folds} folds are numbered from 0 to {num_folds - 1}")
        self.batch_size = batch_size
        self.repeats = repeats
        self.seed = seed
        self.fold, self.num_folds = fold, num_folds

    @abstractmethod
    def setup(self, stage: str) -> None:
        """Fill the splits that the stage (``fit``, ``validate``, ``test``, ``predict``) needs."""

    @abstractmethod
    def hold_out_fold(self) -> None:
        """Split the examples for training and validation anew, if a fold was asked for; test data stays apart.

        To be called at the end of ``setup``. The examples of a fold are a function of the seed and of the number of
        folds alone.

        Raises:
            DataError: If there are fewer examples than folds.
        """

    @abstractmethod
    def batches(
        self, split: Any, *, shuffle: bool = False, repeats: int = 1, times: int = 1, shared: bool = True
    ) -> ResumableLoader:
        """Return a loader of a split's batches as the model takes them.

        Args:
            split: The examples.
            shuffle: Draw a new order for every pass.
            repeats: How many passes make one epoch.
            times: How many times as large batches are as in training.
            shared: Whether several processes share each batch between them; otherwise this one gets all examples.

        Raises:
            DataError: If the split is not what it should be.
        """

    def train_dataloader(self) -> ResumableLoader:
        """Return the training split, in a new order every pass."""
        return self.batches(self.train, shuffle=True, repeats=self.repeats)

    def val_dataloader(self) -> ResumableLoader:
        """Return the validation split, in order."""
        return self._evaluated(self.val, "limit_val_batches")

    def test_dataloader(self) -> ResumableLoader:
        """Return the test split, in order."""
        return self._evaluated(self.test, "limit_test_batches")

    def predict_dataloader(self) -> ResumableLoader:
        """Return the test split, in order."""
        return self._evaluated(self.test, "limit_predict_batches")

    def order(self, *, shuffle: bool, repeats: int, shared: bool) -> dict[str, Any]:
        """Return arguments for the ``Order`` of a loader: those given, the seed, and this process's share."""
        return {
            "shuffle": shuffle,
            # the same few batches again and again, but not the first few examples: files may be sorted by class
            "is_fixed": self.trainer is not None and self.trainer.overfit_batches > 0,  # type: ignore[attr-defined]
            "repeats": repeats,
            "seed": self.seed,
            "rank": self.trainer.global_rank if self.trainer and shared else 0,
            "world_size": self.trainer.world_size if self.trainer and shared else 1,
        }

    def _evaluated(self, split: Any, limit: str) -> ResumableLoader:
        is_limited = self.trainer is not None and getattr(self.trainer, limit) != 1.0
        return self.batches(split, times=1 if is_limited else self.evaluation_times)
