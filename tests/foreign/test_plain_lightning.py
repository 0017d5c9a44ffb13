"""Modules of plain Lightning, through every command: what they need no word of firstlight for."""

import csv
import json
import os
from pathlib import Path

import pytest
import yaml
from harness import differences, firstlight, start, the_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import firstlight as package
from firstlight.engine.runs.checkpoint_files import load_checkpoint

OWN = {"FIRSTLIGHT_PACKAGES": "plain_lightning"}
LINEAR = "torch.nn.Linear"
CODER = {
    "encoder": {"class_path": LINEAR, "init_args": {"in_features": 64, "out_features": 3}},
    "decoder": {"class_path": LINEAR, "init_args": {"in_features": 3, "out_features": 64}},
}
WATCHED = [
    {"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss", "patience": 1, "min_delta": 0.05}},
    {"class_path": "ModelCheckpoint", "init_args": {"monitor": "val/loss", "save_top_k": 2, "save_last": True}},
]
FORMS = [
    *("single", "list", "lists", "lists of dicts", "dict", "dict with a schedule", "every other epoch"),
    *("plateau", "plateau in steps", "tuple of dicts"),
]
TRUE_WARNINGS = (
    "warning: You passed in a `val_dataloader` but have no `validation_step`.",
    "warning: Trying to infer the `batch_size` from an ambiguous collection.",
)
"""Lightning's, for a module without validation, and for one that logs the losses of several batches."""
MODULES = {
    "AutoEncoder": {"model": ("AutoEncoder", CODER), "data": "Digits"},
    "ConvNet": {"model": "ConvNet", "data": "Digits"},
    "ConvNet with workers": {"model": "ConvNet", "data": ("Digits", {"num_workers": 2})},
    "GAN": {"model": "GAN", "data": "Digits"},
    "LanguageModel": {"model": "LanguageModel", "data": "Text"},
    "Lazy": {"model": "Lazy", "data": "Digits"},
    "LateLayers": {"model": "LateLayers", "data": "Digits"},
    "SeveralLosses": {"model": "SeveralLosses", "data": "Pairs"},
    "SelfServing": {"model": "SelfServing"},
    "watched": {
        "model": "ConvNet",
        "data": "Digits",
        "callbacks": WATCHED,
    },
    **{f"Forms, {form}": {"model": ("Forms", {"form": form}), "data": "Digits"} for form in FORMS},
}
"""Class of the model and of the data, each alone or with its arguments, and callbacks."""
QUICK = ("ConvNet",)


def modules(*quick):
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in MODULES]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a function that returns a module's folder, with its config, or where it was trained to the end."""
    trained = {}

    def folder(name, *, fresh=False):
        if name in trained and not fresh:
            return trained[name]
        path = tmp_path_factory.mktemp("module")
        content = {part: MODULES[name][part] for part in ("model", "data") if part in MODULES[name]}
        for part, value in content.items():
            kind, arguments = (value, {}) if isinstance(value, str) else value
            content[part] = {"class_path": kind, "init_args": arguments}
        trainer = {"max_epochs": 3, "accelerator": "cpu", "callbacks": MODULES[name].get("callbacks", [])}
        (path / "configs").mkdir()
        (path / "configs/own.yaml").write_text(yaml.safe_dump({**content, "trainer": trainer}))
        if not fresh:
            ended = firstlight(path, "fit", "--config=own", **OWN)
            assert ended.status == 0, ended.text
            said = [line for line in ended.text.splitlines() if "arning" in line]
            assert [line for line in said if not line.startswith(TRUE_WARNINGS)] == []
            trained[name] = path
        return path

    return folder


