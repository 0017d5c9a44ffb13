"""A sweep file becomes a plan, or an error that names the key, its line and what was expected."""

from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="optuna is the extra sweep")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from firstlight.engine.sweeps.plan import read_plan, to_flags
from firstlight.errors import UsageError

SYNTAX = "expected {low: 0.01, high: 1.0}, with log: true if wanted, or {choices: [A, B]}"


def read(text, trials=None, typed=()):
    Path("mine.yaml").write_text(text)
    return read_plan(Path("mine.yaml"), trials, typed)


def test_search_is_read_as_distributions():
    plan = read(
        "search:\n"
        "  model.init_args.lr: {low: 1e-3, high: 1, log: true}\n"
        "  data.batch_size: {low: 32, high: 512}\n"
        "  model.hidden_dims: {choices: [[256], [512, 128], null]}\n"
    )
    assert plan.search == {
        "model.lr": FloatDistribution(0.001, 1.0, log=True),
        "data.batch_size": IntDistribution(32, 512),
        "model.hidden_dims": CategoricalDistribution(("[256]", "[512, 128]", "null")),
    }
    assert (plan.trials, plan.repeats, plan.pruner, plan.seed) == (20, [{}], "median", None)
    assert [(setting.key, setting.value, setting.place) for setting in plan.settings] == [
        ("model.lr", "0.001", "mine.yaml, line 2"),
        ("data.batch_size", "32", "mine.yaml, line 3"),
        ("model.hidden_dims", "[256]", "mine.yaml, line 4"),
    ]


def test_repeats_are_combined():
    plan = read("repeats: {seed_everything: [1, 2], data.fold: [0, 1]}\nseed: 3\npruner: none\n")
    assert [to_flags(values) for values in plan.repeats] == [
        [f"--seed_everything={seed}", f"--data.fold={fold}"] for seed in (1, 2) for fold in (0, 1)
    ]
    assert (plan.trials, plan.pruner, plan.seed) == (1, "none", 3)


def test_typed_number_of_trials_replaces_that_of_the_file():
    assert read("trials: 3\nsearch: {model.lr: {low: 0.1, high: 1}}").trials == 3
    assert read("trials: 3\nsearch: {model.lr: {low: 0.1, high: 1}}", trials=5).trials == 5


@pytest.mark.parametrize(("trials", "size"), [(5, None), (6, 6), (7, 6)])
def test_grid_holds_all_combinations_if_there_are_no_more_than_trials(trials, size):
    grid = read("search: {width: {low: 1, high: 3}, kind: {choices: [a, b]}}", trials).grid
    assert grid == (size and [{"width": width, "kind": kind} for width in (1, 2, 3) for kind in "ab"])


def test_range_of_numbers_has_no_grid():
    assert read("search: {model.lr: {low: 0.1, high: 1}}", trials=1000).grid is None


WRONG = {
    "": "mine.yaml is empty",
    "search: [": "mine.yaml, line 1: expected the node content, but found '<stream end>'",
    "serch: {}\n": "serch (mine.yaml, line 1): a sweep file has no such key; did you mean 'search'?",
    "model.lr: {low: 1, high: 2}\n": "model.lr (mine.yaml, line 1): a sweep file has no such key; "
    "put what is searched below search:",
    "trials: 3\n": "mine.yaml has neither search nor repeats: there is nothing to run more than once",
    "trials: none\nrepeats: {seed_everything: [1]}": "trials (mine.yaml, line 1): "
    "expected a whole number from 1 to 4294967295, got 'none'",
    "trials: 3\nrepeats: {seed_everything: [1]}": "trials (mine.yaml, line 1): "
    "nothing is searched, so all 3 trials would be the same",
    "search:\n  name: {choices: [a, b]}\n": "name (mine.yaml, line 2): "
    "this is a flag of one command, not a setting of a run",
    "search: 3": "search (mine.yaml, line 1): expected dotted keys of a config with what to try, got 3",
    "search:\n  model.lr: 0.1\n": f"model.lr (mine.yaml, line 2): got 0.1\n{SYNTAX}",
    "search:\n  model.lr: {low: 0.1}\n": f"model.lr (mine.yaml, line 2): got {{'low': 0.1}}\n{SYNTAX}",
    "search:\n  model.lr: {low: 0.1, high: x}\n": "model.lr (mine.yaml, line 2): "
    f"got {{'low': 0.1, 'high': 'x'}}\n{SYNTAX}",
    "search:\n  model.lr: {lo: 0.1, high: 1}\n": "model.lr (mine.yaml, line 2): "
    f"got {{'lo': 0.1, 'high': 1}}\n{SYNTAX}",
    "search:\n  model.lr: {low: 1, high: 0.1}\n": "model.lr (mine.yaml, line 2): "
    "low is 1, which is not below high, 0.1",
    "search:\n  model.lr: {low: 0, high: 1, log: true}\n": "model.lr (mine.yaml, line 2): "
    "`low >= 1` must hold for `log=True`, but got (low=0, high=1).",
    "search:\n  model.lr: {choices: 0.1}\n": "model.lr (mine.yaml, line 2): "
    "expected a list of values, like [0, 1, 2], got 0.1",
    "search:\n  model.lr: {choices: [0.1, 0.1]}\n": "model.lr (mine.yaml, line 2): 0.1 is there more than once",
    "search:\n  model.lr: {choices: [0.1], low: 0.1}\n": "model.lr (mine.yaml, line 2): "
    f"got {{'choices': [0.1], 'low': 0.1}}\n{SYNTAX}",
    "search:\n  seed_everything: {low: 1, high: 3}\nrepeats:\n  seed_everything: [1]": "seed_everything "
    "(mine.yaml, line 4): it is searched too, but repeats are runs of the same configuration",
    "search:\n  trainer.max_epochs: {low: 1, high: 3}\n": "trainer.max_epochs (mine.yaml, line 2): "
    "--trainer.max_epochs is typed too: leave one of them out",
    "pruner: medain\nrepeats: {seed_everything: [1]}": "pruner (mine.yaml, line 1): "
    "no such pruner: 'medain'; did you mean 'median'?",
    "seed: -1\nrepeats: {seed_everything: [1]}": "seed (mine.yaml, line 1): "
    "expected a whole number from 0 to 4294967295, got -1",
    "seed: 4294967296\nrepeats: {seed_everything: [1]}": "seed (mine.yaml, line 1): "
    "expected a whole number from 0 to 4294967295, got 4294967296",
    "search:\n  model.lr: {low: 0.1, high: .inf}\n": "model.lr (mine.yaml, line 2): the range is too wide",
    "search:\n  data.batch_size: {low: 1, high: 99999999999999999999}\n": "data.batch_size (mine.yaml, line 2): "
    "the range is too wide",
    "search:\n  trainer.default_root_dir: {choices: [a, b]}\n": "trainer.default_root_dir (mine.yaml, line 2): "
    "this says where runs go, which is one folder for all trials",
}


@pytest.mark.parametrize("text", WRONG)
def test_mistake_is_named_with_its_line_and_what_was_expected(text):
    with pytest.raises(UsageError) as raised:
        read(text, typed=["trainer.max_epochs"])
    assert str(raised.value) == WRONG[text]
