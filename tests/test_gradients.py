import pytest
import torch
from torch import nn

from firstlight import Houses, Regression
from firstlight.gradients import ManualGradient


class Autograd(Regression):
    """Linear regression without a bias, on batches that may be smaller than the others."""

    def __init__(self, lr=0.1):
        super().__init__(lr)
        self.weights = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return (x @ self.weights)[:, None]


class Manual(ManualGradient, Autograd):
    @torch.no_grad()
    def training_step(self, batch, batch_idx):
        x, y = batch
        prediction = self(x)
        residual = prediction - y
        loss = residual.square().mean()
        self.update_scores(self.train_scores, loss, prediction, y)
        return self.with_gradient(loss, self.weights, 2 * (residual * x).mean(dim=0))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"accumulate_grad_batches": 3},
        {"gradient_clip_val": 0.1},
        {"gradient_clip_val": 0.1, "gradient_clip_algorithm": "value", "accumulate_grad_batches": 2},
        {"precision": "64-true"},
        {"precision": "bf16-mixed"},
    ],
    ids=str,
)
def test_a_gradient_by_hand_does_what_autograd_s_does(arguments, quick_trainer):
    manual, autograd = Manual(), Autograd()
    for model in (manual, autograd):
        quick_trainer(max_epochs=2, limit_train_batches=7, **arguments).fit(model, Houses(num_examples=64))
    assert autograd.weights.norm() > 0.01
    assert manual.weights.dtype == autograd.weights.dtype
    tolerance = 0.02 if arguments.get("precision") == "bf16-mixed" else 1e-5
    torch.testing.assert_close(manual.weights, autograd.weights, rtol=tolerance, atol=tolerance)


def test_a_model_without_a_training_step_cannot_be_built():
    with pytest.raises(TypeError, match="abstract method"):
        ManualGradient()
