"""Which packages a config or a checkpoint may import from."""

import importlib.metadata
from types import SimpleNamespace

import pytest
from lightning.pytorch import LightningModule

from firstlight import MLP
from firstlight.engine import packages
from firstlight.errors import CheckpointError, FirstlightError


def test_packages_are_those_of_the_variable_or_else_of_entry_points(monkeypatch):
    monkeypatch.setattr(packages, "entry_points", lambda group: [SimpleNamespace(value=f"of {group}")])
    monkeypatch.delenv("FIRSTLIGHT_PACKAGES", raising=False)
    assert packages.added_packages() == {"of firstlight.packages"}
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "one, two,")
    assert packages.added_packages() == {"one", "two"}


def test_class_of_firstlight_is_found():
    assert packages.import_class("firstlight.models.mlp.MLP", LightningModule, "x.ckpt") is MLP


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("antigravity.Cheat", "import antigravity first, or add your package with FIRSTLIGHT_PACKAGES=antigravity"),
        ("firstlight.models.mlp.MLPP", "there is no such LightningModule; did you mean 'MLP'?"),
        ("firstlight.models.nothing.MLP", "cannot be imported: No module named"),
        ("firstlight.data.Sine", "there is no such LightningModule"),
    ],
)
def test_class_that_cannot_be_had_is_named_with_its_file(name, said, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "")
    with pytest.raises(CheckpointError, match="is of the class") as caught:
        packages.import_class(name, LightningModule, "x.ckpt")
    assert said in str(caught.value)


@pytest.mark.parametrize("code", ["class Net(:", "1 / 0", "from os import gone"])
def test_module_that_fails_when_it_is_imported_is_named(code, tmp_path, monkeypatch):
    module = f"failing_{len(code)}"
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", module)
    with pytest.raises(CheckpointError, match=r"cannot be imported: .*\nFIRSTLIGHT_DEBUG=1 shows the traceback"):
        packages.import_class(f"{module}.Net", LightningModule, "x.ckpt")


def test_package_that_is_missing_is_named_with_how_to_install_it():
    packages.require("reading metadata", importlib.metadata.__name__)
    with pytest.raises(FirstlightError, match=r'needs no_such: pip install "firstlight\[export\]"'):
        packages.require("--format onnx", "no_such")
