import pytest

from firstlight import Houses, LearningCurves, LinearRegression, quiet_trainer


def test_scores_of_every_epoch_are_kept_at_their_steps_and_drawn():
    curves, model, data = LearningCurves(), LinearRegression(), Houses(batch_size=250)
    trainer = quiet_trainer(max_epochs=3, callbacks=[curves])
    trainer.fit(model, data)
    assert [*curves.scores] == ["loss"]
    assert {stage: [*values] for stage, values in curves.scores["loss"].items()} == {
        "val": [4, 8, 12],
        "train": [4, 8, 12],
    }
    for stage, values in curves.scores["loss"].items():
        assert values[12] == trainer.callback_metrics[f"loss/{stage}"].item()
    train, val = curves.draw("Houses").axes[0].lines
    assert (train.get_label(), val.get_label()) == ("training", "validation")
    assert list(train.get_ydata()) == pytest.approx(list(curves.scores["loss"]["train"].values()))
