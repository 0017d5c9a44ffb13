"""What a picture is, what it is drawn from, and how one is added."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from firstlight.data.batches import Batch
from firstlight.data.data_module import DataModule
from firstlight.plots.style import new_figure, set_title, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kinds = type | tuple[type, ...]

__all__ = ["PICTURES", "Moment", "Picture", "copied", "evaluating", "picture", "stage_of", "suitable"]


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
        scores: The scores of training and validation up to now, by name and by number of steps.
    """

    trainer: Trainer
    model: Any
    data: Any
    when: str
    notes: dict[str, dict[int, Tensor]] = field(default_factory=dict)
    scores: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

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

    @styled
    def figure(self, content: str) -> "tuple[Figure, Axes]":
        """Return a new figure in the common style, and its axes, with a title."""
        figure, (axes,) = new_figure(top=0.6)
        set_title(axes, self.title(content))
        return figure, axes

    def title(self, content: str) -> str:
        """Return the title of a picture: model, content and moment."""
        return f"{type(self.model).__name__}: {content}\n{self.when}"

    def class_names(self) -> list[str]:
        """Return the names of the classes, or numbers where there are none."""
        named = self.data.classes[: self.model.num_classes]
        return [*named, *map(str, range(len(named), self.model.num_classes))]


@dataclass(frozen=True)
class Picture:
    """A picture, and the models and data that it is for; :func:`picture` makes one.

    Args:
        tag: Its name in TensorBoard.
        draw: Draws the figure of a moment, or returns None if there is nothing to see.
        model: Class or classes of the models that it is for.
        data: Class or classes of the data that it is for.
        fits: Says of the input of an example, as a batch of one, whether the picture is for such inputs.
        note: Returns what to note at each moment, drawn or not; None if nothing.
        follow: Returns what to note of the model after single steps too.
    """

    tag: str
    draw: "Callable[[Moment], Figure | None]"
    model: Kinds = LightningModule
    data: Kinds = DataModule
    fits: Callable[[Tensor], bool] | None = None
    note: Callable[[Moment], Tensor | None] | None = None
    follow: Callable[[Any], Tensor] | None = None

    def take_note(self, moment: Moment, step: int) -> None:
        """Add to the notes of a moment what the picture needs of the model as it is now."""
        if self.note and (noted := self.note(moment)) is not None:
            moment.notes[self.tag][step] = copied(noted)
        if self.follow:
            moment.notes[self.tag][step] = copied(self.follow(moment.model))


PICTURES: list[Picture] = []
"""All pictures, in the order in which they were added."""


def picture(
    tag: str, model: Kinds = LightningModule, data: Kinds = DataModule, **options: Any
) -> "Callable[[Callable[[Moment], Figure | None]], Callable[[Moment], Figure | None]]":
    """Add a picture: decorate a function that draws the figure of a moment.

    It takes the place of a picture of the same name that is for the same models.

    Args:
        tag: Its name in TensorBoard.
        model: Class or classes of the models that it is for.
        data: Class or classes of the data that it is for.
        options: Further arguments of :class:`Picture`.
    """

    def add(draw: "Callable[[Moment], Figure | None]") -> "Callable[[Moment], Figure | None]":
        PICTURES.append(Picture(tag, draw, model, data, **options))
        return draw

    return add


def suitable(model: LightningModule, data: object) -> list[Picture]:
    """Return the pictures for a model on its data; of those with the same name the one that was added last."""
    x = _first(data) if isinstance(data, DataModule) else None
    found = {
        picture.tag: picture
        for picture in PICTURES
        if isinstance(model, picture.model)
        and isinstance(data, picture.data)
        and (picture.data is object or (isinstance(x, Tensor) and (picture.fits is None or picture.fits(x))))
    }
    return [*found.values()]


def stage_of(name: str) -> tuple[str, str] | None:
    """Return the score and the stage (``train``, ``val``) that a name like ``loss/val`` or ``val_loss`` is made of."""
    match = re.fullmatch(r"(?:(.+)[/_])?(train|val)(?:[/_](.+))?", name)
    return ("_".join(filter(None, match.group(1, 3))), match[2]) if match else None


def copied(weights: Tensor) -> Tensor:
    """Return a copy of what is noted, on the CPU, which training does not change."""
    return weights.detach().to("cpu", torch.float, copy=True)


def _first(data: DataModule) -> Any:
    """Return the input of the first validation example as a batch of one; None if examples are no pairs."""
    batch = data.examples(data.val, torch.tensor([0]))
    return batch[0] if isinstance(batch, tuple | list) and len(batch) == 2 else None
