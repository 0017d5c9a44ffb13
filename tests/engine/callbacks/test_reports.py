"""What a report adds up, against formulas and torchmetrics."""

import pytest
import torch
from lightning.pytorch import LightningModule
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.functional.classification import multiclass_calibration_error

from firstlight.engine.callbacks import Report, reports

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")
LOGITS = 3 * torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(60) % 3  # nothing is of class 3


class Reported(LightningModule):
    """A model of somebody's own: its outputs are its inputs."""

    calls = 1

    def forward(self, x):
        return x

    def test_step(self, batch, batch_idx):
        for _ in range(self.calls):
            self.forward(batch[0])


class ReportedTwice(Reported):
    calls = 2


class NeverReported(Reported):
    calls = 0


@pytest.fixture
def report_of(quick_trainer):
    def score(x, y, model=None, batch_size=7):
        report = Report()
        model = model or Reported()
        loader = DataLoader(TensorDataset(x, y), batch_size)
        quick_trainer(callbacks=[report]).test(model, loader, verbose=False)
        assert "forward" not in vars(model)
        return report.found

    return score


@pytest.mark.parametrize("outputs", [LOGITS, LOGITS.log_softmax(1), LOGITS.softmax(1)], ids=["logits", "log", "p"])
def test_report_of_classes_agrees_with_formulas(report_of, outputs, monkeypatch):
    monkeypatch.setattr(reports, "CHUNK", 50)
    found = report_of(outputs, CLASSES)
    p = LOGITS.double().softmax(1)
    guess = p.argmax(1)
    calibration = float(multiclass_calibration_error(p, CLASSES, 4, n_bins=15))
    assert found["examples"] == 60
    assert found["negative_log_likelihood"] == pytest.approx(float(torch.nn.functional.nll_loss(p.log(), CLASSES)))
    assert found["brier_score"] == pytest.approx(float((p - torch.eye(4)[CLASSES]).square().sum(1).mean()))
    assert found["expected_calibration_error"] == pytest.approx(calibration)
    for number, row in enumerate(found["classes"]):
        hits = int(((guess == number) & (number == CLASSES)).sum())
        guessed, there = int((guess == number).sum()), int((number == CLASSES).sum())
        assert row == {
            "class": str(number),
            "precision": pytest.approx(hits / max(guessed, 1)),
            "recall": pytest.approx(hits / max(there, 1)),
            "f1": pytest.approx(2 * hits / max(guessed + there, 1)),
            "examples": there,
        }


def test_report_of_numbers_agrees_with_formulas(report_of):
    y = LOGITS[:, :1] + 0.1 * LOGITS[:, 1:2]
    residual, spread = LOGITS[:, :1] - y, y - y.mean()
    expected = {
        "examples": 60,
        "mae": float(residual.abs().mean()),
        "rmse": float(residual.square().mean().sqrt()),
        "r2": 1 - float(residual.square().sum() / spread.square().sum()),
    }
    assert report_of(LOGITS[:, :1], y) == pytest.approx(expected)
    assert report_of(LOGITS[:, 0], y[:, 0]) == pytest.approx(expected)


def test_processes_with_shares_report_the_same_as_one(report_of, monkeypatch):
    whole = [report_of(LOGITS, CLASSES), report_of(LOGITS[:, 0], LOGITS[:, 1])]
    kept = []
    monkeypatch.setattr(reports, "gather_objects", lambda part: kept.append(part) or [{}])
    for share in (slice(0, 20), slice(20, 60)):
        report_of(LOGITS[share], CLASSES[share])
        report_of(LOGITS[share, 0], LOGITS[share, 1])
    for number, expected in enumerate(whole):
        monkeypatch.setattr(reports, "gather_objects", lambda _, n=number: [kept[n], {}, kept[n + 2]])
        found = report_of(LOGITS, CLASSES)
        for key in ("reliability", "classes"):
            for row, other in zip(found.pop(key, []), expected.pop(key, []), strict=True):
                assert row == pytest.approx(other)
        assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("x", "y", "model"),
    [
        (LOGITS, CLASSES, ReportedTwice),
        (LOGITS, CLASSES, NeverReported),
        (LOGITS, CLASSES - 1, Reported),
        (LOGITS[:, 0], CLASSES, Reported),
        (LOGITS[:, 0], (CLASSES > 0).float(), Reported),
        (LOGITS / 0, CLASSES, Reported),
        (LOGITS, LOGITS[:, :3], Reported),
    ],
    ids=["two calls", "no call", "ignored targets", "one output", "only 0 and 1", "not finite", "other shape"],
)
def test_unclear_outputs_have_no_report(report_of, x, y, model):
    assert report_of(x, y, model()) is None
