"""Plain loaders of a user's own, made resumable."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from lightning.fabric.utilities.data import sized_len
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning_utilities.core.apply_func import apply_to_collection
from torch.utils.data import DataLoader, IterableDataset

from firstlight.data.loaders import Loader
from firstlight.data.order import ResumableLoader
from firstlight.data.samplers import SampledOrder, SharedOrder
from firstlight.data.streams import StreamLoader
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.runs import receipts
from firstlight.engine.runs.folders import Run
from firstlight.engine.sharding import gather_objects
from firstlight.errors import DataError
from firstlight.tasks import Task

KEEPING_HOOKS = ("on_save_checkpoint", "get_extra_state")
"""Hooks by which a model puts attributes of its own into a checkpoint."""


class ResumableLoaders(Callback):
    """Let a plain ``DataLoader`` for training go on where a run was stopped, in the order of an unbroken run.

    Its samplers draw from random numbers that are a function of (seed, epoch), what its examples draw is a function of
    (seed, epoch, index), and its position is kept in the checkpoint. Where that cannot be, :attr:`reasons` says why,
    and so do a line, once it is found, and the list ``inexact_resume`` of the receipt. In evaluation, where several
    processes share each batch, all that is drawn is the same each time.

    Args:
        seed: Seed of all that is drawn.
        use_distributed_sampler: Whether to share the examples out; otherwise the samplers are left to do so.
    """

    def __init__(self, seed: int, *, use_distributed_sampler: bool = True) -> None:
        self.seed, self.use_distributed_sampler = seed, use_distributed_sampler
        self.run: Run | None = None
        """The run whose receipt takes the reasons; an empty list of them promises the same bits."""
        self.reasons: list[str] = []
        self._is_said = False
        self.streams: list[StreamLoader] = []
        self._positions: list[dict[str, Any]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put loaders of ours in the place of plain ones, when they are made."""
        data = internals.typed(trainer).datamodule
        self.seed = trainer.strategy.broadcast(self.seed)
        is_shared = self.use_distributed_sampler
        self._share = (trainer.global_rank, trainer.world_size) if is_shared else (0, 1)
        self.reasons, self.streams, self._is_said, self._sources = [], [], False, []
        for name, change in (
            ("train_dataloader", partial(self._make, trainer)),
            ("val_dataloader", self._make_repeatable),
            ("test_dataloader", self._make_repeatable),
            ("predict_dataloader", lambda make: _each(make(), DataLoader, _named)),
        ):
            source = data if data and is_overridden(name, data) else pl_module
            if is_overridden(name, source):
                setattr(source, name, partial(change, getattr(source, name)))
                self._sources.append((source, name))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the sources of the loaders as they were."""
        for source, name in self._sources:
            vars(source).pop(name, None)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what stands in the way of a resume to the same bits."""
        self._is_said = True
        self._num_batches = 0  # that this process has begun
        self._say(trainer, self.reasons)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Note what the model keeps in attributes before the second batch; the first may only have prepared some."""
        self._num_batches += 1
        self._before = _plain_state(pl_module) if self._num_batches == 2 else {}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Say which attributes this batch has changed, though no checkpoint has them."""
        base = Task if isinstance(pl_module, Task) else LightningModule
        if not self._before or any(is_overridden(hook, pl_module, base) for hook in KEEPING_HOOKS):
            return
        after = _plain_state(pl_module)
        changed = [name for name, value in self._before.items() if after.get(name, value) != value]
        how = "changes in training, and no checkpoint has it: use a metric, a buffer, or on_save_checkpoint"
        reasons = [f"{type(pl_module).__name__}.{name} {how}" for name in changed]
        if reasons:
            self.reasons += reasons
            self._say(trainer, reasons)

    def _say(self, trainer: Trainer, reasons: list[str]) -> None:
        for reason in reasons if trainer.is_global_zero else []:
            print(f"a resume may not end in the same bits: {reason}")
        if self.run:
            receipts.update(self.run, inexact_resume=self.reasons)

    def state_dict(self) -> dict[str, Any]:
        """Return the positions of streams: Lightning restores them in the middle of an epoch, but not at its end."""
        return {"streams": [stream.state_dict() for stream in self.streams]} if self.streams else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the positions until there are loaders."""
        self._positions = list(state_dict["streams"])

    def _make(self, trainer: Trainer, make: Any) -> Any:
        loaders = make()
        if not isinstance(loaders, DataLoader | ResumableLoader | CombinedLoader | dict | list | tuple):
            self._note_foreign(loaders)
        return _each(loaders, DataLoader | Loader, partial(self._resumable, trainer))

    def _resumable(self, trainer: Trainer, loader: DataLoader[Any] | Loader) -> object:
        if isinstance(loader, Loader):
            return self._checked(loader)
        if not _is_plain(loader):
            self._note_foreign(loader)
            return loader
        name = type(loader.dataset).__name__
        if sized_len(loader) == 0:
            raise DataError(f"the training loader of {name} has no batch: no examples, or drop_last and too few")
        is_stream = isinstance(loader.dataset, IterableDataset)
        if is_stream or sized_len(loader) is None:
            stream = StreamLoader(loader, self.seed, lambda: internals.batch_counter(trainer).current.ready)
            stream.gather, stream.rank = gather_objects, trainer.global_rank
            if not stream.has_state:
                which = "is read by workers" if hasattr(loader.dataset, "state_dict") else "has no state_dict"
                which = which if is_stream else "has a sampler without a length"
                which += ", so it is read again up to where the run was"
                which += ", by as many workers" if loader.num_workers else ""
                which += ", but persistent workers keep a state" if loader.persistent_workers else ""
                self.reasons.append(f"{name} {which}")
            if self._positions:
                stream.load_state_dict(self._positions.pop(0))
            self.streams.append(stream)
            return stream
        if loader.batch_sampler is None:
            self.reasons.append(f"the loader of {name} makes no batches")
            return loader
        order = SampledOrder(loader.batch_sampler, self.seed, *self._share)
        if not order.is_repeatable():
            names = " and ".join(type(sampler).__name__ for sampler in order.samplers if sampler)
            self.reasons.append(f"{names} of {name} draws from random numbers of its own")
        # where a model is to overfit, the same few batches again and again
        return self._checked(Loader(loader, order, self.seed, is_fixed=internals.typed(trainer).overfit_batches > 0))

    def _make_repeatable(self, make: Any) -> Any:
        """Return loaders for evaluation that give the same in each run, with any number of workers."""
        return _each(make(), DataLoader, self._repeatable)

    def _repeatable(self, loader: DataLoader[Any]) -> object:
        is_stream = isinstance(loader.dataset, IterableDataset) or sized_len(loader) is None
        if not _is_plain(loader) or loader.batch_sampler is None or is_stream:
            return loader
        order = SharedOrder(loader.batch_sampler, self.seed, *self._share)
        return Loader(loader, order, self.seed, is_fixed=True)

    def _checked(self, loader: Loader) -> Loader:
        if not self._is_said and (state := loader.kept_state()):  # loaders may be made anew in each epoch
            self.reasons.append(f"{type(loader.dataset).__name__} {state}")
        return loader

    def _note_foreign(self, loaders: object) -> None:
        if not isinstance(loaders, ResumableLoader):
            how = "goes on from its own state alone" if hasattr(loaders, "state_dict") else "has no state_dict"
            self.reasons.append(f"{type(loaders).__name__} is not a plain DataLoader, and {how}")


def _plain_state(module: LightningModule) -> dict[str, int]:
    """Return the whole numbers that a module has as attributes, and the lengths of lists, by name."""
    found = vars(module).items()
    numbers = {name: value for name, value in found if type(value) is int}
    return numbers | {name: len(value) for name, value in found if isinstance(value, list | deque)}


def _is_plain(loader: DataLoader[Any]) -> bool:
    """Return whether a loader is torch's, or that of torchdata, without a state that it alone can restore."""
    if type(loader).__module__.startswith("torchdata."):
        return isinstance(loader.dataset, IterableDataset) or not hasattr(loader.dataset, "state_dict")
    return type(loader) is DataLoader


def _named(loader: DataLoader[Any]) -> DataLoader[Any]:
    """Return a loader whose arguments Lightning takes by name, if all of them are attributes."""
    if type(loader).__init__ is DataLoader.__init__ or _is_plain(loader):
        internals.forget_positions(loader)
    return loader


def _each(loaders: Any, kind: Any, replace: Callable[[Any], object]) -> Any:
    """Return loaders, or a collection of them, with others in the place of those of a kind."""
    if isinstance(loaders, CombinedLoader):
        loaders.flattened = apply_to_collection(loaders.flattened, kind, replace)
        return loaders
    return apply_to_collection(loaders, kind, replace)
