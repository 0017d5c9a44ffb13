import ast
import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from benchmarks import gpu, gpu_callbacks
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden

import firstlight
from firstlight.engine.callbacks.updates import BATCH_HOOKS
from firstlight.engine.command.command import prepared

ROOT = Path(__file__).parents[1]


def test_import_costs_nothing():
    heavy = ("torch", "torchvision", "lightning", "torchmetrics", "matplotlib", "jsonargparse", "numpy")
    program = f"import sys, firstlight; hasattr(firstlight, 'x'); print([x for x in {heavy} if x in sys.modules])"
    result = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize("name", firstlight.__all__)
def test_public_name_can_be_imported_and_is_listed(name):
    assert getattr(firstlight, name) is not None
    assert name in dir(firstlight)


def test_public_names_are_what_they_are_called():
    names = [name for name in firstlight.__all__ if not name.startswith("_")]
    assert [getattr(firstlight, name).__name__ for name in names] == names
    assert len(set(names)) == len(names)


def test_everything_public_in_the_lessons_is_public_in_the_package():
    from firstlight import data, learning_curves, models, schedules, tasks

    public = {name for part in (data, learning_curves, models, schedules, tasks) for name in part.__all__}
    assert set(firstlight.__all__) == public | {"__version__", "load", "main", "quiet_trainer"}


def test_a_family_of_models_is_one_line_in_one_list():
    from firstlight import models

    file = Path(models.__file__)
    families = sorted(path.stem for path in file.parent.glob("*.py") if path != file)
    lines = [line for line in file.read_text().splitlines() if line.startswith("from")]
    assert lines == [f"from firstlight.models.{family} import *" for family in families]
    listed = [name for family in families for name in import_module(f"firstlight.models.{family}").__all__]
    assert sorted(listed) == models.__all__
    assert not any(name in Path(firstlight.__file__).read_text() for name in models.__all__)


@pytest.mark.slow
def test_a_type_checker_knows_the_public_names(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("from firstlight import Sine\nreveal_type(Sine().val)\nSine(points=3)\n")
    command, source = [sys.executable, "-m", "mypy", "--strict", program], {"MYPYPATH": str(ROOT / "src")}
    result = subprocess.run(command, env=os.environ | source, capture_output=True, text=True, check=False)
    assert 'Revealed type is "tuple[torch._tensor.Tensor, torch._tensor.Tensor]"' in result.stdout
    assert 'Unexpected keyword argument "points" for "Sine"' in result.stdout


def test_every_model_and_data_module_is_abstract_or_final():
    public = {getattr(firstlight, name) for name in firstlight.__all__ if name[0].isupper()}
    for kind in subclasses(LightningModule) | subclasses(LightningDataModule):
        assert inspect.isabstract(kind) or (kind in public and not subclasses(kind)), kind


def subclasses(kind):
    """Return the classes of the package that are derived from a class."""
    found = set(kind.__subclasses__()).union(*map(subclasses, kind.__subclasses__()))
    return {each for each in found if each.__module__.startswith("firstlight.")}


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'firstlight' has no attribute 'Sinus'"):
        firstlight.Sinus  # noqa: B018


def test_version_is_the_installed_one():
    assert firstlight.__version__ == importlib.metadata.version("firstlight")


def imported(file, distributions):
    """Return the distributions whose packages a source file imports."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    found = [distributions.get(name.partition(".")[0], []) for name in names]
    return {distribution.lower().replace("_", "-") for distribution, *_ in filter(None, found)}


def test_everything_that_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = sum(project["optional-dependencies"].values(), project["dependencies"])
    files = [file for file in (ROOT / "src" / "firstlight").rglob("*.py") if "project-template" not in file.parts]
    distributions = importlib.metadata.packages_distributions()
    found = set().union(*(imported(file, distributions) for file in files))
    assert found - {re.split(r"[\[>]", name)[0] for name in declared} - {"firstlight"} == set()


def test_gpu_check_says_that_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu"])
    with pytest.raises(SystemExit, match=r"^there is no GPU here: [^\n]+$"):  # a text: exit status 1
        gpu.main()


def test_gpu_check_asks_for_runs_that_can_be_parsed(monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "benchmarks")
    chosen = gpu.callbacks(GPUClock={"path": "clock.json"}, Compile={}, KillAfter={"steps": 1})
    more = [word for flags, _ in gpu.CHANGES.values() for word in flags]
    with prepared("fit", [*gpu.words(256, *more), chosen]) as command:
        assert len(command.config.trainer.callbacks) == 3


@pytest.mark.parametrize("name", gpu_callbacks.__all__)
def test_callback_of_the_gpu_check_leaves_several_updates_on(name):
    assert not any(
        is_overridden(hook, getattr(gpu_callbacks, name)(""), Callback) for hook in (*BATCH_HOOKS, "on_exception")
    )


def test_public_functions_say_what_they_raise():
    found = []
    for file in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(file.read_text())
        for part in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]:
            for node in part.body:
                if isinstance(node, ast.FunctionDef) and node.name[0] != "_" and getattr(part, "name", "")[:1] != "_":
                    raises = any(isinstance(each, ast.Raise) and each.exc for each in ast.walk(node))
                    if raises and "raise" not in ast.get_docstring(node).casefold():
                        found.append(f"{file.name}: {node.name}")
    assert found == []
