"""Which packages a config may import from, and how its values are written."""

import sys
from pathlib import Path

import pytest
import yaml

MODULES = "configs may name classes of firstlight, lightning.pytorch, torch.optim and torch.nn"
OWN = """\
from pathlib import Path
from firstlight import AutogradCubic
Path("imported").touch()
class Own(AutogradCubic):
    def training_step(self, batch, batch_idx):
        if {broken}:
            raise RuntimeError("boom")
        return super().training_step(batch, batch_idx)
"""


@pytest.fixture
def own_package(tmp_path, monkeypatch):
    """Return a function that writes a package of the user's own, with one model in it."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, *, broken=False):
        Path(f"{name}.py").write_text(OWN.format(broken=broken))
        monkeypatch.setitem(sys.modules, name, None)  # for the clean-up
        del sys.modules[name]
        return ["fit", "-c", "autograd_cubic", "-c", "presets/limit", "--model", f"{name}.Own"]

    return write


def test_package_is_not_imported_because_a_config_names_it(complaint, own_package):
    expected = f"model: 'foreign.Own' is not imported: {MODULES}\nadd your own package with FIRSTLIGHT_PACKAGES=foreign"
    assert complaint(*own_package("foreign")) == (2, expected)
    assert not Path("imported").exists()


def test_package_that_its_owner_adds_is_imported(did, own_package, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "added")
    assert "Own, 4 parameters" in did(*own_package("added"))


def test_package_that_cannot_be_found_is_named(complaint, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "no_such_package")
    expected = "no_such_package cannot be imported: No module named 'no_such_package'"
    expected += "\nset PYTHONPATH to the folder that it is in"
    assert complaint("fit", "-c", "autograd_cubic") == (2, expected)


def test_bug_keeps_its_traceback_and_is_called_one(firstlight, own_package, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "broken")
    status, _, err = firstlight(*own_package("broken", broken=True))
    assert status == 1
    assert "Traceback (most recent call last)" in err
    assert 'raise RuntimeError("boom")' in err
    assert err.endswith("error: this is a bug, in firstlight or in a class that the config names\n")


TIMED = ("--trainer.callbacks=Timer", "--trainer.callbacks.duration=00:01:00:00")


def test_default_of_another_type_than_its_parameter_goes_into_the_config_as_a_plain_value(did):
    did("fit", "-c", "autograd_cubic", "-c", "presets/limit", *TIMED)
    (path,) = Path("lightning_logs").glob("*/*/config.yaml")
    assert yaml.safe_load(path.read_text())["trainer"]["callbacks"][0]["init_args"]["interval"] == "step"
    did("fit", "--resume", "--trainer.max_epochs=2")


PLAIN = """
from firstlight import LinearRegression
class Plain(LinearRegression):
    def __init__(self, lr: float = 0.1, num_features: int = 2) -> None:
        super().__init__(num_features, lr=lr)
"""


def test_numbers_of_a_config_stay_numbers_in_a_model_with_plain_types(did, tmp_path, monkeypatch):
    Path("plain_types.py").write_text(PLAIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "plain_types")
    Path("my.yaml").write_text("model: {class_path: LinearRegression, init_args: {lr: 0.05}}\n")
    did("fit", "-c", "linear_regression", "-c", "my.yaml", "-c", "presets/limit", "--model=plain_types.Plain")
    (path,) = Path("lightning_logs").glob("*/*/config.yaml")
    assert yaml.safe_load(path.read_text())["model"]["init_args"] == {"lr": 0.05, "num_features": 2}


PRUNED = ("--trainer.callbacks=ModelPruning", "--trainer.callbacks.pruning_fn=l1_unstructured")


def test_word_where_a_callable_could_stand_is_read_again_as_it_was(did):
    did("fit", "-c", "linear_regression", "-c", "presets/limit", *PRUNED, "--trainer.callbacks.amount=0.5")
    did("test")


UNNAMED = """
from collections.abc import Callable
from lightning.pytorch import Callback

class Own(Callback):
    def __init__(self, rate: Callable = lambda epoch: 1.0) -> None: ...
"""


def test_default_that_no_file_can_name_is_refused_before_training(complaint, tmp_path, monkeypatch):
    Path("unnamed.py").write_text(UNNAMED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "unnamed")
    status, message = complaint("fit", "-c", "autograd_cubic", "-c", "presets/limit", "--trainer.callbacks=unnamed.Own")
    assert status == 2
    assert message.startswith("rate: <function Own.<lambda> at 0x")
    assert message.endswith("no config can hold this default; set it to something with an import path")
