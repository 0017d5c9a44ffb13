"""``firstlight pictures`` writes what TensorBoard shows at the end of a run."""

import re
from pathlib import Path

import pytest
from PIL import Image

from firstlight import plots

FIT = ("fit", "--config=autograd_cubic", "--data.num_points=20", "--data.repeats=3", "--trainer.max_epochs=2")
NAMES = ["coefficients", "fit", "learning_curves"]


@pytest.fixture
def given(monkeypatch):
    """Return a dictionary that fills with what functions of ``plots`` are given."""
    seen = {}
    for name in plots.__all__:
        original = getattr(plots, name)

        def keep(*args, name=name, original=original):
            seen[name] = args
            return original(*args)

        monkeypatch.setattr(plots, name, keep)
    return seen


@pytest.mark.pictures
def test_files_show_what_tensorboard_shows_at_the_end(did, given):
    did(*FIT)
    of_run = dict(given)
    given.clear()
    out = did("pictures", "autograd_cubic")
    folder = Path("lightning_logs/autograd_cubic/version_0/pictures")
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.png" for name in NAMES]
    assert [line.split(": ")[1] for line in out.splitlines() if line.startswith("picture")] == [
        str(folder / f"{name}.png") for name in ("learning_curves", "fit", "coefficients")
    ]
    assert sorted(map(repr, given.items())) == sorted(map(repr, of_run.items()))
    with Image.open(folder / "fit.png") as image:
        assert image.size == (1000, 700)


def test_run_without_pictures_has_those_that_need_no_past(did, complaint):
    did(*FIT, "--pictures=none")
    out = did("pictures", "lightning_logs/autograd_cubic/version_0/checkpoints/best.ckpt")
    assert re.findall(r"picture: .*/(\w+)[.]png", out) == ["fit"]
    assert out.endswith("left out: learning curves, as the run kept no scores (--pictures none)\n")
    did("pictures", "--format=svg", "--output=paper")
    (path,) = Path("paper").iterdir()
    assert path.name == "fit.svg"
    content = path.read_bytes()
    did("pictures", "--format=svg", "--output=paper")
    assert path.read_bytes() == content  # the same run, the same file
    Path("taken").touch()
    assert complaint("pictures", "--output=taken") == (2, "--output taken: this is a file, not a folder")
    assert complaint("pictures", "other")[0] == 2
