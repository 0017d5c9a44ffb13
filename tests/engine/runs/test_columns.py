import pytest
import torch

from firstlight import AutogradCubic
from firstlight.engine.runs.columns import add_columns, join_columns, num_rows
from firstlight.engine.runs.inputs import predict_inputs

ONES = torch.ones(3)


def test_what_has_an_entry_for_each_example_is_a_column():
    left_out = {}
    outputs = {"a": ONES, "b": (ONES.numpy(), ["x", "y", "z"]), "empty": torch.ones(3, 0), "short": ONES[:2], "one": 1}
    table = add_columns({"index": torch.arange(3)}, outputs, left_out)
    assert list(table) == ["index", "a", "b.1", "b.2"]
    assert num_rows(table) == 3
    assert left_out == {"empty": "Tensor", "short": "2 entries in a batch of 3", "one": "int"}


def test_columns_that_not_all_parts_have_alike_are_left_out():
    left_out = {}
    parts = [{"a": ONES, "b": ONES, "c": ONES}, {"a": ONES, "b": ONES[:, None]}]
    assert list(join_columns(parts, left_out)) == ["a"]
    assert list(left_out) == ["b", "c"]


class Returns(AutogradCubic):
    def predict_step(self, batch, batch_idx):
        return self.make(batch[0])


def test_inputs_from_python_are_predicted_by_any_model():
    model = Returns()
    model.make = lambda x: x + 1
    assert torch.equal(predict_inputs(model, None, ONES[:, None])["prediction"], ONES[:, None] + 1)
    model.make = lambda x: {"score": x, "mean": x.mean()}
    with pytest.warns(UserWarning, match="what has no entry for each example is left out: mean"):
        assert list(predict_inputs(model, None, ONES[:, None])) == ["score"]
