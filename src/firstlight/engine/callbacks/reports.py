"""Where a model fails: what is known of its outputs beside its scores, added up in the same pass over the data."""

from functools import wraps
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, R2Score
from torchmetrics.classification import MulticlassF1Score, MulticlassPrecision, MulticlassRecall, MulticlassStatScores

from firstlight.data.data_module import DataModule
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.sharding import gather_objects

CHUNK = 2**20
"""Numbers that are kept until they are added up: few updates, and no more memory for more data."""
MAX_CLASSES = 1000
"""With more classes the table would make ``test.json`` larger than a file that is read may be."""
BINS = 15


class Calibration(Metric):
    """How far the probabilities of classes can be believed: means over all examples, and a table by confidence.

    The expected calibration error is the mean distance of confidence and accuracy in equal intervals of confidence.

    Source: Guo et al. (2017), https://arxiv.org/abs/1706.04599.
    """

    full_state_update = False
    sums: Tensor
    bins: Tensor

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)
        self.add_state("sums", torch.zeros(2, dtype=torch.double), dist_reduce_fx="sum")
        self.add_state("bins", torch.zeros(3, BINS, dtype=torch.double), dist_reduce_fx="sum")

    def update(self, p: Tensor, y: Tensor) -> None:
        """Add probabilities of shape ``(batch, num_classes)`` and the correct classes, of shape ``(batch,)``."""
        confidence, guess = p.max(dim=1)
        truth = torch.nn.functional.one_hot(y, p.shape[1])
        log_likelihood = p[truth.bool()].clamp(min=torch.finfo(torch.float).tiny).log()
        self.sums += torch.stack([-log_likelihood.sum(), (p - truth).square().sum()])
        rows = torch.stack([torch.ones_like(confidence), confidence, (guess == y).double()])
        self.bins.index_add_(1, (confidence * BINS).long().clamp(max=BINS - 1), rows)

    def compute(self) -> dict[str, Any]:
        """Return the means, and the intervals that hold examples."""
        count = self.bins[0].sum()
        nll, brier = (self.sums / count).tolist()
        error = (self.bins[1] - self.bins[2]).abs().sum() / count
        filled = self.bins[:, self.bins[0] > 0]
        keys = "examples", "confidence", "accuracy"
        table = [dict(zip(keys, (int(n), c / n, right / n), strict=True)) for n, c, right in filled.T.tolist()]
        means = {"negative_log_likelihood": nll, "brier_score": brier, "expected_calibration_error": float(error)}
        return {"examples": int(count), **means, "reliability": table}


