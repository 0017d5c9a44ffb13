"""The pictures of firstlight's own models and data."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from firstlight import plots
from firstlight.data.loaders import Loaded
from firstlight.data.splits import Split
from firstlight.data.synthetic import Planted, Sine
from firstlight.data.table import Table
from firstlight.gallery.moments import Moment, evaluating, picture, stage_of
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

__all__: list[str] = []  # the decorator adds them to the list of all pictures

MAX_POINTS = 500  # of a curve, about one per pixel
MAX_UNITS = 64
MAX_MISTAKES = 16
MAX_SCORES = 2
GRID = 120  # points in each direction


def _are_images(x: Tensor) -> bool:
    return x.ndim == 4 and x.shape[1] in (1, 3)


@picture("learning curves", data=object)
def _draw_learning_curves(moment: Moment) -> "Figure | None":
    scores: dict[str, dict[str, dict[int, float]]] = {}
    for name, values in sorted(moment.scores.items(), key=lambda item: ("loss" not in item[0], item[0])):
        if values and (found := stage_of(name)):
            scores.setdefault(found[0], {})[found[1]] = {**values}
    shown = {score: scores[score] for score in [*scores][:MAX_SCORES]}
    monitor, choose = getattr(moment.model, "monitor", ""), max if getattr(moment.model, "mode", "") == "max" else min
    watched = {step: score for step, score in moment.scores.get(monitor, {}).items() if not math.isnan(score)}
    found = stage_of(monitor)
    best = (found[0], choose(watched, key=watched.__getitem__)) if watched and found and found[1] == "val" else None
    return plots.learning_curves(shown, moment.title("learning curves"), best) if shown else None


def _curve(data: Sine, max_points: int = MAX_POINTS) -> Split:
    x, y = data.train
    every = -(-len(x) // max_points)
    x, y = x[::every], y[::every]
    order = x[:, 0].argsort()  # the points of a fold are not in order
    return x[order], y[order]


def _note_fit(moment: Moment) -> Tensor:
    """Return the fit; of many side by side, their mean and a band of nine tenths of them."""
    fits = moment.outputs(_curve(moment.data))[0]
    if fits.shape[1] == 1:
        return fits[:, 0]
    return torch.stack([fits.mean(1), *fits.quantile(torch.tensor([0.05, 0.95]), dim=1)], dim=1)


@picture("fit", Regression, Sine, note=_note_fit)
def _draw_fit(moment: Moment) -> "Figure":
    x, y = _curve(moment.data)
    members = getattr(moment.model, "num_members", 1)
    content = "the fit and its residual" if members == 1 else f"mean of {members:,} fits, and a band of 90 %"
    return plots.curve_fit(x[:, 0], y[:, 0], moment.notes["fit"], moment.title(content))


@picture("predictions", Regression, (Table, Loaded))
def _draw_predictions(moment: Moment) -> "Figure":
    guess, truth = (part.flatten() for part in moment.outputs(moment.data.val))
    r2 = 1 - (guess - truth).square().sum() / (truth - truth.mean()).square().sum()
    every = -(-len(truth) // MAX_POINTS)
    return plots.predictions_over_truth(truth[::every], guess[::every], moment.title(f"predictions, R2 {r2:.3f}"))


@picture("coefficients", (AutogradCubic, ManualCubic), Sine, follow=lambda model: model.coefficients)
def _draw_coefficients(moment: Moment) -> "Figure | None":
    x, y = _curve(moment.data, 20 * MAX_POINTS)
    path = moment.notes["coefficients"]
    best = torch.linalg.lstsq(x ** torch.arange(4), y).solution[:, 0]
    return _paths(path, best, "abcd", moment.title("a + b x + c x² + d x³"), "least squares")


def _paths(path: Mapping[int, Tensor], goals: Tensor, names: Sequence[str], title: str, goal: str) -> "Figure | None":
    """Draw the paths of weights, as soon as there are some."""
    steps = [*path]
    return plots.weight_paths(steps, torch.stack([*path.values()]), goals, names, title, goal) if steps[1:] else None


def _weights_and_bias(model: Neuron | LinearRegression) -> Tensor:
    parts = (model.weights, model.bias) if isinstance(model, Neuron) else (model.linear.weight, model.linear.bias)
    return torch.cat([part.detach().flatten() for part in parts])


@picture("planted weights", (Neuron, LinearRegression), Planted, follow=_weights_and_bias)
def _draw_planted(moment: Moment) -> "Figure | None":
    data, path = moment.data, moment.notes["planted weights"]
    planted = torch.cat([data.weights, data.bias[None]])
    numbered = (f"w{number}" for number in range(1, len(data.weights) + 1))
    names = [*(data.feature_names or numbered), "bias"]
    return _paths(path, planted, names, moment.title("learned and planted weights"), "planted")


@picture("weights", SoftmaxRegression, fits=_are_images)
def _draw_weights(moment: Moment) -> "Figure":
    images = _as_images(moment, moment.model.W.T)
    return plots.weight_images(images, moment.class_names(), moment.title("weights of each class"))


def _first_layer(model: MLP | NeuralNetwork) -> Tensor:
    return next(each.detach() for each in model.parameters() if each.ndim == 2)


def _note_first_layer(moment: Moment) -> Tensor | None:
    """Return the weights that training starts from, of as many units as are drawn."""
    return None if moment.notes["first layer"] else _first_layer(moment.model)[:MAX_UNITS]


@picture("first layer", (MLP, NeuralNetwork), fits=_are_images, note=_note_first_layer)
def _draw_first_layer(moment: Moment) -> "Figure | None":
    # what an initialization by random numbers leaves would hide what was learned
    weights, start = _first_layer(moment.model), moment.notes.get("first layer", {}).get(0)
    content = f"{min(len(weights), MAX_UNITS)} of {len(weights):,} hidden units"
    shown = weights[:MAX_UNITS].float().cpu()
    if start is not None:
        shown, content = shown - start, f"change of {content}, largest first"
        shown = shown[shown.norm(dim=1).argsort(descending=True, stable=True)]
    return plots.weight_images(_as_images(moment, shown), [], moment.title(content)) if shown.any() else None


@picture("confusion matrix", Classification)
def _draw_confusion(moment: Moment) -> "Figure":
    num_classes, (_, guess, truth) = moment.model.num_classes, moment.guesses
    counts = torch.bincount(num_classes * truth + guess, minlength=num_classes**2).view(num_classes, num_classes)
    return plots.confusion_matrix(counts, moment.class_names(), moment.title(_correct(moment)))


@picture("mistakes", Classification, fits=_are_images)
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
    captions = [(names[truth[row]], f"{int(100 * probability[row])}% {names[guess[row]]}") for row in worst.tolist()]
    title = moment.title(f"most confident of {len(wrong):,} mistakes")
    return plots.mistakes(images, captions, f"{title}; truth in black, guess in orange")


@picture("decision boundary", Classification, fits=lambda x: x.shape[1:] == (2,))
def _draw_boundary(moment: Moment) -> "Figure":
    x, y = (torch.cat(part)[: 2 * MAX_POINTS].cpu() for part in zip(*moment.batches(moment.data.val), strict=True))
    low, high = x.amin(dim=0), x.amax(dim=0)
    margin = torch.where(high > low, 0.1 * (high - low), 1)
    ends = zip((low - margin).tolist(), (high + margin).tolist(), strict=True)
    across, up = (torch.linspace(start, end, GRID) for start, end in ends)
    grid = torch.stack(torch.meshgrid(across, up, indexing="xy"), dim=2)  # (rows, columns, 2)
    with evaluating(moment.trainer, moment.model):
        outputs = moment.model(grid.view(-1, 2).to(moment.model.device, x.dtype)).float().cpu()
    probabilities = outputs.softmax(dim=1).view(GRID, GRID, -1)
    title = moment.title(_correct(moment))
    features = moment.data.feature_names or ("first feature", "second feature")
    return plots.decision_boundary((across, up), probabilities, x, y, moment.class_names(), features, title)


def _correct(moment: Moment) -> str:
    _, guess, truth = moment.guesses
    right = int((truth == guess).sum())
    return f"{right:,} of {len(truth):,} correct ({right / len(truth):.1%})"


def _as_images(moment: Moment, weights: Tensor) -> Tensor:
    """Return weights of shape ``(units, features)`` as an image per unit, summed over colour channels."""
    return weights.detach().float().cpu().reshape(-1, *moment.example.shape[1:]).sum(dim=1)
