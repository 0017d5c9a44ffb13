import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from my_research.cli import main

CONFIGS = Path(__file__).parents[1] / "configs"
Run = Callable[..., None]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that types a command, in a folder with nothing but the configs."""
    (tmp_path / "configs").symlink_to(CONFIGS)
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["my-research", *words])
        main()

    return typed


@pytest.mark.parametrize("config", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
def test_config_goes_through_every_command(config: str, run: Run) -> None:
    for command in ("fit", "validate", "test", "predict"):
        run(command, "--config", config, "--config", "presets/limit")


def test_small_mlp_ends_where_its_config_says(run: Run) -> None:
    said = re.search(r"Ends at accuracy/test (\d[.\d]*\d)", (CONFIGS / "small_mlp.yaml").read_text())
    assert said
    run("fit", "--config", "small_mlp")
    run("test")
    scores = json.loads(Path("lightning_logs/small_mlp/version_0/test.json").read_text())
    assert scores["accuracy/test"] == pytest.approx(float(said[1]), abs=0.003)  # three of a thousand
