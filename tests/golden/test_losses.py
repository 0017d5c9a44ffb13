"""Every config trains to the losses that it always had: a change of the code that changes a number shows here."""

import json
import math
from pathlib import Path

import pytest
import yaml
from tests.golden.record import LOSSES, flags, losses, machine

from firstlight.engine.command.configs import config_names, find_config

GOLDEN = json.loads(LOSSES.read_text())
CONFIGS = [name for name in config_names() if "/" not in name]


def test_every_config_has_golden_losses():
    assert sorted(GOLDEN["losses"]) == sorted(CONFIGS)


@pytest.mark.parametrize("config", CONFIGS)
def test_config_trains_to_its_golden_losses(config, fashion_root, did):
    data_class = yaml.safe_load(find_config(config).read_text())["data"]["class_path"]
    did("fit", *flags(config, data_class, fashion_root))
    found, golden = losses(Path("lightning_logs", config, "version_0")), GOLDEN["losses"][config]
    assert len(found["first"]) == 20
    if machine() == GOLDEN["machine"]:
        assert found == golden  # to the bit
    else:
        assert found["end"].keys() == golden["end"].keys()
        pairs = zip([*found["first"], *found["end"].values()], [*golden["first"], *golden["end"].values()], strict=True)
        assert [pair for pair in pairs if not math.isclose(*pair, rel_tol=1e-5, abs_tol=1e-7)] == []
