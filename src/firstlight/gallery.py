"""Which pictures a model on its data gets, and what goes into each.

A model of one's own gets a picture of its own by one more row in :data:`PICTURES`.
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
from firstlight.data.in_memory import InMemory
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

MOST_POINTS = 500  # of a curve, about one a pixel
MOST_UNITS = 64
MOST_MISTAKES = 36


@contextmanager
def evaluating(trainer: Trainer, model: LightningModule) -> Iterator[None]:
    """Let a model be used in the middle of its training as it is in validation, and leave no trace of that."""
    stage, modes = trainer.state.stage, {module: module.training for module in model.modules()}
    trainer.validating = True  # data that augments what it trains on asks
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
    """A model on its data, as it is now.

    Args:
        trainer: What trains the model.
        model: The model.
        data: What it is trained on.
        when: Which moment it is: ``epoch 5, step 2,000``.
        notes: What pictures noted, this moment included: by their tags, and by the number of steps taken.
    """

    trainer: Trainer
    model: Any
    data: Any
    when: str
    notes: Mapping[str, Mapping[int, Tensor]]

    def inputs(self, x: Tensor, y: Tensor) -> Iterator[Tensor]:
        """Give the inputs of examples, batch by batch, as the model gets them."""
        return (inputs for inputs, _ in self.data.batches((x, y)))

    def outputs(self, x: Tensor, y: Tensor) -> Tensor:
        """Return what the model makes of examples, as when it is validated."""
        with evaluating(self.trainer, self.model):
            return torch.cat([self.model(inputs).float().cpu() for inputs in self.inputs(x, y)])

    @cached_property
    def guesses(self) -> tuple[Tensor, Tensor]:
        """The most probable class of each validation example: its probability, its number."""
        probability, guess = self.outputs(*self.data.val).softmax(dim=1).max(dim=1)
        return probability, guess

    def title(self, what: str) -> str:
        """Return the title of a picture."""
        return f"{type(self.model).__name__}: {what}\n{self.when}"

    def names(self) -> list[str]:
        """Return the names of the classes, or the numbers of those without one."""
        named = self.data.classes[: self.model.num_classes]
        return [*named, *map(str, range(len(named), self.model.num_classes))]


@dataclass(frozen=True)
class Picture:
    """One picture, and who gets it.

    Args:
        tag: Its name in TensorBoard.
        model: The classes of models that get it.
        data: The class of data on which they get it.
        draw: What makes a figure of a moment; None where there is nothing to see.
        images: Only where the inputs are images, of shape ``(channels, height, width)``.
        note: What to note of the moments that are looked at, drawn or not.
        follow: What to note of the model, besides, after single steps.
    """

    tag: str
    model: type | tuple[type, ...]
    data: type
    draw: "Callable[[Moment], Figure | None]"
    images: bool = False
    note: Callable[[Moment], Tensor] | None = None
    follow: Callable[[Any], Tensor] | None = None


def suitable(model: LightningModule, data: object) -> list[Picture]:
    """Return the pictures that a model on its data gets."""
    return [
        picture
        for picture in PICTURES
        if isinstance(model, picture.model)
        and isinstance(data, InMemory)
        and isinstance(data, picture.data)
        and (not picture.images or (data.val[0].ndim == 4 and data.val[0].shape[1] in (1, 3)))
    ]


def _curve(data: Sine, most: int = MOST_POINTS) -> Split:
    x, y = data.train
    every = -(-len(x) // most)
    x, y = x[::every], y[::every]
    order = x[:, 0].argsort()  # a fold's points are in none
    return x[order], y[order]


def _predict_curve(moment: Moment) -> Tensor:
    return moment.outputs(*_curve(moment.data))[:, 0]


def _draw_fit(moment: Moment) -> "Figure":
    x, y = _curve(moment.data)
    return plots.curve_fit(x[:, 0], y[:, 0], moment.notes["fit"], moment.title("the fit and what it leaves over"))


def _draw_coefficients(moment: Moment) -> "Figure":
    x, y = _curve(moment.data, 20 * MOST_POINTS)
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
    return plots.weight_images(images, moment.names(), moment.title("weights of each class"))


def _draw_first_layer(moment: Moment) -> "Figure":
    weights = next(moment.model.parameters())
    images = _as_images(moment, weights[:MOST_UNITS])
    return plots.weight_images(images, [], moment.title(f"weights of {len(images)} of {len(weights)} hidden units"))


def _draw_confusion(moment: Moment) -> "Figure":
    num_classes, truth, (_, guess) = moment.model.num_classes, moment.data.val[1].cpu().long(), moment.guesses
    counts = torch.bincount(num_classes * truth + guess, minlength=num_classes**2).view(num_classes, num_classes)
    right = (truth == guess).sum()
    title = moment.title(f"{right:,} of {len(truth):,} validation examples are right")
    return plots.confusion_matrix(counts, moment.names(), title)


def _draw_mistakes(moment: Moment) -> "Figure | None":
    x, y = moment.data.val
    probability, guess = moment.guesses
    wrong = (guess != y.cpu()).nonzero()[:, 0]
    worst = wrong[probability[wrong].argsort(descending=True, stable=True)][:MOST_MISTAKES]
    if not len(worst):
        return None
    names, images = moment.names(), x[worst.to(x.device)].float().cpu()
    low, high = (0, 255) if x.dtype == torch.uint8 else (images.min(), images.max())
    images = ((images - low) / (high - low)).permute(0, 2, 3, 1).squeeze(3)
    captions = [(names[y[row]], f"{names[guess[row]]}? {probability[row]:.2f}") for row in worst.tolist()]
    title = moment.title(f"the {len(worst)} surest of {len(wrong):,} mistakes (truth; guess, probability)")
    return plots.mistakes(images, captions, title)


def _as_images(moment: Moment, weights: Tensor) -> Tensor:
    """Return the weights of units, of shape ``(units, features)``, as one image a unit, summed over colours."""
    return weights.detach().float().cpu().reshape(-1, *moment.data.val[0].shape[1:]).sum(dim=1)


PICTURES = [
    Picture("fit", Regression, Sine, _draw_fit, note=_predict_curve),
    Picture("coefficients", (AutogradCubic, ManualCubic), Sine, _draw_coefficients, follow=lambda m: m.coefficients),
    Picture("planted weights", (Neuron, LinearRegression), Planted, _draw_planted),
    Picture("weights", SoftmaxRegression, InMemory, _draw_weights, images=True),
    Picture("first layer", (MLP, NeuralNetwork), InMemory, _draw_first_layer, images=True),
    Picture("confusion matrix", Classification, InMemory, _draw_confusion),
    Picture("mistakes", Classification, InMemory, _draw_mistakes, images=True),
]
"""Every picture with the models and the data that get it."""
