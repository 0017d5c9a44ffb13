"""How a command line is understood: spellings, and what contradicts itself."""

import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")
SMALL += ("--pictures=none",)


@pytest.mark.parametrize(
    "words", [["-c=linear_regression"], ["--config=linear_regression"], ["-c", "linear_regression"]]
)
def test_config_may_be_named_in_any_spelling(words, did):
    assert yaml.safe_load(did("fit", *words, "--print_config"))["data"]["class_path"].endswith("Houses")


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


@pytest.mark.parametrize("name", ["group/mine", "../mine"])
def test_name_of_a_run_leads_back_to_it_or_is_refused(name, firstlight):
    status, out, _ = firstlight("fit", *SMALL, "--name", name)
    assert not Path("mine").exists()
    if status == 0:
        command = re.search(r"next: +firstlight (.*)", out)[1]
        assert firstlight(*command.split()).status == 0


@pytest.mark.parametrize("key", ["ckpt_path", "name", "resume", "run", "config"])
@pytest.mark.parametrize("section", ["", "fit:\n  "])
def test_flag_in_a_config_is_refused_with_its_line(key, section, complaint, tmp_path):
    Path("start.yaml").write_text(f"# comment\n{section}{key}: a b\n")
    line = 3 if section else 2
    expected = f"{key} (start.yaml, line {line}): this is a flag, not a setting of a config: --{key} 'a b'"
    assert complaint("fit", *SMALL, "--config", "start.yaml") == (2, expected)
    assert not Path("lightning_logs").exists()


def test_config_of_a_run_keeps_the_flags_it_does_not_set(did):
    did("fit", *SMALL)
    config = Path("lightning_logs/autograd_cubic/version_0/config.yaml")
    assert "ckpt_path: null" in config.read_text()
    did("fit", "--config", config, "--name", "again")


@pytest.mark.parametrize("which", ["best", "last"])
def test_new_run_starts_from_a_checkpoint_of_the_latest_run(which, did):
    did("fit", *SMALL)
    out = did("fit", *SMALL, "--ckpt_path", which, "--name", "next", "--trainer.max_epochs=2")
    assert f"weights: lightning_logs/autograd_cubic/version_0/checkpoints/{which}.ckpt" in out
    steps = torch.load("lightning_logs/next/version_0/checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert steps == 4


@pytest.mark.parametrize("key", ["model", "data", "optimizer", "lr_scheduler"])
def test_null_takes_back_a_class_that_a_config_before_set(key, did):
    parts = {"model": "AutogradCubic", "data": "Sine", "optimizer": "Adam", "lr_scheduler": "ExponentialLR"}
    first = {**parts, "lr_scheduler": {"class_path": "ExponentialLR", "init_args": {"gamma": 0.9}}}
    Path("first.yaml").write_text(yaml.safe_dump(first))
    Path("second.yaml").write_text(f"{key}:\n")
    out = did("fit", "--config", "first.yaml", "--config", "second.yaml", "--print_config")
    assert [part for part in parts if yaml.safe_load(out).get(part) is None] == [key]


NAMES = ["a/b", "..", "two\nlines", "\x1b[31mred", "not\udcff", "$HOME", "${HOME}", "version_0"]


@pytest.mark.parametrize("flag", [*(f"--name={name}" for name in NAMES), "--config=$HOME.yaml", "-c=version_1.yaml"])
def test_name_of_a_run_is_one_part_of_a_path_that_can_be_printed(flag, complaint):
    for name in ("$HOME", "version_1"):
        Path(f"{name}.yaml").write_text("model: AutogradCubic")
    status, message = complaint("fit", flag, *SMALL)
    assert (status, message.isprintable()) == (2, True)
    assert message.endswith(": a run name must be printable, and no path, $VARIABLE or version_N")
    assert not Path("lightning_logs").exists()


@pytest.mark.parametrize("section", ["trainer:", "checkpoint:", "model:\n  init_args:", "trainer:\n  # max_epochs: 3"])
def test_empty_section_sets_nothing(section, did):
    Path("empty.yaml").write_text(section)
    assert did("fit", *SMALL, "--config", "empty.yaml", "--print_config") == did("fit", *SMALL, "--print_config")


@pytest.mark.parametrize("key", ["seed_everything", "pictures", "updates_per_batch", "trainer.accumulate_grad_batches"])
def test_null_for_a_setting_that_needs_a_value_is_refused(key, complaint):
    Path("null.yaml").write_text(f"{key}:\n")
    status, message = complaint("fit", "--config", "autograd_cubic", "--config", "null.yaml")
    assert (status, message.partition(": ")[0]) == (2, f"{key} is null (null.yaml, line 1)")


def test_home_folder_is_meant_by_a_tilde_wherever_a_path_is_set(did, monkeypatch, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    Path("mine.yaml").write_text("trainer:\n  default_root_dir: ~/in_config\n")
    Path("home/quick.yaml").write_text("trainer:\n  max_epochs: 1\n")
    did("fit", *SMALL, "--trainer.default_root_dir=~/typed", "--config=~/quick.yaml")
    did("fit", *SMALL, "--config", "mine.yaml")
    for folder in ("typed", "in_config"):
        run = home / folder / "lightning_logs/autograd_cubic/version_0"
        assert {path.name.partition(".")[0] for path in run.iterdir()} >= {"config", "run", "checkpoints", "events"}
        assert "finished" in did("runs", f"--root=~/{folder}")
    did("test", "--run=~/typed/lightning_logs/autograd_cubic/version_0")
    did("test", *SMALL, "--ckpt_path=~/typed/lightning_logs/autograd_cubic/version_0/checkpoints/best.ckpt")
    assert not Path("~").exists()


@pytest.mark.parametrize(
    "words", [["--name", "a b"], ["--name=-x"], ["--trainer.default_root_dir", "out dir"], ["--name", "it's"]]
)
def test_command_that_is_printed_can_be_pasted_as_it_stands(words, did):
    out = did("fit", *SMALL, *words)
    command = re.search(r"next: +firstlight (.*)", out)[1]
    assert "weights: " in did(*shlex.split(command))


def test_command_that_would_fail_is_not_printed(did):
    assert "next:" not in did("fit", *SMALL, "--trainer.enable_checkpointing=false")
