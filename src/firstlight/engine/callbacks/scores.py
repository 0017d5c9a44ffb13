"""Scores of all examples: those from before a resume and those of all processes are not left out."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from functools import partial, wraps
from math import inf
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torchmetrics import Metric

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.step_boundaries import after_hook
from firstlight.engine.sharding import gather_objects

LOGS = ("log", "log_dict")


class SharedScores(Callback):
    """Average what a model logs in evaluation, and of whole epochs of training, over all processes.

    Each of them has seen a share of the examples.

    A call of ``log`` or ``log_dict`` that says how to do that, or that only the first process logs, is left as it is.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put another default in the place of that of ``self.log``."""
        if trainer.world_size == 1:
            return
        for name in LOGS:  # the latter calls the former, and says how
            setattr(pl_module, name, _shared(getattr(pl_module, name), trainer))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the model as it was."""
        for name in LOGS:
            vars(pl_module).pop(name, None)


def _shared(log: Callable[..., None], trainer: Trainer) -> Callable[..., None]:
    @wraps(log)
    def shared_log(*args: Any, **options: Any) -> None:
        if not options.get("rank_zero_only") and (not trainer.training or options.get("on_epoch")):
            options.setdefault("sync_dist", True)
        log(*args, **options)

    return shared_log


class ResumedScores(Callback):
    """Save the last score of each name and what scores have added up, and restore both.

    Callbacks and schedules that watch a score, the receipt and the progress then see the last validation's, even if it
    came before the checkpoint and the resumed run ends without another one.

    Metrics of torchmetrics add up, and ``self.log`` in training. Metrics that Lightning resets before they are used
    again, as they were logged themselves, are left out. Each process goes on with its own sums. If their number is
    another one now, the sums are shared out among them.
    """

    def __init__(self) -> None:
        self._scores: dict[str, Any] = {}  # in the checkpoint
        self._shares: list[dict[str, Any]] = []  # of the processes that wrote the checkpoint
        self._logged: dict[str, dict[str, Tensor]] = {}  # until they are logged again
        self._how: dict[str, dict[str, Any]] = {}  # with which arguments they were logged
        self._unused: dict[str, dict[str, Any]] = {}  # states of metrics that have added up nothing

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note the states to begin with: a checkpoint must not depend on whether a metric was reset or not used yet."""
        states = {name: metric.metric_state for name, metric in _metrics(pl_module)}
        self._unused = deepcopy(move_data_to_device(states, "cpu"))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the scores, and the sums of each process; of those after an epoch's last batch, what its end has left."""
        checkpoint["scores"] = move_data_to_device(dict(trainer.callback_metrics), "cpu")
        results, reset = internals.training_results(trainer), [*internals.validation_results(trainer).values()]
        own: dict[str, Any] = {}
        if trainer.is_last_batch:
            reset += results.values()
        else:
            logged = {key: total for key, total in results.items() if total.is_tensor and not total.has_reset}
            own["logged"] = self._logged | {key: total.metric_state for key, total in logged.items()}
            own["how"] = self._how | {key: internals.how_logged(total) for key, total in logged.items()}
        left_out = [id(result.value) for result in reset if not result.is_tensor]
        if not trainer.is_last_batch or internals.is_epoch_ending(trainer):
            own["metrics"] = {name: each.metric_state for name, each in _metrics(pl_module) if id(each) not in left_out}
        own = move_data_to_device(own, "cpu")
        for name in own.get("metrics", {}).keys() & self._unused.keys():
            if _equal(own["metrics"][name], self._unused[name]):
                del own["metrics"][name]
        checkpoint["train_scores"] = gather_objects(own)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the sums of what was logged until the model logs it, or the epoch ends."""
        self._scores, shares = checkpoint.get("scores", {}), checkpoint.get("train_scores", [])
        self._shares = shares[trainer.global_rank :: trainer.world_size]
        self._how = {key: how for share in shares for key, how in share.get("how", {}).items()}
        for share in self._shares:
            for key, state in share.get("logged", {}).items():
                self._logged[key] = _joined(self._how[key]["reduce_fx"], state, self._logged.get(key, {}))
        results = internals.training_results(trainer)
        update = results.update_metrics

        def update_metrics(key: str, value: Any, batch_size: int) -> None:
            if key in self._logged:
                begun, reduce = results[key].metric_state, results[key].meta.reduce_fx.__name__
                vars(results[key]).update(_joined(reduce, begun, self._logged.pop(key)))
            update(key, value, batch_size)

        results.update_metrics = update_metrics

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the scores, as Lightning has reset its own, and, once hooks of the model have reset them, metrics."""
        trainer.callback_metrics.update(move_data_to_device(self._scores, pl_module.device))
        if self._shares:
            after_hook(pl_module, "on_train_start", partial(_restore, pl_module, self._shares))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what the model logged in this epoch before the run was resumed, and not since."""
        results = internals.training_results(trainer)
        for key, how in self._how.items():
            if key not in results:
                nothing = torch.tensor({"max": -inf, "min": inf}.get(how["reduce_fx"], 0.0), device=pl_module.device)
                results.log(**how, value=nothing, batch_size=0, sync_dist_fn=trainer.strategy.reduce)
        self._logged, self._how = {}, {}


def _joined(reduce: str, state: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, Tensor]:
    join = getattr(torch, {"max": "maximum", "min": "minimum"}.get(reduce, "add"))
    return state | {name: join(state[name], value.to(state[name].device)) for name, value in other.items()}


def _restore(model: LightningModule, shares: list[dict[str, Any]]) -> None:
    metrics = dict(_metrics(model))
    for number, share in enumerate(shares):
        for name, state in share.get("metrics", {}).items():
            if metric := metrics.get(name):
                restore = metric.merge_state if number else metric.load_state_dict
                with suppress(RuntimeError, ZeroDivisionError):  # metrics that torchmetrics cannot merge
                    restore(move_data_to_device(state, metric.device))


def _equal(state: dict[str, Any], other: dict[str, Any]) -> bool:
    pairs = ((value, other[name]) for name, value in state.items())
    return all(torch.equal(*pair) if isinstance(pair[0], Tensor) else pair == ([], []) for pair in pairs)


def _metrics(model: LightningModule) -> Iterator[tuple[str, Metric]]:
    return ((name, module) for name, module in model.named_modules() if isinstance(module, Metric))
