import torch
from firstlight import quiet_trainer
from firstlight.gallery import Moment, suitable

from my_research.data import TwoMoons
from my_research.models import SmallMLP


def test_logits_are_those_of_the_formula() -> None:
    model = SmallMLP(num_features=3, hidden_dim=4, num_classes=2)
    W1, b1, W2, b2 = model.parameters()  # nn.Linear keeps its weights transposed
    x = torch.randn(5, 3)
    torch.testing.assert_close(model(x), (x @ W1.T + b1).relu() @ W2.T + b2)


def test_picture_has_a_line_for_each_hidden_unit() -> None:
    model, data = SmallMLP(hidden_dim=5), TwoMoons(num_points=20)
    data.setup("fit")
    (drawn,) = (each for each in suitable(model, data) if each.tag == "hidden units")
    figure = drawn.draw(Moment(quiet_trainer(), model, data, "step 0"))
    assert figure is not None
    (axes,) = figure.axes
    assert len(axes.lines) == 5
    W, b = (part.detach() for part in model.net[0].parameters())
    points = torch.tensor([line.get_xy1() for line in axes.lines])  # type: ignore[attr-defined]  # of axline
    torch.testing.assert_close((points @ W.T + b).abs().amin(dim=1), torch.zeros(5))
