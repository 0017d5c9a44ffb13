import math
from pathlib import Path

import pytest
import torch

from firstlight import AutogradCubic
from firstlight.engine.callbacks.nan_checks import check_loss, check_weights
from firstlight.errors import NotFiniteError


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_loss_that_is_not_finite_ends_the_run(loss):
    check_loss(1e38, 3, Path("last.ckpt"), finite_at=0)
    with pytest.raises(NotFiniteError, match=f"the loss is {loss} at step 3\nnothing was learned before"):
        check_loss(loss, 3, Path("last.ckpt"), finite_at=2)
    with pytest.raises(NotFiniteError, match=f"the loss is {loss} at step 3, first between steps 2 and 3\n"):
        check_loss(loss, 3, Path("last.ckpt"), finite_at=1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weight_that_is_not_finite_ends_the_run_and_the_message_names_it(value):
    model = AutogradCubic()
    model.register_buffer("mask", torch.full((2, 2), -torch.inf).triu(1))  # as attention has it
    model.register_parameter("frozen", torch.nn.Parameter(torch.tensor(torch.nan), requires_grad=False))
    check_weights(model, 3, Path("last.ckpt"))
    model.coefficients.data[2] = value
    torch.save({"state_dict": {}, "global_step": 2}, "last.ckpt")
    message = "coefficients is NaN or infinite after step 3\nthe last good checkpoint is last.ckpt\n"
    with pytest.raises(NotFiniteError, match=message):
        check_weights(model, 3, Path("last.ckpt"))


def test_checkpoint_from_before_the_first_step_is_not_called_good():
    torch.save({"state_dict": {}, "global_step": 0}, "last.ckpt")
    with pytest.raises(NotFiniteError, match="nothing was learned before"):
        check_loss(math.nan, 1, Path("last.ckpt"), finite_at=0)
