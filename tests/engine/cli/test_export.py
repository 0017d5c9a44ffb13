"""``firstlight export`` writes files that compute what the model does, at any batch size."""

import json
import re
import sys
from itertools import product
from pathlib import Path

import pytest
import torch
import yaml
from tests.repeated import first_quick

import firstlight as package
from firstlight import models
from firstlight.engine.runs.checkpoint_files import load_checkpoint, save_checkpoint

CUBIC = ("--config", "autograd_cubic", "--config", "presets/limit", "--data.num_points", "50")
CONFIGS = Path(__file__).parents[3] / "configs"
LINES = (
    r"weights: (?P<weights>.+)\nmodel:   (?P<file>.+), (?P<size>[\d,]+) bytes, "
    r"outputs differ by at most (?P<difference>[\de.+-]+) over (?P<count>[\d,]+) examples\n"
)

ODD = """
import torch
from torch import nn
from firstlight.tasks import Regression

CUBIC = ("--config", "autograd_cubic", "--config", "presets/limit", "--data.num_points", "50")

class Odd(Regression):
    def __init__(self, lr: float = 0.1):
        super().__init__(lr)
        self.save_hyperparameters()
        self.weight = nn.Parameter(torch.ones(1))

class Dice(Odd):
    def forward(self, x):
        return x * self.weight + torch.rand(1)

class Branches(Odd):
    def forward(self, x):
        return x * self.weight if x.sum() > 0 else x

class Keeps(Odd):
    def forward(self, x):
        return x * self.weight

    def on_save_checkpoint(self, checkpoint):
        checkpoint["mine"] = 1

    def on_load_checkpoint(self, checkpoint):
        self.mine = checkpoint["mine"]
"""


@pytest.fixture
def needs():
    """Return a function that skips a test where the packages of a format are not installed."""

    def check(form):
        from firstlight.engine.cli.export import FORMATS

        for name in FORMATS[form][1]:
            pytest.importorskip(name, reason=f"{name} is an extra")

    return check


@pytest.fixture
def trained(fashion_root, quick_trainer):
    """Return a function that trains a model for a step, as its config has it, and returns its checkpoint."""

    def train(name):
        config = next(c for c in map(read, sorted(CONFIGS.glob("*.yaml"))) if c["model"]["class_path"] == name)
        arguments = config["data"].get("init_args", {})
        arguments |= {"root": str(fashion_root)} if config["data"]["class_path"] == "FashionMNIST" else {}
        trainer = quick_trainer(max_steps=1, enable_checkpointing=True, default_root_dir="run")
        trainer.fit(
            getattr(package, name)(**config["model"].get("init_args", {})),
            getattr(package, config["data"]["class_path"])(**arguments),
        )
        return next(Path("run").rglob("*.ckpt"))

    return train


def read(path):
    return yaml.safe_load(path.read_text())


def run_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    (given,), (answered,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape[0]) == ("x", "batch")
    assert answered.name in ("logits", "prediction")
    return lambda x: torch.from_numpy(session.run([answered.name], {"x": x.numpy()})[0])


def run_torch_export(path):
    files = {"outputs.json": ""}
    program = torch.export.load(path, extra_files=files)
    assert program.graph_signature.user_inputs == ("x",)
    assert json.loads(files["outputs.json"]) in (["logits"], ["prediction"])
    return program.module()


def run_safetensors(path):
    return package.load(path).model


FORMS = ["onnx", "torch_export", "safetensors"]
QUICK = [("LegendreCubic", "onnx"), ("LegendreCubic", "safetensors")]
OTHERS = [pair for pair in product(models.__all__, FORMS) if pair not in QUICK]


@pytest.mark.parametrize(("name", "form"), first_quick(2, [*QUICK, *OTHERS]))
def test_file_computes_what_the_model_does_at_any_batch_size(name, form, firstlight, trained, needs):
    needs(form)
    checkpoint = trained(name)
    status, out, err = firstlight("export", checkpoint, "--format", form, "--output", f"model.{form}")
    assert (status, err) == (0, "")
    said = re.fullmatch(LINES, out)
    assert said["weights"] == str(checkpoint)
    assert int(said["size"].replace(",", "")) == Path(f"model.{form}").stat().st_size

    model, data, _, _ = package.load(checkpoint)
    data.prepare_data()
    data.setup("fit")
    x = data.train_dataloader().split[0][:7]
    x = data.convert((x, None), torch.float)[0].float()  # other inputs than those that it was checked with
    run = {"onnx": run_onnx, "torch_export": run_torch_export, "safetensors": run_safetensors}[form](f"model.{form}")
    with torch.no_grad():
        expected = model(x)
        limit = 1e-5 * max(1, float(expected.abs().max()))
        for batch in (x, x[:1], x[2:5]):
            torch.testing.assert_close(run(batch), model(batch), atol=limit, rtol=0)
    assert float(said["difference"]) <= limit


