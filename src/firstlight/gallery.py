"""Pictures that explain a model on its data: which there are, and what each is drawn from.

A picture for a model of one's own is one more row in :data:`PICTURES`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from firstlight import plots
from firstlight.data.batches import Batch
from firstlight.data.data_module import DataModule
from firstlight.data.splits import Split
from firstlight.data.synthetic import Planted, Sine
from firstlight.models import (
    MLP,
    AutogradCubic,
    LinearRegression,
    ManualCubic,
    NeuralNetwork,
    Neuron,
    SoftmaxRegression,
)
from firstlight.tasks import Classification, Regression

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PICTURES", "Moment", "Picture", "evaluating", "suitable"]

MAX_POINTS = 500  # of a curve, about one per pixel
MAX_UNITS = 64
MAX_MISTAKES = 36


@contextmanager
def evaluating(trainer: Trainer, model: LightningModule) -> Iterator[None]:
    """Put a model in evaluation mode in the middle of its training, and back into its former state afterwards."""
    stage, modes = trainer.state.stage, {module: module.training for module in model.modules()}
    trainer.validating = True  # for data modules that augment training batches
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        trainer.state.stage = stage
        for module, mode in modes.items():
            module.training = mode


@dataclass
class Moment:
    """A model and its data at one moment of the training.

    Args:
        trainer: The Trainer.
        model: The model.
        data: Its data module.
        when: The moment as text: ``epoch 5, step 2,000``.
        notes: What was noted for each picture up to now, by tag and by number of steps.
    """

    trainer: Trainer
    model: Any
    data: Any
    when: str
    notes: Mapping[str, Mapping[int, Tensor]]

    def batches(self, split: Any) -> Iterator[Batch]:
        """Return all examples in batches, as the model takes them, however many processes there are."""
        device = self.model.device
        return ((x.to(device), y.to(device)) for x, y in self.data.batches(split, shared=False))

    def outputs(self, split: Any) -> tuple[Tensor, Tensor]:
        """Return the model's outputs for examples, as in validation, and the targets."""
        with evaluating(self.trainer, self.model):
            pairs = [(self.model(x).float().cpu(), y.cpu()) for x, y in self.batches(split)]
        outputs, targets = zip(*pairs, strict=True)
        return torch.cat(outputs), torch.cat(targets)

    @cached_property
    def guesses(self) -> tuple[Tensor, Tensor, Tensor]:
        """Probability and number of the most probable class of each validation example, and its target."""
        outputs, targets = self.outputs(self.data.val)
        probability, guess = outputs.softmax(dim=1).max(dim=1)
        return probability, guess, targets.long()

    @cached_property
    def example(self) -> Tensor:
        """The input of the first validation example, as a batch of one."""
        x: Tensor = _first(self.data)
        return x

    def title(self, content: str) -> str:
        """Return the title of a picture: model, content and moment."""
        return f"{type(self.model).__name__}: {content}\n{self.when}"

    def class_names(self) -> list[str]:
        """Return the names of the classes, or numbers where there are none."""
        named = self.data.classes[: self.model.num_classes]
        return [*named, *map(str, range(len(named), self.model.num_classes))]


@dataclass(frozen=True)
class Picture:
    """A picture, and the models and data that it is for.

    Args:
        tag: Its name in TensorBoard.
        model: Classes of models that it is for.
        data: Class of data that it is for.
        draw: Draws the figure of a moment, or returns None if there is nothing to see.
        images: Whether inputs must be images, of shape ``(channels, height, width)``.
        note: Returns what to note at each moment, drawn or not.
        follow: Returns what to note of the model after single steps too.
    """

    tag: str
    model: type | tuple[type, ...]
    data: type
    draw: "Callable[[Moment], Figure | None]"
    images: bool = False
    note: Callable[[Moment], Tensor] | None = None
    follow: Callable[[Any], Tensor] | None = None


def suitable(model: LightningModule, data: object) -> list[Picture]:
    """Return the pictures for a model on its data."""
    return [
        picture
        for picture in PICTURES
        if isinstance(model, picture.model)
        and isinstance(data, DataModule)
        and isinstance(data, picture.data)
        and isinstance(x := _first(data), Tensor)
        and (not picture.images or (x.ndim == 4 and x.shape[1] in (1, 3)))
    ]


def _first(data: DataModule) -> Any:
    """Return the input of the first validation example as a batch of one; None if examples are no pairs."""
    batch = data.examples(data.val, torch.tensor([0]))
    return batch[0] if isinstance(batch, tuple | list) and len(batch) == 2 else None


