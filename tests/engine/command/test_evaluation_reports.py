"""The report in a run's folder."""

import json
from pathlib import Path

import pytest

from firstlight.engine.command.evaluation import report_text

RUN = Path("lightning_logs/softmax_regression/version_0")
TRAIN = ("fit", "--config=softmax_regression", "--trainer.max_epochs=2", "--pictures=none")


def test_fit_and_test_leave_what_they_leave_one_after_the_other(did, fashion_root):
    train = (*TRAIN, f"--data.root={fashion_root}", "--data.batch_size=25")
    out = did(*train, "--test")
    assert "next:" not in out
    first = [(RUN / name).read_bytes() for name in ("test.json", "report.md", "reliability.png")]
    for name in ("test.json", "report.md", "reliability.png"):
        (RUN / name).unlink()
    text = did("test", "--run=softmax_regression/version_0", "--report")
    assert [(RUN / name).read_bytes() for name in ("test.json", "report.md", "reliability.png")] == first
    report = json.loads(first[0])["report"]
    assert [row["class"] for row in report["classes"]][:2] == ["T-shirt/top", "Trouser"]
    assert sum(row["examples"] for row in report["classes"]) == report["examples"] == 20
    assert report_text(report) in text
    assert report_text(report) in first[1].decode()
    assert "![Accuracy over confidence](reliability.png)" in first[1].decode()
    did("validate", "--report")
    assert "(validate-reliability.png)" in (RUN / "validate-report.md").read_text()
    assert json.loads((RUN / "validate.json").read_text())["report"]["examples"] > 0


@pytest.mark.parametrize(("stage", "flag"), [("fit", "--report"), ("test", "--test"), ("predict", "--report")])
def test_flags_of_other_commands_are_refused(complaint, stage, flag):
    status, message = complaint(stage, "--config=autograd_cubic", flag)
    assert status == 2
    assert message == f"{flag} belongs to {'fit' if flag == '--test' else 'validate, test'}"


def test_report_of_numbers_is_a_table():
    assert report_text({"examples": 3, "mae": 0.25, "r2": 1.0}).splitlines() == [
        "| score    | value |",
        "| -------- | ----- |",
        "| examples | 3     |",
        "| MAE      | 0.25  |",
        "| R2       | 1     |",
    ]
