"""The JSON Schema of configs knows what the parser knows."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from firstlight import models

pytestmark = pytest.mark.slow  # the schema takes seconds to make

FOLDER = Path(__file__).parents[3] / "configs"
FIT = ("fit", "-c", "linear_regression")


@pytest.fixture(scope="module")
def schema():
    """Return the printed schema; the command has a process of its own, as it denies no imports."""
    words = [sys.executable, "-m", "firstlight", "check", "--schema"]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


@pytest.fixture(scope="module")
def mistakes(schema):
    """Return a function that returns the places in a config that the schema does not allow."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema reads the schema as an editor does")
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    return lambda text: [error.json_path for error in validator.iter_errors(yaml.safe_load(text))]


CONFIGS = [path for path in sorted(FOLDER.rglob("*.yaml")) if path.parent.name != "sweeps"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_keeps_to_the_schema(path, mistakes):
    assert mistakes(path.read_text()) == []


def test_config_of_a_run_keeps_to_the_schema(did, mistakes):
    did(*FIT, "-c", "presets/limit")
    assert mistakes(Path("lightning_logs/linear_regression/version_0/config.yaml").read_text()) == []


MODEL = "model: {class_path: MLP, init_args: {%s}}"
WRONG = {
    "trainr: {max_epochs: 3}": "$",
    "trainer: {max_epoch: 3}": "$.trainer",
    "trainer: {max_epochs: three}": "$.trainer.max_epochs",
    "trainer: {precision: half}": "$.trainer.precision",
    "trainer: {callbacks: [{class_path: EarlyStopping, init_args: {monitorr: loss/val}}]}": "$.trainer.callbacks",
    "trainer: {callbacks+: [{class_path: EarlyStopping, init_args: {monitorr: loss/val}}]}": "$.trainer['callbacks+']",
    "model: {class_path: MLPP}": "$.model",
    MODEL % "hidden_dim: [8]": "$.model",
    MODEL % "dropout: 2": "$.model",
    MODEL % "activation: rellu": "$.model",
    "data: {class_path: Sine, init_args: {num_point: 3}}": "$.data",
    "optimizer: {class_path: Adam, init_args: {momentum: 0.9}}": "$.optimizer",
    "checkpoint: {mode: highest}": "$.checkpoint.mode",
    "seed_everything: -1": "$.seed_everything",
}


@pytest.mark.parametrize("text", WRONG)
def test_mistake_breaks_the_schema_where_it_stands(text, mistakes):
    assert mistakes(text) == [WRONG[text]]


def test_every_model_is_in_the_schema_with_its_arguments_and_their_defaults(schema):
    kinds = [kind["properties"] for kind in schema["$defs"]["LightningModule"]["anyOf"] if "properties" in kind]
    named = {kind["class_path"]["enum"][0]: kind["init_args"]["properties"] for kind in kinds}
    assert set(models.__all__) <= set(named)
    assert named["MLP"]["hidden_dims"]["default"] == [256]
    assert named["MLP"]["hidden_dims"]["description"] == "Widths of the hidden layers."
