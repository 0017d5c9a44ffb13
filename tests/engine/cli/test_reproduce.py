"""``firstlight reproduce``: the same scores, to the bit."""

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")


def test_run_is_reproduced_to_the_bit(did):
    did("fit", *SMALL)
    assert "reproduced: the 2 scores of autograd_cubic/version_0 are bit-identical" in did(
        "reproduce", "autograd_cubic"
    )
