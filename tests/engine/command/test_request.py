"""How a command line is understood: spellings, and what contradicts itself."""

import re
from pathlib import Path

import pytest
import yaml

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")


@pytest.mark.parametrize(
    "words", [["-c=linear_regression"], ["--config=linear_regression"], ["-c", "linear_regression"]]
)
def test_config_may_be_named_in_any_spelling(words, did):
    assert yaml.safe_load(did("fit", *words, "--print_config"))["data"]["class_path"].endswith("Houses")


def test_resumed_run_keeps_its_name(did, complaint):
    did("fit", *SMALL)
    expected = "--name is for a new run; with --resume a run keeps its folder and its name"
    assert complaint("fit", "--resume", "--name", "other") == (2, expected)


def test_torch_is_imported_once_however_many_commands_a_process_runs(did, monkeypatch):
    frozen = []
    monkeypatch.setattr("gc.freeze", lambda: frozen.append(1))
    did("fit", *SMALL)
    did("test")
    assert not frozen  # this process had imported torch before


def test_run_with_averaged_weights_runs_again_from_its_config(did):
    did("fit", *SMALL, "--trainer.callbacks+=StochasticWeightAveraging", "--trainer.callbacks.swa_lrs=0.01")
    config = yaml.safe_load(Path("lightning_logs/autograd_cubic/version_0/config.yaml").read_text())
    assert config["trainer"]["callbacks"][0]["init_args"]["device"] == "cpu"
    did("fit", "-c", "lightning_logs/autograd_cubic/version_0/config.yaml", "--trainer.callbacks.swa_epoch_start=1")


@pytest.mark.parametrize("words", [["fit", "--run", "x"], ["test", "--resume", "x"], ["predict", "--name", "x"]])
def test_flag_of_another_command_is_refused(words, did, complaint):
    did("fit", *SMALL)
    command, *rest = words
    assert complaint(command, *SMALL, *rest)[0] == 2


@pytest.mark.parametrize("name", ["group/mine", "../mine"])
def test_name_of_a_run_leads_back_to_it_or_is_refused(name, firstlight):
    status, out, _ = firstlight("fit", *SMALL, "--name", name)
    assert not Path("mine").exists()
    if status == 0:
        command = re.search(r"next: +firstlight (.*)", out)[1]
        assert firstlight(*command.split()).status == 0
