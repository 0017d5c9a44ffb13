"""The models of this project."""

from typing import Any

from firstlight import Classification
from firstlight.gallery import Moment, picture
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor, nn

__all__ = ["SmallMLP"]


class SmallMLP(Classification):
    """A multilayer perceptron with one hidden layer, ``relu(x @ W1 + b1) @ W2 + b2``.

    Args:
        num_features: Size of an input.
        hidden_dim: Width of the hidden layer.
        num_classes: Number of classes.
        lr: Learning rate.
    """

    def __init__(
        self,
        num_features: PositiveInt = 2,
        hidden_dim: PositiveInt = 64,
        num_classes: PositiveInt = 2,
        lr: PositiveFloat = 0.5,
    ) -> None:
        super().__init__(num_classes, lr)
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Linear(num_features, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, num_features)`` to logits of shape ``(batch, num_classes)``."""
        logits: Tensor = self.net(x)
        return logits


@picture("hidden units", SmallMLP)
def draw_hidden_units(moment: Moment) -> Any:
    """Draw the validation points, and for the strongest hidden units the lines from which on they are active."""
    W, b, following, _ = (part.detach().cpu() for part in moment.model.net.parameters())
    strongest = (W.norm(dim=1) * following.norm(dim=0)).argsort(descending=True)[:10]
    x, y = moment.data.val[:]
    figure, axes = moment.figure("where the strongest units begin")
    axes.scatter(x[:, 0], x[:, 1], c=y, s=5, cmap="coolwarm", zorder=2)
    axes.set(xlim=(-1.5, 2.5), ylim=(-1.2, 1.7), autoscale_on=False)
    for weights, bias in zip(W[strongest], b[strongest], strict=True):
        start = -bias * weights / weights.square().sum()  # the point of the line that is nearest to the origin
        along = start + weights[[1, 0]] * weights.new_tensor([-1, 1])
        axes.axline(start.tolist(), along.tolist(), color="black", linewidth=1)
    return figure
