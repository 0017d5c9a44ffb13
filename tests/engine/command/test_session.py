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