def _curve(data: Sine, max_points: int = MAX_POINTS) -> Split:
    x, y = data.train
    every = -(-len(x) // max_points)
    x, y = x[::every], y[::every]
    order = x[:, 0].argsort()  # the points of a fold are not in order
    return x[order], y[order]


def _predict_curve(moment: Moment) -> Tensor:
    return moment.outputs(_curve(moment.data))[0][:, 0]


def _draw_fit(moment: Moment) -> "Figure":
    x, y = _curve(moment.data)
    return plots.curve_fit(x[:, 0], y[:, 0], moment.notes["fit"], moment.title("the fit and its residual"))


def _draw_coefficients(moment: Moment) -> "Figure":
    x, y = _curve(moment.data, 20 * MAX_POINTS)
    path = moment.notes["coefficients"]
    best = torch.linalg.lstsq(x ** torch.arange(4), y).solution[:, 0]
    title = moment.title("a + b x + c x² + d x³")
    return plots.coefficient_paths(list(path), torch.stack(list(path.values())), best, title)


def _draw_planted(moment: Moment) -> "Figure":
    model, data = moment.model, moment.data
    parts = (model.weights, model.bias) if isinstance(model, Neuron) else (model.linear.weight, model.linear.bias)
    learned = torch.cat([part.detach().flatten().cpu().double() for part in parts])
    planted = torch.cat([data.weights, data.bias[None]])
    names = [f"weight {number}" for number in range(1, len(data.weights) + 1)]
    return plots.planted_weights(learned, planted, [*names, "bias"], moment.title("learned and planted weights"))


def _draw_weights(moment: Moment) -> "Figure":
    images = _as_images(moment, moment.model.W.T)
    return plots.weight_images(images, moment.class_names(), moment.title("weights of each class"))


def _draw_first_layer(moment: Moment) -> "Figure":
    weights = next(moment.model.parameters())
    images = _as_images(moment, weights[:MAX_UNITS])
    return plots.weight_images(images, [], moment.title(f"weights of {len(images)} of {len(weights)} hidden units"))


def _draw_confusion(moment: Moment) -> "Figure":
    num_classes, (_, guess, truth) = moment.model.num_classes, moment.guesses
    counts = torch.bincount(num_classes * truth + guess, minlength=num_classes**2).view(num_classes, num_classes)
    right = (truth == guess).sum()
    title = moment.title(f"{right:,} of {len(truth):,} validation examples are correct")
    return plots.confusion_matrix(counts, moment.class_names(), title)


def _draw_mistakes(moment: Moment) -> "Figure | None":
    probability, guess, truth = moment.guesses
    wrong = (guess != truth).nonzero()[:, 0]
    worst = wrong[probability[wrong].argsort(descending=True, stable=True)][:MAX_MISTAKES]
    if not len(worst):
        return None
    names, (stored, _) = moment.class_names(), moment.data.examples(moment.data.val, worst)
    images = stored.float().cpu()
    low, high = (0, 255) if stored.dtype == torch.uint8 else (images.min(), images.max())
    images = ((images - low) / (high - low)).permute(0, 2, 3, 1).squeeze(3)
    captions = [(names[truth[row]], f"{names[guess[row]]}? {probability[row]:.2f}") for row in worst.tolist()]
    title = moment.title(f"the {len(worst)} most confident of {len(wrong):,} mistakes (truth; guess, probability)")
    return plots.mistakes(images, captions, title)


def _as_images(moment: Moment, weights: Tensor) -> Tensor:
    """Return weights of shape ``(units, features)`` as an image per unit, summed over colour channels."""
    return weights.detach().float().cpu().reshape(-1, *moment.example.shape[1:]).sum(dim=1)


PICTURES = [
    Picture("fit", Regression, Sine, _draw_fit, note=_predict_curve),
    Picture("coefficients", (AutogradCubic, ManualCubic), Sine, _draw_coefficients, follow=lambda m: m.coefficients),
    Picture("planted weights", (Neuron, LinearRegression), Planted, _draw_planted),
    Picture("weights", SoftmaxRegression, DataModule, _draw_weights, images=True),
    Picture("first layer", (MLP, NeuralNetwork), DataModule, _draw_first_layer, images=True),
    Picture("confusion matrix", Classification, DataModule, _draw_confusion),
    Picture("mistakes", Classification, DataModule, _draw_mistakes, images=True),
]
"""All pictures."""
