import math
from pathlib import Path

import pytest
import torch

from firstlight import AutogradCubic
from firstlight.engine.callbacks.nan_checks import check_loss, check_weights
from firstlight.errors import NotFiniteError


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_loss_that_is_not_finite_ends_the_run(loss):
    check_loss(1e38, 3, Path("last.ckpt"))
    with pytest.raises(NotFiniteError, match=f"the loss is {loss} at step 3\nno checkpoint was written yet\n"):
        check_loss(loss, 3, Path("last.ckpt"))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weight_that_is_not_finite_ends_the_run_and_the_message_names_it(value):
    model = AutogradCubic()
    model.register_buffer("count", torch.tensor(1))  # whole numbers are always finite
    check_weights(model, 3, Path("last.ckpt"))
    model.coefficients.data[2] = value
    Path("last.ckpt").touch()
    message = "coefficients is NaN or infinite after step 3\nthe last good checkpoint is last.ckpt\n"
    with pytest.raises(NotFiniteError, match=message):
        check_weights(model, 3, Path("last.ckpt"))