class Report(Callback):
    """Add up what a report says while a model is validated or tested, from what ``forward`` returns and the targets.

    Outputs of shape ``(batch, num_classes)`` whose targets are class numbers are probabilities, or else logits. Numbers
    with numbers as targets are predictions; outputs in columns beside one target are each compared with it. For
    anything else, such as steps that call ``forward`` twice or not at all, there is no report.
    """

    def __init__(self) -> None:
        self.found: dict[str, Any] | None = None
        """What was found, in the first process: of classes, or of numbers."""
        self._is_possible = True
        self._kind: object = None
        self._outputs: list[Any] = []
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._metrics: dict[str, Metric] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note what ``forward`` returns."""
        forward = pl_module.forward

        @wraps(forward)
        def noted(*args: Any, **options: Any) -> Any:
            self._outputs.append(forward(*args, **options))
            return self._outputs[-1]

        vars(pl_module)["forward"] = noted

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the model as it was."""
        vars(pl_module).pop("forward", None)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add a batch."""
        pair, self._outputs = output_and_target(self._outputs, batch), []
        kind = (pair[0].shape[1], pair[1].dtype) if pair else None
        self._kind = self._kind or kind
        self._is_possible &= kind is not None and kind == self._kind and dataloader_idx == 0
        if self._is_possible and pair:
            self._pairs.append(pair)
            if len(self._pairs) * pair[0].numel() > CHUNK:
                self._add_up()

    on_validation_batch_end = on_test_batch_end

    def end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Join what all processes have added up; one without examples could not take part in a metric's own way."""
        self._add_up()
        nothing: dict[str, Metric] = {"": Calibration()}
        parts = gather_objects(self._metrics if self._is_possible else nothing)
        joined, *others = list(filter(None, parts)) or [nothing]
        if not trainer.is_global_zero or "" in joined or any(part.keys() != joined.keys() for part in others):
            return
        for part in others:
            for name, metric in joined.items():
                metric.merge_state(part[name])
        if "calibration" not in joined:
            count = int(torch.as_tensor(joined["rmse"].total))
            scores = {name: float(metric.compute()) for name, metric in joined.items() if count > 1 or name != "r2"}
            self.found = {"examples": count, **scores}
            return
        self.found = joined.pop("calibration").compute()
        columns = {name: metric.compute().tolist() for name, metric in joined.items()}
        columns["examples"] = [row[-1] for row in columns["examples"]]
        data = internals.typed(trainer).datamodule
        names = data.classes if isinstance(data, DataModule) else ()
        numbers = [str(number) for number in range(len(columns["examples"]))]
        columns = {"class": names if len(names) == len(numbers) else numbers, **columns}
        self.found["classes"] = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    on_test_end = on_validation_end = end

    def _add_up(self) -> None:
        """Update the metrics with the batches that were kept."""
        pairs, self._pairs = self._pairs, []
        if not (pairs and self._is_possible):
            return
        outputs, y = (torch.cat(part).cpu() for part in zip(*pairs, strict=True))
        outputs, is_class = outputs.double(), not y.is_floating_point()
        # targets of nothing but 0 and 1 are classes, and what stands for them may be anything
        is_fine = ((y >= 0) & (y < outputs.shape[1])).all() if is_class else ((y != 0) & (y != 1)).any()
        self._is_possible = bool(is_fine and outputs.isfinite().all())
        if not self._is_possible:
            return
        if not self._metrics:
            self._metrics = _class_metrics(outputs.shape[1]) if is_class else _number_metrics()
        if is_class:
            if outputs.min() < 0 or (outputs.sum(dim=1) - 1).abs().max() > 1e-3:
                outputs = outputs.softmax(dim=1)
            self._metrics["calibration"].update(outputs, y)
            outputs = outputs.argmax(dim=1)
        for name in self._metrics.keys() - {"calibration"}:
            self._metrics[name].update(outputs.flatten(), y.double().flatten() if not is_class else y)


def _class_metrics(num_classes: int) -> dict[str, Metric]:
    kinds = {
        "precision": MulticlassPrecision,
        "recall": MulticlassRecall,
        "f1": MulticlassF1Score,
        "examples": MulticlassStatScores,
    }
    counted = {name: kind(num_classes, average=None, sync_on_compute=False) for name, kind in kinds.items()}
    return counted | {"calibration": Calibration()}


def _number_metrics() -> dict[str, Metric]:
    metrics: dict[str, Metric] = {
        "mae": MeanAbsoluteError(sync_on_compute=False),
        "rmse": MeanSquaredError(squared=False, sync_on_compute=False),
        "r2": R2Score(sync_on_compute=False),
    }
    return {name: metric.set_dtype(torch.double) for name, metric in metrics.items()}


def output_and_target(calls: list[Any], batch: object) -> tuple[Tensor, Tensor] | None:
    """Return the outputs of a batch, of shape ``(batch, n)``, and its targets; None if it is unclear what they are."""
    if len(calls) != 1 or not isinstance(batch, tuple | list) or len(batch) != 2:
        return None
    outputs, y = calls[0], batch[1]
    if not (isinstance(outputs, Tensor) and isinstance(y, Tensor) and outputs.ndim and outputs.is_floating_point()):
        return None
    if y.ndim == 0 or len(outputs) != len(y) or not len(y) or y.is_complex():
        return None
    outputs = outputs.detach()
    if not y.is_floating_point():
        is_classes = outputs.ndim == 2 and 1 < outputs.shape[1] <= MAX_CLASSES and y.ndim == 1
        return (outputs, y.long()) if is_classes else None
    outputs, y = outputs.reshape(len(y), -1), y.reshape(len(y), -1)
    if y.shape[1] not in (1, outputs.shape[1]):
        return None
    return outputs, y.expand_as(outputs)
