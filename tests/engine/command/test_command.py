"""Configs, presets and flags: which wins, and that what is printed or written can be used again."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from firstlight.engine.command import command
from firstlight.engine.runs.checkpoint_files import load_checkpoint

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")


def config(run="autograd_cubic/version_0"):
    return yaml.safe_load(Path("lightning_logs", run, "config.yaml").read_text())


def printed(answer):
    return yaml.safe_load(answer)


def test_flags_win_over_configs_wherever_they_stand(did):
    did("fit", "--model.lr=3e-6", *SMALL)
    did("fit", *SMALL, "--model.lr=4e-6")
    Path("mine.yaml").write_text("model:\n  init_args:\n    lr: 1.0e-5\n")
    did("fit", "--model.lr", "5e-6", *SMALL, "-c", "mine.yaml", "--trainer.max_epochs=2", "--trainer.max_epochs", "1")
    for version, lr in enumerate((3e-6, 4e-6, 5e-6)):
        assert config(f"autograd_cubic/version_{version}")["model"]["init_args"]["lr"] == lr


def test_later_configs_win_over_earlier_ones(did):
    for name, epochs in (("few", 2), ("many", 9)):
        Path(f"{name}.yaml").write_text(f"trainer:\n  max_epochs: {epochs}\n")
    fit = ("fit", "-c", "autograd_cubic")
    assert printed(did(*fit, "-c", "few.yaml", "-c", "many.yaml", "--print_config"))["trainer"]["max_epochs"] == 9
    assert printed(did(*fit, "--config=many.yaml", "--config=few.yaml", "--print_config"))["trainer"]["max_epochs"] == 2


def test_config_of_this_folder_wins_over_one_of_the_package(did):
    Path("configs").mkdir()
    Path("configs/mlp.yaml").write_text("# Mine\nmodel: MLP\ndata: FashionMNIST\ntrainer:\n  max_epochs: 77\n")
    assert printed(did("fit", "-c", "mlp", "--print_config"))["trainer"]["max_epochs"] == 77
    assert re.search(r"^mlp +Mine$", did("configs"), re.MULTILINE)
    assert re.search(r"^presets/gpu +Train on one GPU$", did("configs"), re.MULTILINE)


def test_printed_config_runs(did):
    Path("mine.yaml").write_text(did("fit", *SMALL, "--model.lr=2e-6", "--print_config"))
    did("fit", "-c", "mine.yaml")
    assert config("mine/version_0")["model"]["init_args"]["lr"] == 2e-6


def test_config_of_a_run_runs_again_to_the_same_bits(did):
    did("fit", *SMALL)
    did("fit", "-c", "lightning_logs/autograd_cubic/version_0/config.yaml", "--name", "again")
    runs = Path("lightning_logs")
    first, second = (
        load_checkpoint(runs / name / "version_0/checkpoints/last.ckpt") for name in ("autograd_cubic", "again")
    )
    assert first["state_dict"]["coefficients"].tolist() == second["state_dict"]["coefficients"].tolist()


@pytest.mark.parametrize("preset", ["ddp", "fp16", "gpu"])
def test_preset_changes_nothing_but_what_it_says(preset, did):
    base = printed(did("fit", "-c", "mlp", "--print_config"))
    both = printed(did("fit", "-c", "mlp", "-c", f"presets/{preset}", "--print_config"))
    path = Path(__file__).parents[3] / "configs/presets" / f"{preset}.yaml"
    assert both == {**base, "trainer": {**base["trainer"], **yaml.safe_load(path.read_text())["trainer"]}}


@pytest.mark.parametrize("suffix", ["", "_find_unused_parameters_true"])
@pytest.mark.parametrize("start", ["fork", "spawn", "notebook"])
def test_strategy_for_notebooks_starts_its_processes_as_commands(start, suffix, capsys):
    assert command._as_commands(f"ddp_{start}{suffix}") == f"ddp{suffix}"
    assert capsys.readouterr().out.startswith(f"trainer.strategy: ddp{suffix} instead of ddp_{start}{suffix}")
    assert command._as_commands("fsdp") == "fsdp"


def test_strategy_that_copies_this_process_is_refused(complaint):
    spawning = '{"class_path": "lightning.pytorch.strategies.DDPStrategy", "init_args": {"start_method": "spawn"}}'
    flags = ("--trainer.strategy", spawning, "--trainer.devices=2", "--trainer.accelerator=cpu")
    status, text = complaint("fit", "-c", "autograd_cubic", *flags)
    assert (status, text) == (2, "trainer.strategy starts the processes of a run as copies of this one: use ddp")
    assert not list(Path("lightning_logs").glob("*"))


@pytest.fixture
def on_images(did, fashion_root):
    """Return a function that fits the MLP to tiny images with a preset on top."""

    def run(preset, *flags):
        images = (
            "--data.root",
            fashion_root,
            "--data.batch_size=18",
            "--model.hidden_dims=[8]",
            "--trainer.accelerator=cpu",
        )
        return did("fit", "-c", "mlp", "-c", f"presets/{preset}", *images, *flags)

    return run


def test_debug_preset_runs_and_saves_nothing(on_images):
    assert "nothing was saved" in on_images("debug")
    assert not Path("lightning_logs").exists()


def test_profile_preset_writes_down_where_the_time_went(on_images):
    on_images("profile")
    assert "run_training_epoch" in Path("lightning_logs/mlp/version_0/fit-profile.txt").read_text()


def test_bf16_preset_computes_with_bfloat16(on_images):
    on_images("bf16", "--trainer.max_epochs=1")
    assert config("mlp/version_0")["trainer"]["precision"] == "bf16-mixed"


def test_deterministic_preset_refuses_what_is_not(on_images):
    on_images("deterministic", "--trainer.max_epochs=1")
    assert torch.are_deterministic_algorithms_enabled()


def test_run_finds_its_data_again_without_the_environment_that_it_was_started_in(did, fashion_root, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(fashion_root))
    did("fit", "--config", "softmax_regression", "--config", "presets/limit", "--data.batch_size=10")
    monkeypatch.delenv("FIRSTLIGHT_DATA")
    assert config("softmax_regression/version_0")["data"]["init_args"]["root"] == str(fashion_root)
    assert "accuracy/test" in did("test")


@pytest.mark.parametrize(("preset", "added"), [("early_stopping", "EarlyStopping"), ("overfit", "OverfitVerdict")])
def test_preset_keeps_the_callbacks_of_the_config(preset, added):
    Path("average.yaml").write_text("trainer: {callbacks: [{class_path: EMAWeightAveraging}]}")
    words = (f"--config={config}" for config in ("mlp", "average.yaml", f"presets/{preset}"))
    with command.prepared("fit", list(words)) as made:
        names = [each.class_path.rpartition(".")[2] for each in made.config.trainer.callbacks]
    assert names == ["EMAWeightAveraging", added]
