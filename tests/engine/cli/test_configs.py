"""``firstlight configs``: each config with its score, presets by themselves."""

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "configs"
CONFIGS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
OTHERS = sorted(
    f"{path.parent.name}/{path.stem}" for part in ("own", "records") for path in FOLDER.glob(f"{part}/*.yaml")
)
PRESETS = sorted(path.stem for path in FOLDER.glob("presets/*.yaml"))


def test_configs_are_listed_with_the_score_they_end_at_and_presets_by_themselves(did):
    Path("configs").mkdir()
    Path("configs/mine.yaml").write_text(
        "# Mine, all mine\n#\n# Quick. Ends at accuracy/test 0.75, or so.\nmodel: MLP\n"
    )
    Path("configs/bare.yaml").write_text("model: MLP\n")
    mine, presets = (block.splitlines() for block in did("configs").split("\n\n"))
    assert [line.split()[0] for line in mine] == ["config", "bare", "mine", *CONFIGS, *OTHERS]
    assert [line.split()[0] for line in presets] == ["preset", *(f"presets/{name.split('/')[-1]}" for name in PRESETS)]
    assert [re.split(r" {2,}", line) for line in mine if line.startswith(("mine", "bare", "neuron"))] == [
        ["bare"],
        ["mine", "accuracy/test 0.75", "Mine, all mine"],
        [
            "neuron",
            "loss/test 1.2e-15",
            "One sigmoid neuron that recovers the weights its data were made with (D1, D2, D4)",
        ],
    ]
    listed = {row["config"]: row for row in json.loads(did("configs", "--json"))["configs"]}
    assert listed["mine"] == {
        "config": "mine",
        "ends_at": "accuracy/test 0.75",
        "what_it_is": "Mine, all mine",
        "file": "configs/mine.yaml",
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_says_where_it_ends(name, did):
    assert {row["config"]: row for row in json.loads(did("configs", "--json"))["configs"]}[name]["ends_at"]


def test_what_an_editor_or_a_broken_link_leaves_is_no_config(did):
    Path("configs").mkdir()
    Path("configs/broken.yaml").symlink_to("nowhere.yaml")
    Path("configs/.#mine.yaml").write_text("x")
    Path("configs/mine.yaml").write_text("# my own")
    out = did("configs")
    assert "mine" in out
    assert "broken" not in out
    assert ".#" not in out
