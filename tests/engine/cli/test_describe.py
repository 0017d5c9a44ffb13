"""What ``firstlight describe`` prints, against the model itself."""

import re
from pathlib import Path

import pytest
import torch
from lightning import seed_everything

from firstlight import MLP, Neuron


def rows(out, head):
    """Return the cells of the table whose first column has a name."""
    table = re.search(rf"^{head}  .*\n((?:.+  .+\n)+)", out, re.MULTILINE)[1]
    return [re.split(r" {2,}", line) for line in table.splitlines()]


def test_values_are_those_that_a_run_of_the_config_starts_from(did):
    seed_everything(0)
    model = Neuron()
    weights = [f"{value:.4g}" for value in model.weights[0, :4].tolist()]
    assert rows(did("describe", "neuron"), "parameter") == [
        ["weights", "(1, 5)", *weights, "..."],
        ["bias", "(1, 1)", f"{model.bias.item():.4g}"],
    ]


def test_layers_parameters_and_their_number_are_those_of_the_model(did):
    out = did("describe", "MLP", "--model.hidden_dims=[8]")
    assert did("describe", "--config", "mlp").startswith("MLP: ")
    model = MLP(hidden_dims=[8])
    assert [cells[:2] for cells in rows(out, "parameter")] == [
        [name, str(tuple(parameter.shape))] for name, parameter in model.named_parameters()
    ]
    assert rows(out, "layer") == [[f"net.{number}", repr(layer)] for number, layer in enumerate(model.net)]
    assert f"\n{sum(map(torch.numel, model.parameters())):,} parameters\n" in out


def test_formula_source_and_configs_are_named(did):
    out = did("describe", "ManualCubic")
    assert out.startswith("ManualCubic: y = a + b x + c x^2 + d x^3, its gradient worked out on paper.\n\nThe loss ")
    assert '\nsource:  D3, "Learning PyTorch with Examples".\n' in out
    assert re.search(r"^code: .*models/polynomial\.py, line \d+\nconfigs: manual_cubic$", out, re.MULTILINE)
    assert "`" not in out


def test_arguments_have_their_default_and_what_a_config_sets(did):
    cells = {row[0]: row[1:] for row in rows(did("describe", "neural_network_best"), "argument")}
    assert cells["--model.hidden_dims"] == ["[256]", "[1024, 512]", "Widths of the hidden layers."]
    assert cells["--model.activation"] == ['"relu"', '"gelu"', "Activation function of the hidden layers."]
    assert cells["--model.init_std"][:2] == ["0.01", "null"]


@pytest.mark.parametrize("name", ["manualcubic", "MANUALCUBIC", "Manual_Cubic"])
def test_class_may_be_written_in_any_case(name, did):
    assert did("describe", name) == did("describe", "ManualCubic")


def test_config_of_this_folder_is_described_too(did):
    Path("configs").mkdir()
    Path("configs/mine.yaml").write_text("model: {class_path: Neuron, init_args: {num_features: 3}}\n")
    out = did("describe", "mine")
    assert "\n4 parameters\n" in out
    assert "\nconfigs: mine, neuron\n" in out


def test_unknown_model_is_answered_with_the_nearest(complaint):
    assert complaint("describe", "nlp") == (2, "no model 'nlp'; did you mean 'mlp'?")
    assert complaint("describe")[0] == 2


def test_nothing_is_trained_or_written(did):
    out = did("describe", "linear_regression_sine")
    assert "epoch" not in out
    assert not list(Path().iterdir())


def test_argument_takes_one_line_however_long_its_docstring(did):
    (line,) = (line for line in did("describe", "mlp").splitlines() if line.startswith("--model.init_std"))
    assert line.endswith("biases start from; null keeps PyTorch's own initialization.")
