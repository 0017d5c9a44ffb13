import csv
import json
import re
from pathlib import Path

import pytest
import torch
import yaml

from firstlight import data, models

FOLDER = Path(__file__).parents[3] / "configs"
CONFIGS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
PRESETS = sorted(path.stem for path in FOLDER.glob("presets/*.yaml"))
OWN = sorted(path.stem for path in FOLDER.glob("own/*.yaml"))
SWEEPS = sorted(path.stem for path in FOLDER.glob("sweeps/*.yaml"))
QUICK = ("--config", "presets/limit", "--trainer.accelerator", "cpu")


def read(name):
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def images(name, root):
    """Return the flags that put tiny files in the place of Fashion-MNIST, where a config reads it."""
    return ["--data.root", root, "--data.batch_size", 6] if read(name)["data"]["class_path"] == "FashionMNIST" else []


def test_every_model_has_a_config():
    assert {read(name)["model"]["class_path"] for name in CONFIGS} == set(models.__all__)


COMMANDS = {
    **{name: f"fit --config {name}" for name in CONFIGS},
    **{f"own/{name}": f"fit --config own/{name}" for name in OWN},
    **{f"presets/{name}": f"fit --config mlp --config presets/{name}" for name in PRESETS},
    **{f"sweeps/{name}": f"sweep --config {name} --sweep {name}" for name in SWEEPS},
}


@pytest.mark.parametrize("name", COMMANDS)
def test_config_begins_with_what_it_is_and_the_command_that_runs_it(name):
    title, empty, command, *_ = (FOLDER / f"{name}.yaml").read_text().splitlines()
    assert re.fullmatch(r"# \S.{5,}", title)
    assert empty == "#"
    assert command.partition(" --data.")[0] == f"#   firstlight {COMMANDS[name]}"


ALWAYS = "linear_regression", "mlp"  # numbers and classes


@pytest.mark.parametrize(
    "name", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS]
)
def test_config_goes_through_every_command_and_is_scored_with_its_best_weights(name, did, fashion_root, quick_trainer):
    flags = images(name, fashion_root)
    did("fit", "--config", name, *QUICK, *flags)
    did("validate", "--config", name, *QUICK, *flags)
    did("test", "--config", name, *QUICK, *flags)
    did("predict", "--config", name, *QUICK, *flags)

    (run,) = Path("lightning_logs", name).iterdir()
    best = run / "checkpoints" / "best.ckpt"
    model = getattr(models, read(name)["model"]["class_path"]).load_from_checkpoint(best, weights_only=True)
    source = getattr(data, read(name)["data"]["class_path"]).load_from_checkpoint(best, weights_only=True)
    precision = read(name)["trainer"].get("precision", "32-true")
    trainer = quick_trainer(precision=precision, limit_val_batches=5, limit_test_batches=5)
    for stage, call in {"validate": trainer.validate, "test": trainer.test}.items():
        scores = json.loads((run / f"{stage}.json").read_text())
        assert scores.pop("checkpoint") == str(best)
        assert scores.pop("epoch") == 1
        assert scores.pop("report")["examples"] > 0
        assert [scores] == call(model, source, verbose=False)

    header, *rows = csv.reader((run / "predictions.csv").read_text().splitlines())
    batches = [batch for batch, _ in zip(source.test_dataloader(), range(5), strict=False)]
    powers = batches[0][0].shape[1]
    x = ["x"] if powers == 1 else [f"x{number + 1}" for number in range(powers)]
    probable = ["index", "truth", "class", "name", "probability"]
    predicted = ["mean", "std"] if name == "sine_ensemble" else ["prediction"]
    assert header == (probable if flags else ["index", *x, "y", *predicted])
    model.eval()
    answers = [model.predict_step(batch, 0)[header[-1]] for batch in batches]
    written = torch.tensor([float(row[-1]) for row in rows])
    torch.testing.assert_close(written, torch.cat(answers).detach().flatten().float())


@pytest.mark.parametrize("below", ["{}", "{{fit: {}}}", "{{fit: {}, test: {{}}}}"])
def test_config_may_be_typed_and_be_below_the_command_as_lightning_writes_it(below, did, complaint):
    text = below.format("{trainer: {max_epochs: 7}}")
    Path("mine.yaml").write_text(text)
    for name in ("mine.yaml", text):
        printed = did("fit", "--config", "autograd_cubic", "--config", name, "--print_config")
        assert yaml.safe_load(printed)["trainer"]["max_epochs"] == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test: {trainer: {}}", "mine.yaml sets test: expected all settings of fit below the key fit"),
        ("fit: {}\ntrainer: {}", "mine.yaml sets fit, trainer: expected all settings of fit below the key fit"),
        ("fit:", "mine.yaml sets fit: expected all settings of fit below the key fit"),
        ("fit:\n  trainer:\n    max_epoch: 1", "trainer.max_epoch (mine.yaml, line 3): trainer has no setting"),
    ],
)
def test_config_that_is_below_a_command_is_refused_with_its_place(text, expected, complaint):
    Path("mine.yaml").write_text(text)
    status, message = complaint("fit", "--config", "autograd_cubic", "--config", "mine.yaml")
    assert status == 2
    assert message.startswith(expected)