def all_left(folder):
    """Return all checkpoints of the only run, but for paths in them, and its curves."""
    run = the_run(folder)
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    curves = {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    checkpoints = {path.name: load_checkpoint(path) for path in run.glob("checkpoints/*.ckpt")}
    for checkpoint in checkpoints.values():
        checkpoint["callbacks"] = {k: v for k, v in checkpoint["callbacks"].items() if "ModelCheckpoint" not in k}
    return {"curves": curves, **checkpoints}


@pytest.mark.parametrize("name", modules())
def test_check_finds_nothing_wrong(name, place):
    ended = firstlight(place(name, fresh=True), "check", "own", **OWN)
    assert (ended.status, ended.text) == (0, "ok       own\n")


@pytest.mark.parametrize("name", modules(*QUICK))
def test_run_that_is_stopped_in_mid_epoch_goes_on_to_the_same_bits(name, place):
    whole = all_left(place(name))
    steps = max(checkpoint["global_step"] for name, checkpoint in whole.items() if name != "curves")
    faults = [("SIGTERM", steps // 2, 143), ("SIGKILL", steps - 2, -9), ("SIGKILL", steps // 3, -9)]
    for signal, step, status in faults if name not in QUICK else faults[:1]:
        folder = place(name, fresh=True)
        flags = ["--checkpoint.every_n_steps=2"] if signal == "SIGKILL" else []
        stopped = firstlight(folder, "fit", "--config=own", *flags, fault={"do": signal, "step": step}, **OWN)
        assert stopped.status == status, stopped.text
        resumed = firstlight(folder, "fit", "--resume", **OWN)
        assert resumed.status == 0, resumed.text
        assert [each for each in differences(whole, all_left(folder)) if "every_n_steps" not in each] == []


@pytest.mark.parametrize("name", modules())
def test_scores_and_predictions_are_written(name, place):
    folder = place(name)
    for command, step in (("validate", "validation_step"), ("test", "test_step")):
        ended = firstlight(folder, command, **OWN)
        if name == "GAN":
            assert (ended.status, ended.text.splitlines()[-1]) == (2, f"error: the model has no {step}")
        else:
            assert ended.status == 0, ended.text
            scores = json.loads((the_run(folder) / f"{command}.json").read_text())
            assert any("loss" in score or "acc" in score for score in scores)
    ended = firstlight(folder, "predict", **OWN)
    assert ended.status == 0, ended.text
    rows = list(csv.DictReader((the_run(folder) / "predictions.csv").read_text().splitlines()))
    assert len(rows) == {"SeveralLosses": 21, "LanguageModel": 7, "SelfServing": 14}.get(name, 11)


@pytest.mark.parametrize("file_format", ["onnx", "torch_export", "safetensors"])
@pytest.mark.parametrize("name", modules())
def test_model_is_exported_or_a_line_says_why_not(name, file_format, place):
    ended = firstlight(place(name), "export", "--format", file_format, **OWN)
    if name == "GAN":
        assert ended.status == 1
        first, second = ended.text.splitlines()
        assert first.startswith("error: GAN.forward does not take the inputs of its data: addmm: mat1 and mat2")
        assert second == "set self.example_input_array in the model's __init__ to inputs that it takes"
    else:
        assert ended.status == 0, ended.text
        assert "outputs differ by at most" in ended.text


@pytest.mark.parametrize("name", modules())
def test_loaded_model_is_the_trained_one(name, place, monkeypatch):
    import plain_lightning  # noqa: F401  # a checkpoint must not choose what is imported

    folder = place(name)
    trained = package.load(root=folder)
    state = load_checkpoint(trained.checkpoint)["state_dict"]
    assert list(differences(dict(trained.model.state_dict()), dict(state))) == []
    assert not trained.model.training


@pytest.mark.slow
def test_two_processes_of_a_plain_module_are_killed_and_go_on_to_the_same_bits(place, monkeypatch):
    paths = [str(Path(__file__).parent), str(Path(package.__file__).parents[1])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    whole, killed = place("ConvNet", fresh=True), place("ConvNet", fresh=True)
    words = ["fit", "--config=own", "--config=presets/ddp", "--checkpoint.every_n_steps=2", "--pictures=none"]
    fault = {"do": "SIGKILL", "step": 4}
    waits = [start(whole, *words, real=True, **OWN), start(killed, *words, real=True, fault=fault, **OWN)]
    first, second = [wait() for wait in waits]
    assert (first.status, bool(second.status)) == (0, True), first.text
    resumed = firstlight(killed, "fit", "--resume", real=True, **OWN)
    assert resumed.status == 0, resumed.text
    assert list(differences(all_left(whole), all_left(killed))) == []
