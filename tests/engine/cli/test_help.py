"""What help teaches must be true."""

from pathlib import Path

import pytest
import yaml

from firstlight.engine import program as program_module
from firstlight.engine.cli import help as help_module
from firstlight.engine.cli.commands import COMMANDS
from firstlight.engine.cli.help import EXAMPLES

FOLDER = Path(__file__).parents[3] / "configs"
FIT = ("fit", "-c", "linear_regression")


def test_every_setting_of_a_command_is_in_its_whole_help(did):
    out = did("fit", "--help=all")
    for flag in ("--model", "--data", "--trainer.max_epochs", "--checkpoint.every_n_steps", "--resume", "--name"):
        assert f"{flag} " in out
    assert did("fit", "--help", "all") == out


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_fits_one_screen(command, did):
    lines = did(command, "--help").splitlines()
    assert len(lines) <= 26
    assert max(map(len, lines)) <= 110
    assert did(command, "-c", "mlp", "-h").splitlines() == lines


def test_every_command_has_a_line_in_the_help_of_the_program(did):
    lines = did("--help").splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")][: len(COMMANDS)] == [*COMMANDS]
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("command", "example"), [(command, flags) for command in ("fit", "test") for flags in EXAMPLES[command]]
)
def test_example_in_the_help_is_understood(command, example, did):
    words = example.replace("mlp/version_0", "linear_regression").split()
    if "--resume" in words or "--run" in words or "--ckpt_path" in words:
        did(*FIT, "-c", "presets/limit")
        assert did(command, *words, "-c", "presets/limit")
    else:
        given = () if "--config" in words else ("-c", "linear_regression")
        assert yaml.safe_load(did(command, *given, *words, "--print_config"))["model"]


@pytest.mark.parametrize("command", ["fit", "test"])
def test_help_of_a_class_needs_no_config_and_no_run(command, did):
    out = did(command, "--model.help", "MLP")
    assert "--model.hidden_dims" in out
    assert "Widths of the hidden layers" in out


def test_help_of_a_project_speaks_of_its_own_configs(did, monkeypatch):
    monkeypatch.setattr(help_module, "program", lambda: "pytest")  # a distribution with a summary
    monkeypatch.setattr(program_module, "program", lambda: "pytest")
    Path("configs").mkdir()
    Path("configs/waves.yaml").touch()
    out = did("--help")
    assert out.splitlines()[2] == "pytest: pytest: simple powerful testing with Python. Built on firstlight."
    assert "pytest fit --config waves\n" in out
    assert "mlp" not in out + did("fit", "--help") + did("test", "--help")
