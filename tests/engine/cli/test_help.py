"""Help, completion and the schema: what they teach must be true."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from firstlight import models
from firstlight.engine.cli.help import EXAMPLES

FOLDER = Path(__file__).parents[3] / "configs"
FIT = ("fit", "-c", "linear_regression")


def test_every_setting_of_a_verb_is_in_its_whole_help(did):
    out = did("fit", "--help=all")
    for flag in ("--model", "--data", "--trainer.max_epochs", "--checkpoint.every_n_steps", "--resume", "--name"):
        assert f"{flag} " in out
    assert did("fit", "--help", "all") == out


@pytest.mark.parametrize("verb", EXAMPLES)
def test_help_fits_one_screen(verb, did):
    lines = did(verb, "--help").splitlines()
    assert len(lines) <= 26
    assert max(map(len, lines)) <= 110
    assert did(verb, "-c", "mlp", "-h").splitlines() == lines


@pytest.mark.parametrize(("verb", "example"), [(verb, flags) for verb in ("fit", "test") for flags in EXAMPLES[verb]])
def test_example_in_the_help_is_understood(verb, example, did):
    words = example.replace("mlp/version_0", "linear_regression").split()
    if "--resume" in words or "--run" in words or "--ckpt_path" in words:
        did(*FIT, "-c", "presets/limit")
        assert did(verb, *words, "-c", "presets/limit")
    else:
        given = () if "--config" in words else ("-c", "linear_regression")
        assert yaml.safe_load(did(verb, *given, *words, "--print_config"))["model"]


@pytest.mark.parametrize("verb", ["fit", "test"])
def test_help_of_a_class_needs_no_config_and_no_run(verb, did):
    out = did(verb, "--model.help", "MLP")
    assert "--model.hidden_dims" in out
    assert "Widths of the hidden layers" in out


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


@pytest.mark.slow
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


COMPLETED = {
    "firstlight desc": ["describe"],
    "firstlight fit -c neural": ["neural_network", "neural_network_best", "neural_network_documented"],
    "firstlight fit --config = presets/d": ["presets/ddp", "presets/debug", "presets/deterministic"],
    "firstlight fit --config mine": ["mine"],
    "firstlight test --run ml": ["mlp", "mlp/version_0"],
    "firstlight fit --trainer.max": ["--trainer.max_epochs", "--trainer.max_steps", "--trainer.max_time"],
    "firstlight fit --model.hid": ["--model.hidden_dims"],
    "firstlight fit --model Neu": ["NeuralNetwork", "Neuron"],
    "firstlight describe Neur": ["NeuralNetwork", "Neuron"],
    "firstlight sweep --sweep m": ["mlp"],
    "firstlight sweep --tri": ["--trials"],
    "firstlight check lin": ["linear_regression", "linear_regression_sine"],
}
PRESS_TAB = """\
source ./tab.sh
COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_firstlight firstlight "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; echo "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_tab_completes_what_is_typed(did):
    Path("tab.sh").write_text(did("completion", "bash"))
    for file in ("configs/mine.yaml", "lightning_logs/mlp/version_0/config.yaml"):
        Path(file).parent.mkdir(parents=True)
        Path(file).touch()
    program = "\n".join(f"({PRESS_TAB % typed})" for typed in COMPLETED)
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert [sorted(line.split()) for line in done.stdout.splitlines()] == list(COMPLETED.values())


def test_completion_for_zsh_is_that_for_bash_in_zsh(did, complaint):
    start, _, script = did("completion", "zsh").partition("# Completion of")
    assert "bashcompinit" in start
    assert script.replace("zsh", "bash", 2) == did("completion", "bash").partition("# Completion of")[2]
    assert complaint("completion", "fish")[0] == 2
