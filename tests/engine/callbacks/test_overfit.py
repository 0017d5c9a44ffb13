import pytest

CUBIC = (
    "--config",
    "autograd_cubic",
    "--data.num_points=30",
    "--config",
    "presets/overfit",
    "--trainer.max_epochs=200",
)


@pytest.mark.parametrize(
    ("lr", "verdict"),
    [
        ("1e-4", "learned by heart: loss/train "),
        pytest.param("1e-9", "not learned by heart: loss/train ", marks=pytest.mark.slow),
    ],
)
def test_overfit_preset_ends_with_a_verdict_on_the_loss(lr, verdict, did):
    lines = did("fit", *CUBIC, f"--model.lr={lr}").splitlines()
    assert [line for line in lines if "by heart" in line and line.startswith(verdict)], lines


def test_verdict_is_on_the_accuracy_where_there_is_one(did, fashion_root):
    words = ("--config", "mlp", "--config", "presets/overfit", f"--data.root={fashion_root}", "--data.batch_size=20")
    assert "not learned by heart: accuracy/train 0" in did("fit", *words, "--trainer.max_epochs=2")
    learned = did("fit", *words, "--trainer.max_epochs=60", "--model.lr=0.1", "--model.init_std=null")
    assert "\nlearned by heart: accuracy/train 1\n" in learned
    assert [line.split()[1] for line in learned.splitlines() if line.startswith("epoch")] == ["1/60", "60/60"]


def test_last_epoch_has_a_line_wherever_training_ends(did):
    out = did("fit", *CUBIC, "--trainer.max_epochs=1000", "--trainer.max_steps=7", "--data.repeats=1")
    assert [line.split()[1] for line in out.splitlines() if line.startswith("epoch")] == ["1/1000", "7/1000"]
