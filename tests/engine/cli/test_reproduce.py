"""``firstlight reproduce``: the same scores, to the bit."""

import json
from pathlib import Path

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")


def test_run_is_reproduced_to_the_bit(did):
    did("fit", *SMALL)
    assert "reproduced: the 2 scores of autograd_cubic/version_0 are bit-identical" in did(
        "reproduce", "autograd_cubic"
    )


def test_run_without_scores_is_not_called_reproduced(did, complaint):
    did("fit", *SMALL)
    receipt = Path("lightning_logs/autograd_cubic/version_0/run.json")
    receipt.write_text(json.dumps(json.loads(receipt.read_text()) | {"scores": [1]}))
    assert complaint("reproduce", "autograd_cubic") == (
        2,
        "lightning_logs/autograd_cubic/version_0 has no scores in its receipt: there is nothing to compare with",
    )