def test_run_is_named_as_in_test_and_its_file_lies_beside_its_weights(did, needs):
    needs("safetensors")
    did("fit", *CUBIC)
    did("fit", *CUBIC)
    folder = "lightning_logs/autograd_cubic/version_1"
    for reference in ((), ("autograd_cubic",), (folder,), (f"{folder}/checkpoints/best.ckpt",)):
        said = re.fullmatch(LINES, did("export", *reference, "--format", "safetensors"))
        assert said["weights"] == f"{folder}/checkpoints/best.ckpt"
        assert said["file"] == f"{folder}/checkpoints/best.safetensors"
        assert said["count"] == "49"
        Path(said["file"]).unlink()
    out = did("export", "autograd_cubic/version_0", "--last", "--format", "torch_export", "--output", "here/m.pt2")
    assert re.fullmatch(LINES, out)["weights"] == "lightning_logs/autograd_cubic/version_0/checkpoints/last.ckpt"
    assert [path.name for path in Path("here").iterdir()] == ["m.pt2"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("nothing", "--format=torch_export"), 2, "no run 'nothing' in lightning_logs; runs: autograd_cubic"),
        (("nothing.ckpt", "--format=torch_export"), 1, "there is no checkpoint nothing.ckpt"),
        (("--format=onx",), 2, "invalid choice: 'onx' (choose from"),
        ((), 2, "the following arguments are required: --format"),
        (("--format=torch_export", "--output=."), 2, "--output .: this is a folder, not a file"),
    ],
)
def test_mistake_costs_a_line(words, status, message, did, complaint):
    did("fit", *CUBIC)
    answer = complaint("export", *words)
    assert answer[0] == status
    assert message in answer[1]
    assert not list(Path().rglob("*.pt2*"))


@pytest.mark.parametrize(
    ("form", "package"), [("onnx", "onnx"), ("onnx", "onnxscript"), ("onnx", "onnxruntime"), ("safetensors",) * 2]
)
def test_missing_package_is_one_line_that_says_what_to_install(form, package, complaint, needs, monkeypatch):
    needs(form)
    monkeypatch.setitem(sys.modules, package, None)
    assert complaint("export", "--format", form) == (
        1,
        f'--format {form} needs {package}: pip install "firstlight[export]"',
    )


@pytest.mark.parametrize(
    ("name", "form", "message"),
    [
        ("Dice", "torch_export", r"the exported model's outputs differ by [\d.]+ from the model's: not written"),
        ("Branches", "torch_export", r"Branches cannot be exported as torch_export: .+"),
        (
            "Keeps",
            "safetensors",
            r"Keeps cannot .+ does not fit odd.Keeps: KeyError: 'mine' \(in on_load_checkpoint\)",
        ),
    ],
)
def test_model_that_a_file_cannot_hold_is_refused(name, form, message, did, needs, complaint, tmp_path, monkeypatch):
    needs(form)
    Path("odd.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "odd")
    did("fit", "--model", f"odd.{name}", "--data", "Sine", "--trainer.max_epochs=1", "--name", "odd")
    status, said = complaint("export", "odd", "--format", form)
    assert status == 1
    assert re.fullmatch(message, said)
    assert not list(Path().rglob("*.pt2*"))
    if name == "Keeps":
        path = Path("lightning_logs/odd/version_0/checkpoints/best.ckpt")
        save_checkpoint({key: value for key, value in load_checkpoint(path).items() if key != "mine"}, "other.ckpt")
        said = complaint("test", "--model=odd.Keeps", "--data=Sine", "--ckpt_path=other.ckpt")
        assert said == (1, "checkpoint other.ckpt cannot be restored: KeyError: 'mine' (odd.py, line 30)")
    sys.modules.pop("odd")


def test_run_whose_data_are_not_known_is_not_exported_unchecked(complaint, quick_trainer):
    trainer = quick_trainer(max_epochs=1, enable_checkpointing=True, default_root_dir="run")
    model = package.AutogradCubic()
    model.validation_step = None
    trainer.fit(model, package.Batches((torch.zeros(2, 1), torch.zeros(2, 1)), 2))
    (path,) = Path("run").rglob("*.ckpt")
    assert complaint("export", path, "--format", "torch_export") == (
        1,
        f"{path} does not name its data, which the exported file is checked with\n"
        "set self.example_input_array in the model's __init__ to inputs that it takes",
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("form", ["torch_export", "safetensors"])
def test_failed_export_names_the_file_that_was_asked_for(form, did, complaint, needs):
    import resource

    needs(form)
    did("fit", *CUBIC)
    Path("file").touch()
    assert complaint("export", "--format", form, "--output=file/m") == (1, "[Errno 20] Not a directory: 'file'")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))  # of bytes in a file; Python ignores the signal
    try:
        assert complaint("export", "--format", form, "--output=here/m") == (1, "[Errno 27] File too large: 'here/m'")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(Path("here").iterdir())


def test_exported_weights_can_be_tested_but_not_trained_or_drawn(did, complaint, needs):
    needs("safetensors")
    did("fit", *CUBIC)
    expected = did("test")
    did("export", "--format=safetensors", "--output=m.safetensors")
    scored = did("test", "--ckpt_path=m.safetensors", *CUBIC)
    assert scored.splitlines() == ["weights: m.safetensors", *expected.splitlines()[1:]]
    for words in (["fit", *CUBIC, "--ckpt_path=m.safetensors"], ["pictures", "m.safetensors"]):
        status, message = complaint(*words)
        assert (status, message.partition(" (")[0]) == (1, "checkpoint m.safetensors holds weights alone")


@pytest.mark.parametrize("command", [["export", "--format=torch_export"], ["pictures"], ["predict"]])
def test_empty_output_is_not_the_folder_here(command, complaint):
    for empty in (["--output="], ["--output", ""]):
        assert complaint(*command, *empty) == (2, "--output is empty: name one, or leave it out")
