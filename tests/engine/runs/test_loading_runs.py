"""A program loads what the command line trained, and gets the same scores."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from firstlight import MLP, load

CUBIC = ("--config", "autograd_cubic", "--config", "presets/limit", "--data.num_points", "50")


def small(fashion_root):
    return ("-c", "mlp", "--data.root", fashion_root, "--model.hidden_dims=[5]", "--trainer.max_epochs=2")


def test_loaded_run_has_the_scores_of_the_command_line(did, fashion_root):
    did("fit", *small(fashion_root))
    did("test")
    scores = json.loads(Path("lightning_logs/mlp/version_0/test.json").read_text())
    model, data, config, checkpoint = load("mlp")
    assert isinstance(model, MLP)
    assert str(checkpoint) == scores["checkpoint"] == "lightning_logs/mlp/version_0/checkpoints/best.ckpt"
    assert config["trainer"]["max_epochs"] == 2
    assert config["model"]["init_args"]["hidden_dims"] == [5]
    data.prepare_data()
    data.setup("test")
    ((x, y),) = data.test_dataloader()
    with torch.no_grad():
        logits = model(x)
    assert float(model.loss(logits, y)) == pytest.approx(scores["loss/test"], rel=1e-6)
    assert float((logits.argmax(1) == y).float().mean()) == pytest.approx(scores["accuracy/test"], rel=1e-6)


def test_all_references_to_a_run_load_the_same_checkpoint(did):
    did("fit", *CUBIC)
    did("fit", *CUBIC)
    folder = Path("lightning_logs/autograd_cubic/version_1")
    best = folder / "checkpoints" / "best.ckpt"
    for reference in (None, "autograd_cubic", "autograd_cubic/version_1", str(folder), f"{folder}/", folder, best):
        assert load(reference).checkpoint == best
    assert load("autograd_cubic", last=True).checkpoint == folder / "checkpoints" / "last.ckpt"
    assert load("autograd_cubic", root=Path.cwd()).checkpoint == best.absolute()


def test_killed_run_without_a_best_checkpoint_is_loaded_from_its_last(did):
    did("fit", *CUBIC)
    folder = Path("lightning_logs/autograd_cubic/version_0/checkpoints")
    (folder / "best.ckpt").unlink()
    assert load().checkpoint == folder / "last.ckpt"


def test_config_replaces_what_the_checkpoint_lacks(did):
    did("fit", *CUBIC)
    path = Path("lightning_logs/autograd_cubic/version_0/checkpoints/best.ckpt")
    content = torch.load(path, weights_only=True)
    for key in ("model_class", "data_class", "hyper_parameters", "datamodule_hyper_parameters"):
        del content[key]
    torch.save(content, path)
    trained = load()
    assert trained.config == yaml.safe_load((path.parents[1] / "config.yaml").read_text())
    assert trained.model.hparams == {"lr": 1e-6}
    assert trained.data.num_points == 50


@pytest.mark.slow
def test_another_project_loads_a_run(did, tmp_path):
    did("fit", *CUBIC)
    expected = load().model(torch.ones(1, 1)).item()
    project = tmp_path / "elsewhere"
    project.mkdir()
    program = "import firstlight, torch, sys; print(firstlight.load(sys.argv[1]).model(torch.ones(1, 1)).item())"
    folder = Path("lightning_logs/autograd_cubic/version_0").absolute()
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, folder],
        cwd=project,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == ""
    assert float(result.stdout) == expected
    assert not list(project.iterdir())
