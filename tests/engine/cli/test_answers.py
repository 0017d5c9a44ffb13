"""``--json``: one object on standard output and nothing else there, from every command."""

import json
import re
from pathlib import Path

import pytest

from firstlight.engine.cli.commands import COMMANDS

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1", "--name=a")
PAGE = Path(__file__).parents[3] / "docs" / "json.md"


@pytest.fixture
def answer(firstlight):
    """Return a function that types a command with ``--json``, and returns the object that it printed."""

    def run(command, *words):
        typed = firstlight(command, *words, "--json")
        found = json.loads(typed.out, parse_constant=pytest.fail)
        assert found["command"] == command
        assert found["exit"] == (typed.status or 0)
        return found

    return run


def fields(row):
    """Return the fields that the page names in the line that begins with a text."""
    (line,) = (line for line in PAGE.read_text().splitlines() if line.startswith(f"| {row} |"))
    return set(re.findall("`(.+?)`", line.split("|")[2]))


def test_fit_answers_with_its_run_and_scores(answer):
    found = answer("fit", *SMALL, "--test")
    receipt = json.loads(Path(found["folder"], "run.json").read_text())
    assert found["run"] == "a/version_0"
    assert found["scores"] == receipt["scores"]
    assert found["best"]["score"] == receipt["best"]["score"]
    assert found["test"]["loss/test"] == answer("test", "--run=a")["loss/test"]


def test_each_command_answers_with_what_it_found(answer, did):
    did("fit", *SMALL, "--test")
    (row,) = answer("runs")["runs"]
    assert (row["run"], row.keys()) == ("a/version_0", fields("`runs` (each)"))
    (row,) = answer("runs", "--group")["groups"]
    assert (row["n"], row.keys()) == (1, fields("`groups` (each)"))
    assert answer("validate", "--run=a")["report"].keys() == fields("`report` of numbers")
    assert answer("predict", "--run=a")["examples"] == 29
    found = answer("runs", "diff", "a", "a")
    assert (found["different"], found["predictions"].keys()) == ([], fields("`predictions` of `runs diff`"))
    assert found["predictions"]["first"].keys() == fields("`first`, `second`, `difference`")
    assert Path(answer("export", "a", "--format=safetensors")["model"]).is_file()
    assert all(Path(path).is_file() for path in answer("pictures", "a")["pictures"].values())
    assert answer("reproduce", "a")["reproduced"] == "a/version_0"
    assert answer("check", "autograd_cubic")["configs"] == [
        {"config": "autograd_cubic", "verdict": "ok", "reason": None}
    ]
    assert answer("configs")["configs"][0]["config"]
    assert Path(answer("new", "of-mine")["project"]).is_dir()
    assert answer("runs", "archive", "a/version_1", "--yes")["archived"] == ["a/version_1"]
    assert answer("runs", "rm", "a/version_0", "--yes")["removed"] == ["a/version_0"]


@pytest.mark.parametrize("words", [["describe", "neuron"], ["completion", "bash"], ["fit", "--help"], ["--version"]])
def test_what_is_only_a_text_is_answered_as_one(words, answer):
    assert answer(*words)["text"]


def test_error_is_in_the_object_with_the_exit_status(answer):
    Path("bad.yaml").write_text("model: {class_path: MLPP}")
    assert answer("fit", "--config=nope")["error"].startswith("--config nope: no such file")
    assert answer("check", "bad.yaml")["exit"] == 2
    assert answer("nope")["error"].startswith("no command 'nope'")


def test_failure_of_a_thread_is_an_error_in_the_object(answer, monkeypatch):
    monkeypatch.setattr("firstlight.engine.cli.main.unnoticed_failure", lambda: OSError(28, "No space left", "events"))
    assert answer("configs")["error"] == "[Errno 28] No space left: 'events'"


@pytest.mark.slow
def test_sweep_answers_with_its_trials(answer):
    Path("sweep.yaml").write_text("trials: 2\nsearch:\n  model.lr: {choices: [1.0e-6, 2.0e-6]}\n")
    found = answer("sweep", "--sweep=sweep.yaml", *SMALL[:-1], "--name=s")
    assert [row["status"] for row in found["trials"]] == ["finished", "finished"]
    assert found["trials"][0].keys() == {*fields("`trials` (each)"), "loss/val", "model.lr"}
    assert Path(found["files"]["table"]).is_file()


@pytest.mark.slow
def test_report_of_classes_has_the_fields_that_the_page_names(answer, did, fashion_root):
    did("fit", "--config=mlp", "--trainer.max_epochs=1", f"--data.root={fashion_root}", "--data.batch_size=20")
    report = answer("test", "--config=mlp")["report"]
    assert report.keys() == fields("`report` of classes")
    assert all(report[rows][0].keys() == fields(f"`{rows}` (each)") for rows in ("classes", "reliability"))


def test_the_page_names_every_command():
    of_commands = PAGE.read_text().partition("| field |")[0]
    cells = [line.split("|")[1] for line in of_commands.splitlines() if line.startswith("| `")]
    assert sorted(re.findall("`(.+?)`", " ".join(cells))) == sorted(COMMANDS)
