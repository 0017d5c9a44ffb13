import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel

from firstlight import AutogradCubic, Sine
from firstlight.engine.runs.exporting import Exported, example_inputs, export_model, largest_difference
from firstlight.engine.runs.loading import Trained
from firstlight.errors import FirstlightError


@pytest.fixture
def trained(tmp_path):
    """Return a model and its data, as a run is loaded."""
    return Trained(AutogradCubic().eval(), Sine(num_points=9), {}, tmp_path / "best.ckpt")


def test_example_inputs_are_those_that_predict_takes(trained):
    x = example_inputs(trained)
    trained.data.setup("predict")
    assert torch.equal(x, trained.data.test[0].float())


def test_exported_program_computes_what_the_model_does_in_any_batch(trained):
    exported = export_model(trained, "torch_export", torch.rand(2, 1))
    for x in torch.rand(5, 1), torch.rand(1, 1):
        torch.testing.assert_close(exported.run(x), trained.model(x))
    assert largest_difference(trained, exported, torch.rand(5, 1)) < 1e-5


def test_difference_is_found_in_a_batch_of_one_too(trained):
    def wrong_alone(x):
        return trained.model(x) + (0.5 if len(x) == 1 else 0.0)

    with pytest.raises(FirstlightError, match=r"differ by 0\.5 from the model's"):
        largest_difference(trained, Exported(b"", wrong_alone), torch.rand(5, 1))


def test_outputs_that_are_nan_are_a_difference(trained):
    exported = Exported(b"", lambda x: trained.model(x) * torch.nan)
    with pytest.raises(FirstlightError, match="differ by nan"):
        largest_difference(trained, exported, torch.rand(5, 1))


@pytest.mark.parametrize("of", [torch.signbit, torch.Tensor.long, torch.Tensor.cfloat])
def test_outputs_of_any_type_are_compared(of, trained):
    class Other(AutogradCubic):
        def forward(self, x):
            return of(super().forward(x))

    other = trained._replace(model=Other().eval())
    assert largest_difference(other, export_model(other, "torch_export", torch.rand(2, 1)), torch.rand(5, 1)) == 0
    with pytest.raises(FirstlightError, match="another shape than the model's"):
        largest_difference(other, Exported(b"", lambda x: other.model(x)[:, 0]), torch.rand(5, 1))


@pytest.mark.parametrize(
    ("batch", "where"),
    [
        ({"inputs": torch.ones(2, 1)}, "called 'x', as forward takes it"),
        ([["word"]], "as its first entry"),
        (3, "as its"),
    ],
)
def test_batch_without_inputs_is_refused(batch, where, trained, monkeypatch):
    monkeypatch.setattr(trained.data, "predict_dataloader", lambda: [iter([batch])])
    with pytest.raises(FirstlightError, match=f"a batch of predict_dataloader needs a tensor {where}"):
        example_inputs(trained)
    example = torch.rand(2, 3)
    assert example_inputs(trained._replace(model=Decoder(example))) is example


def test_data_that_are_not_known_are_named_as_the_reason(trained):
    vars(trained.model)["scale"] = torch.ones(1, requires_grad=True) * 2  # as weight_norm has it: it cannot be copied
    with pytest.raises(FirstlightError, match=r"best\.ckpt does not name its data"):
        example_inputs(trained._replace(data=None))


class Decoder(BoringModel):
    """A model whose ``forward`` takes other inputs than its data have."""

    def __init__(self, example=None):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)
        self.example_input_array = example


def test_inputs_that_forward_does_not_take_are_replaced_by_the_model_s_own(trained):
    example = torch.rand(2, 3)
    assert example_inputs(trained._replace(model=Decoder(example))) is example
    message = r"(?s)^Decoder\.forward does not take the inputs of its data: .*\nset self\.example_input_array"
    with pytest.raises(FirstlightError, match=message):
        example_inputs(trained._replace(model=Decoder()))


def test_loaders_of_the_model_itself_are_taken_where_there_is_no_data_module(trained):
    model = Decoder()
    model.predict_dataloader = lambda: torch.ones(1, 4, 3)
    assert example_inputs(trained._replace(model=model, data=None)).shape == (4, 3)
    model.predict_dataloader = lambda: {"first": torch.ones(1, 5, 3), "second": torch.ones(1, 4, 3)}
    assert example_inputs(trained._replace(model=model, data=None)).shape == (5, 3)


def test_loaders_of_the_model_itself_are_made_after_its_setup_without_a_change_to_the_model(trained):
    class Prepared(Decoder):
        def setup(self, stage):
            self.rows = torch.ones(1, 4, 3)
            self.layer.weight.data.zero_()

        def predict_dataloader(self):
            return self.rows

    model = Prepared()
    assert example_inputs(trained._replace(model=model, data=None)).shape == (4, 3)
    assert model.layer.weight.any()


def test_forward_that_returns_no_tensor_is_refused(trained):
    model = Decoder(torch.rand(2, 3))
    model.forward = lambda x: (x, x)
    with pytest.raises(FirstlightError, match="Decoder cannot be exported: its forward returns a tuple"):
        example_inputs(trained._replace(model=model, data=None))
