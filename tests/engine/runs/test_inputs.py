"""``load(...).predict``: files and arrays, for a trained model."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from firstlight import load
from firstlight.engine.runs.inputs import read_inputs
from firstlight.errors import DataError, UsageError

FIT = ("fit", "--config=mlp", "--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--data.batch_size=6")


@pytest.fixture
def trained(did, fashion_root):
    did(*FIT, f"--data.root={fashion_root}", "--pictures=none")
    return load("mlp")


def test_arrays_of_bytes_and_of_floats_and_files_are_predicted_alike(trained):
    images = torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8)
    for number, image in enumerate(images):
        to_pil_image(image).save(f"{number}.png")
    expected = trained.model(images / 255).softmax(1).max(1)
    for inputs in (images, images.numpy(), images / 255, [f"{number}.png" for number in range(3)]):
        found = trained.predict(inputs)
        torch.testing.assert_close(found["probability"], expected.values)
        assert torch.equal(found["class"], expected.indices)
        assert found["name"] == [trained.data.classes[number] for number in found["class"]]
        assert found.keys() == {"class", "probability", "name"}
    torch.testing.assert_close(trained.predict(images[:, 0])["probability"], expected.values)
    with Image.open("1.png") as image:
        for one in (Path("1.png"), image, [image]):
            torch.testing.assert_close(trained.predict(one)["probability"], expected.values[1:2])
        assert image.getpixel((0, 0)) == images[1, 0, 0, 0]  # it is still open


@pytest.mark.parametrize("shape", [(28, 28), (2, 784), (2, 3, 28, 28), (2, 28, 27)])
def test_array_of_another_shape_is_refused(shape, trained):
    message = f"^the inputs have the shape {re.escape(str(shape))}: expected \\(examples, 1, 28, 28\\)$"
    with pytest.raises(UsageError, match=message):
        trained.predict(torch.zeros(shape))


def test_damaged_file_is_an_error(trained):
    Path("damaged.png").write_text("no image")
    Path("folder").mkdir()
    to_pil_image(torch.zeros(1, 28, 28, dtype=torch.uint8)).save("black.png")
    with pytest.raises(DataError, match=r"^damaged\.png cannot be read as an image: cannot identify image file$"):
        trained.predict(["black.png", "damaged.png"])
    with pytest.raises(DataError, match=r"^there is nothing to predict for: no \.jpg, "):
        trained.predict("folder")


def test_data_that_cannot_read_files_says_so(did):
    did("fit", "--config=autograd_cubic", "--trainer.max_epochs=1", "--data.num_points=30", "--pictures=none")
    trained = load()
    with pytest.raises(UsageError, match=r"^Sine does not say how to read points\.csv: it has no read_file$"):
        trained.predict("points.csv")
    with pytest.raises(DataError, match=r": no file, as Sine has no file_suffixes, in the folders$"):
        trained.predict(".")
    x = torch.linspace(-1, 1, 5)[:, None]
    assert torch.equal(trained.predict(x)["prediction"], trained.model(x))
    with pytest.raises(UsageError, match=r"but the run was trained with no data module$"):
        trained._replace(data=None).predict("points.csv")
    assert torch.equal(trained._replace(data=None).predict(x)["prediction"], trained.model(x))


def test_files_are_read_in_parts_of_a_size(trained):
    Path("black").mkdir()
    for number in range(8):
        to_pil_image(torch.zeros(1, 28, 28, dtype=torch.uint8)).save(f"black/{number}.png")
    Path("black/2.png").write_text("no image")
    trained.data.batch_size = 1  # and four times as many in evaluation
    parts = list(read_inputs(trained.data, ["black"], part=3 * 784))
    assert [[place[6] for place, _ in part.places] for part in parts] == [[*"0134"], [*"567"]]
    assert [len(part.x) for part in parts] == [4, 3]
    assert len(parts[-1].skipped) == 1
