"""``predict`` for files: what is done to them, what is skipped, and where the predictions go."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from torchvision.transforms.v2.functional import to_pil_image

from firstlight import load
from firstlight.engine.command import evaluation

MLP = ("--config=mlp", "--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--data.batch_size=6", "--pictures=none")
TABLE = ("--config=own/table", "--model.num_features=2", "--trainer.max_epochs=2", "--data.fold=1")


def rows(path):
    return list(csv.DictReader(Path(path).read_text().splitlines()))


@pytest.fixture
def clothes(did, fashion_root):
    """Train on images that are gone afterwards, and return those of the test split as files, in order."""
    did("fit", *MLP, f"--data.root={fashion_root}")
    did("predict", "--output=expected.csv")
    data = load().data
    data.setup("test")
    for number, image in enumerate(data.test[0]):
        Path("pictures").mkdir(exist_ok=True)
        to_pil_image(image).save(f"pictures/{number:02}.png")
    shutil.rmtree(fashion_root)
    return rows("expected.csv")


def test_images_are_predicted_as_those_of_the_test_split(did, clothes):
    out = did("predict", "--run", "mlp", "pictures")
    assert "files: 20 examples\npredictions: lightning_logs/mlp/version_0/predictions.csv (20 examples)\n" in out
    found = rows("lightning_logs/mlp/version_0/predictions.csv")
    assert [row.pop("file") for row in found] == [f"pictures/{number:02}.png" for number in range(20)]
    assert {row.pop("row") for row in found} == {"1"}
    for row, other in zip(found, clothes, strict=True):
        assert (row["class"], row["name"]) == (other["class"], other["name"])
        assert float(row["probability"]) == pytest.approx(float(other["probability"]), abs=1e-6)


def test_files_are_predicted_in_parts_as_at_once(firstlight, clothes, monkeypatch):
    Path("pictures/07.png").write_text("no image")
    sizes = []
    predict = Trainer.predict
    monkeypatch.setattr(
        Trainer,
        "predict",
        lambda self, *_, datamodule, **how: (
            sizes.append(len(datamodule.test[0])),
            predict(self, *_, datamodule=datamodule, **how),
        ),
    )
    ended = firstlight("predict", "--run", "mlp", "pictures", "--data.batch_size=1", "--output=whole.csv")
    monkeypatch.setattr(evaluation, "PART", 3 * 784)
    again = firstlight("predict", "--run", "mlp", "pictures", "--data.batch_size=1", "--output=parts.csv")
    assert sizes == [19, 4, 4, 4, 4, 3]
    assert Path("parts.csv").read_text() == Path("whole.csv").read_text()
    assert (again.status, again.err) == (ended.status, ended.err)
    assert ended.status == 1
    assert [row["class"] for row in rows("parts.csv")] == [row["class"] for row in clothes[:7] + clothes[8:]]


def test_what_is_done_to_images_is_said(did, clothes):
    image = torch.zeros(3, 40, 30, dtype=torch.uint8)
    image[0] = 200
    to_pil_image(image).save("red.jpg")
    out = did("predict", "red.jpg", "pictures/03.png", "--output=two.csv")
    assert "files: 2 examples; 1 resized to 28x28 and made grey\npredictions: two.csv (2 examples)\n" in out


def test_damaged_files_are_named_and_skipped_and_the_others_predicted(firstlight, clothes):
    Path("pictures/04.png").write_text("no image")
    Path("pictures/05.png").rename(os.fsdecode(b"pictures/\xff.png"))
    Path("pictures/readme.txt").write_text("what a folder may hold beside images")
    status, _, err = firstlight("predict", "pictures", "--output=found.csv")
    assert status == 1
    assert err.splitlines() == [
        "skipped: pictures/04.png cannot be read as an image: cannot identify image file",
        "error: files that were skipped: 1; the predictions are those of all others",
    ]
    assert len(found := rows("found.csv")) == 19
    assert found[-1]["file"] == "pictures/\\udcff.png"  # such a name is no text
    assert json.loads(Path("lightning_logs/mlp/version_0/run.json").read_text())


def test_nothing_to_predict_for_is_an_error(complaint, clothes):
    Path("empty").mkdir()
    assert complaint("predict", "gone.png") == (2, "there is no file or folder gone.png to predict for")
    assert complaint("predict", "empty")[1].startswith("there is nothing to predict for: no .jpg, ")
    Path("table.csv").write_text("a\n1\n")
    assert complaint("predict", "table.csv")[1].startswith("there is nothing to predict for: table.csv cannot be read")


def test_weights_of_no_run_can_predict_too(did, clothes):
    shutil.copy("lightning_logs/mlp/version_0/checkpoints/best.ckpt", "mine.ckpt")
    did("predict", "--config=mlp", "--ckpt_path=mine.ckpt", "pictures/00.png", "--output=found.csv")
    assert len(rows("found.csv")) == 1


@pytest.mark.slow
def test_two_processes_predict_each_file_once(clothes):
    words = ["predict", "pictures", "--config=presets/ddp", "--run=mlp", "--output=found.csv", "--data.batch_size=6"]
    subprocess.run([sys.executable, "-m", "firstlight", *words], check=True, capture_output=True)
    assert [row["file"] for row in rows("found.csv")] == [f"pictures/{number:02}.png" for number in range(20)]


def test_output_is_a_file_of_predict(complaint):
    assert complaint("test", "--output=x.csv") == (2, "--output belongs to predict")
    assert complaint("predict", "--output=.") == (2, "--output .: this is a folder, not a file")


def test_without_files_it_says_that_it_took_the_test_split(did, fashion_root):
    did("fit", *MLP, f"--data.root={fashion_root}")
    assert "predictions.csv (20 examples of the test split)\n" in did("predict")


@pytest.fixture
def points():
    """Write a table whose rows are of three classes by the sum of their features."""
    random = torch.Generator().manual_seed(0)
    features = (torch.randn(60, 2, generator=random) * 100 + 1000).tolist()
    lines = [f"{a},{b},{'abc'[(a + b > 1900) + (a + b > 2100)]}" for a, b in features]
    Path("table.csv").write_text("\n".join(["width,height,target", *lines]))
    return features


def test_rows_of_a_table_are_standardized_as_in_training(did, points):
    did("fit", *TABLE)
    did("predict", "--output=expected.csv")
    data = load().data
    data.setup("test")
    lines = ["height,other,width", *(f"{b},x,{a}" for a, b in data.test[0].tolist())]
    Path("points.csv").write_text("\n".join(lines))
    Path("table.csv").unlink()
    did("predict", "points.csv")
    found, expected = rows("lightning_logs/table/version_0/predictions.csv"), rows("expected.csv")
    assert [row["row"] for row in found] == [str(number) for number in range(1, 13)]
    assert [list(row.values())[2:] for row in found] == [list(row.values())[2:] for row in expected]


def test_missing_column_and_nan_are_named(did, complaint, points):
    did("fit", *TABLE)
    Path("points.csv").write_text("width\n1\n")
    assert "points.csv has no column 'height'" in complaint("predict", "points.csv")[1]
    Path("points.csv").write_text("width,height\n1,2\n1,nan\n")
    assert "points.csv, line 3: height is 'nan', not a finite number" in complaint("predict", "points.csv")[1]
