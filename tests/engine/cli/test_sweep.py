"""A sweep ranks its trials, keeps their runs as ordinary runs, and can be continued."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytest.importorskip("optuna", reason="optuna is the extra sweep")

FOLDER = Path("lightning_logs/linear_regression_sweep")
SWEEP = (
    *("sweep", "--config", "linear_regression", "--sweep", "mine.yaml"),
    *("--data.num_examples=80", "--pictures=none", "--trainer.max_epochs=2"),
)


def write(text):
    Path("mine.yaml").write_text(text)


def table():
    return list(csv.DictReader((FOLDER / "sweep.csv").read_text().splitlines()))


def folders():
    return sorted(path.name for path in FOLDER.glob("version_*"))


def receipt(run):
    return json.loads((FOLDER.parent / run / "run.json").read_text())


RANGES = "search:\n  model.lr: {low: 1e-3, high: 0.1, log: true}\n  data.batch_size: {low: 5, high: 20}\n"


@pytest.mark.slow
def test_trials_are_ranked_by_the_scores_of_their_runs_and_the_best_can_be_reproduced(did):
    write(f"trials: 2\n{RANGES}")
    out = did(*SWEEP)
    rows = table()
    scores = [float(row["loss/val"]) for row in rows]
    assert scores == sorted(scores)
    assert {row["trial"] for row in rows} == {"0", "1"}
    for row, score in zip(rows, scores, strict=True):
        best = receipt(row["runs"])["best"]
        config = yaml.safe_load((FOLDER.parent / row["runs"] / "config.yaml").read_text())
        assert (best["name"], best["score"]) == ("loss/val", score)
        assert config["model"]["init_args"]["lr"] == float(row["model.lr"])
        assert config["data"]["init_args"]["batch_size"] == int(row["data.batch_size"])
        assert 0.001 <= float(row["model.lr"]) <= 0.1
        assert 5 <= int(row["data.batch_size"]) <= 20
    shown = re.findall(r"^(\d) +finished +(\S+)", out, re.MULTILINE)
    assert shown == [(row["trial"], f"{score:.5g}") for row, score in zip(rows, scores, strict=True)]
    assert f"next:        firstlight test --run {rows[0]['runs']}\n" in out
    assert [path.name for path in FOLDER.glob("*.png")] == ["parallel_coordinates.png"]

    did("fit", "--config", FOLDER / "best.yaml")
    assert receipt("best/version_0")["scores"] == receipt(rows[0]["runs"])["scores"]
    assert receipt("best/version_0")["best"] == receipt(rows[0]["runs"])["best"]


@pytest.mark.slow
@pytest.mark.pictures
@pytest.mark.parametrize(("pictures", "is_drawn"), [("few", False), ("all", True)])
def test_trials_draw_pictures_if_that_is_asked_for(pictures, is_drawn, did):
    write(f"trials: 1\n{RANGES}")
    did(*SWEEP, f"--pictures={pictures}")
    run = table()[0]["runs"]
    images = EventAccumulator(str(FOLDER.parent / run), {"images": 0}).Reload().Tags()["images"]
    assert bool(images) == is_drawn
    did("pictures", run)
    assert (FOLDER.parent / run / "pictures" / "learning_curves.png").is_file()


@pytest.mark.slow
def test_finished_sweep_runs_nothing_until_the_number_of_trials_is_raised(did):
    write(f"trials: 3\n{RANGES}")
    did(*SWEEP)
    rows, before = table(), folders()
    assert "trial 0:" not in did(*SWEEP)
    assert (table(), folders()) == (rows, before)
    out = did(*SWEEP, "--trials=4")
    assert re.findall(r"^trial (\d):", out, re.MULTILINE) == ["3"]
    assert len(folders()) == len(before) + 1

    write(f"trials: 4\n{RANGES}")  # from the start: a trial's values are those of its number
    did(*SWEEP, "--name", "again")
    again = list(csv.DictReader((FOLDER.parent / "again/sweep.csv").read_text().splitlines()))
    values = [[row[key] for key in ("trial", "loss/val", "model.lr", "data.batch_size")] for row in table()]
    assert values == [[row[key] for key in ("trial", "loss/val", "model.lr", "data.batch_size")] for row in again]


@pytest.mark.slow
def test_runs_of_a_sweep_are_ordinary_runs(did):
    write("repeats: {seed_everything: [3, 4]}\n")
    did(*SWEEP)
    assert did("runs", FOLDER.name).count(" finished ") == 2
    assert "reproduced: the 2 scores of" in did("reproduce", f"{FOLDER.name}/version_1")
    assert did("test", "--run", f"{FOLDER.name}/version_1").startswith(
        "weights: lightning_logs/linear_regression_sweep"
    )
    assert receipt(f"{FOLDER.name}/version_1")["commands"][0][1:3] == ["fit", "--config"]


def test_failed_trial_is_recorded_and_each_combination_is_tried_once(did):
    write("search: {model.lr: {choices: [0.05, -1, 1e+30]}}\n")
    out = did(*SWEEP)
    assert "linear_regression_sweep: 3 trials (all combinations), scored by loss/val\n" in out
    rows = {row["model.lr"]: row for row in table()}
    assert {value: row["trial"] for value, row in rows.items()} == {"0.05": "0", "-1": "1", "1e+30": "2"}
    assert [row["status"] for row in table()] == ["finished", "failed", "failed"]
    assert rows["0.05"]["status"] == "finished"
    assert rows["-1"]["error"] == "model.lr is '-1': expected a number above 0"
    assert rows["1e+30"]["error"].startswith("the loss is nan at step ")
    assert "trial 1: failed: model.lr is '-1'" in out


@pytest.mark.slow
def test_score_of_a_configuration_is_the_mean_over_its_repeats(did):
    write("repeats: {seed_everything: [1, 2, 3]}\n")
    out = did(*SWEEP)
    (row,) = table()
    scores = [receipt(run)["best"]["score"] for run in row["runs"].split()]
    seeds = [receipt(run)["seed"] for run in row["runs"].split()]
    mean = sum(scores) / 3
    deviation = (sum((score - mean) ** 2 for score in scores) / 2) ** 0.5
    assert seeds == [1, 2, 3]
    assert len(set(scores)) == 3
    assert float(row["loss/val"]) == pytest.approx(mean, rel=1e-12)
    assert float(row["std"]) == pytest.approx(deviation, rel=1e-9)
    assert f"trial 0: loss/val {mean:.5g} +- {deviation:.2g}" in out
    assert not list(FOLDER.glob("*.png"))


WRONG = {
    "serch: {}\n": "serch (mine.yaml, line 1): a sweep file has no such key; did you mean 'search'?",
    "search:\n  trainer.max_epochs: {low: 1, high: 3}\n": "trainer.max_epochs (mine.yaml, line 2): "
    "--trainer.max_epochs is typed too: leave one of them out",
    "search:\n  model.lr: {low: 0.1, high: 1}\n  model.lrr: {low: 0.1, high: 1}\n": "model.lrr (mine.yaml, line 3): "
    "model (LinearRegression) has no setting 'lrr'; did you mean 'model.lr'?",
    "search:\n  model.lr: {low: -1, high: 1}\n": "model.lr is '-1' (mine.yaml, line 2): expected a number above 0",
    "repeats:\n  data.folds: [1, 2]\n": None,  # its settings may become more
}


@pytest.mark.parametrize("text", WRONG)
def test_mistake_in_a_sweep_file_is_explained_before_anything_is_run(text, complaint):
    write(text)
    status, message = complaint(*SWEEP)
    assert status == 2
    assert message == (WRONG[text] or message)
    assert not Path("lightning_logs").exists()


def test_mistake_in_a_flag_is_explained(complaint):
    write("repeats: {seed_everything: [1]}")
    assert complaint("sweep", "--config", "mlp", "--sweep", "mpl") == (
        2,
        "--sweep mpl: no such file, and no sweep of that name; did you mean 'mlp'?",
    )
    assert complaint("sweep", "--config", "mlp") == (
        2,
        "--sweep is missing: the path of a sweep file, or the name of one in configs/sweeps",
    )
    assert complaint(*SWEEP, "--resume") == (
        2,
        "--resume cannot be used with sweep, which trains new runs and keeps them",
    )
    for flag in ("--trails", "--sweep.trials"):
        assert complaint(*SWEEP, flag, "2") == (2, f"{flag}: sweep has no such flag; did you mean --trials?")
    assert complaint(*SWEEP, "--trials=many") == (
        2,
        "firstlight sweep: argument --trials: invalid int value: 'many'",
    )


@pytest.mark.slow
def test_trial_worse_than_the_median_is_pruned_unless_pruning_is_off(did):
    search = "search: {model.lr: {choices: [0.05, 0.06, 0.07, 0.08, 0.09, 1e-5]}}\n"
    write(search)
    out = did(*SWEEP, "--trainer.max_epochs=4")
    assert re.search(r"^trial 5: pruned  model.lr=1e-5  best: ", out, re.MULTILINE)
    row = table()[-1]
    assert (row["trial"], row["status"], row["loss/val"]) == ("5", "pruned", "")
    assert (receipt(row["runs"])["status"], receipt(row["runs"])["epochs"]) == ("pruned", 2)
    assert re.search(rf"^{row['runs']} +loss/val .* pruned +2 ", did("runs"), re.MULTILINE)
    write(f"{search}pruner: none\n")
    did(*SWEEP, "--trainer.max_epochs=4", "--name", "all")
    assert "pruned" not in Path("lightning_logs/all/sweep.csv").read_text()


@pytest.mark.slow
def test_sweep_with_another_search_needs_another_name(did, complaint):
    write("trials: 1\nsearch: {model.lr: {choices: [0.05]}}\n")
    did(*SWEEP)
    write("trials: 2\nsearch: {model.lr: {choices: [0.05, 0.1]}}\n")
    status, message = complaint(*SWEEP)
    assert status == 2
    assert message.startswith("the sweep linear_regression_sweep was started with another search: {'model.lr': [")
    write("trials: 1\nsearch: {model.lr: {choices: [0.05]}}\n")
    status, message = complaint(*SWEEP, "--trainer.max_epochs=9")
    first, advice = message.splitlines()
    assert first == "the sweep linear_regression_sweep was started with another trainer.max_epochs: 2, not 9"
    assert advice == "its trials could not be compared: choose another name for this sweep with --name"
    did(*SWEEP, "--trainer.devices=1")  # that says where, not what
    write("trials: 2\nsearch: {model.lr: {choices: [0.05, 0.1]}}\n")
    did(*SWEEP, "--name", "other")
    assert len(list(Path("lightning_logs/other").glob("version_*"))) == 2


@pytest.mark.slow
def test_folder_of_a_sweep_that_was_renamed_is_not_taken_for_a_new_sweep(did, complaint):
    write(f"trials: 1\n{RANGES}")
    did(*SWEEP)
    FOLDER.rename(FOLDER.with_name("renamed"))
    expected = (
        "lightning_logs/renamed holds the sweep linear_regression_sweep: name the folder linear_regression_sweep again"
    )
    assert complaint(*SWEEP, "--name=renamed") == (2, f"{expected}, or choose a new --name")
    FOLDER.with_name("renamed").rename(FOLDER)
    assert "finished" in did(*SWEEP)
    assert folders() == ["version_0"]


def test_missing_package_is_named_with_what_to_install(complaint, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert complaint(*SWEEP) == (1, 'sweep needs optuna: pip install "firstlight[sweep]"')


def test_help_shows_the_syntax_of_a_sweep_file(did):
    out = did("sweep", "--help")
    assert max(map(len, out.splitlines())) <= 120
    text = out.partition("The sweep file:\n\n")[2].partition("\n\n")[0]
    lines = [re.sub(r" {3,}.*", "", line[2:]) for line in text.splitlines()]
    content = yaml.safe_load("\n".join(lines))
    assert list(content) == ["trials", "search", "repeats", "pruner"]
    assert content["search"]["model.hidden_dims"] == {"choices": [[256], [512, 128]]}
