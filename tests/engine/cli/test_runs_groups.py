"""Which runs are a group; ``test_runs.py`` has what is printed of it."""

import pytest

from firstlight.engine.cli.runs import OF_NO_GROUP


@pytest.mark.parametrize(
    ("key", "ignored"),
    {
        "seed_everything": True,
        "data.seed": True,
        "data.fold": True,
        "data.root": True,
        "trainer.logger": True,
        "trainer.default_root_dir": True,
        "data.num_folds": False,
        "data.batch_size": False,
        "model.seed_size": False,
        "trainer.max_epochs": False,
        "trainer.callbacks": False,
    }.items(),
)
def test_group_ignores_seed_fold_and_place_alone(key, ignored):
    assert bool(OF_NO_GROUP.fullmatch(key)) == ignored
