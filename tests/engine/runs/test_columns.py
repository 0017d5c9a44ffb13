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


def test_columns_of_parts_are_joined_and_those_that_not_all_have_left_out():
    left_out = {}
    parts = [{"a": ONES, "b": ONES, "c": ONES}, {"a": ONES, "b": ONES[:, None]}]
    joined = join_columns(parts, left_out)
    assert joined["a"].tolist() == [1] * 6
    assert joined["b"] == [1, 1, 1, [1], [1], [1]]
    assert left_out == {"c": "not in all batches"}


def test_list_of_tensors_is_one_column_if_it_has_one_for_each_example():
    rows = {"index": torch.arange(3)}
    assert list(add_columns(rows, [ONES, ONES], {})) == ["index", "prediction.1", "prediction.2"]
    assert list(add_columns({}, [ONES, ONES], {}, {"x": ONES})) == ["prediction.1", "prediction.2"]
    assert add_columns({}, [ONES] * 4, {}, [torch.ones(4, 2)])["prediction"].shape == (4, 3)
    assert add_columns({}, [ONES, ONES[:1]], {})["prediction"] == [[1, 1, 1], [1]]


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
