import json
import os
from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2.functional import to_pil_image

from firstlight import ImageFolder, load
from firstlight.engine.runs.inputs import read_inputs
from firstlight.errors import DataError

FIT = ("fit", "--config=own/image_folder", "--trainer.max_epochs=2", "--trainer.accelerator=cpu", "--data.batch_size=7")


def write_images(folder, count, first=0):
    """Write images whose every value is their number."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        to_pil_image(torch.full((3, 5, 6), number, dtype=torch.uint8)).save(f"{folder}/{number:03}.png")


@pytest.fixture(autouse=True)
def images():
    write_images("images/cat", 20)
    write_images("images/dog", 20, first=100)


def values(split):
    return {int(image[0, 0, 0]) for image, _ in split}


def made(**arguments):
    data = ImageFolder(size=4, **arguments)
    data.setup("fit")
    return data


def test_every_image_is_in_one_split_under_the_class_of_its_folder():
    data = made()
    assert data.classes == ("cat", "dog")
    assert [len(split) for split in (data.train, data.val, data.test)] == [32, 4, 4]
    assert values(data.train) | values(data.val) | values(data.test) == {*range(20), *range(100, 120)}
    x, y = next(iter(data.train_dataloader()))
    assert x.shape == (32, 3, 4, 4)
    assert torch.equal((x[:, 0, 0, 0] * 255 >= 99).long(), y)


def test_ends_of_names_of_other_images_are_known(images):
    Path("images/cat/000.png").rename("images/cat/000.jfif")
    Path("images/cat/001.png").rename("images/cat/001.GIF")
    assert values(made().train) | values(made().val) | values(made().test) == {*range(20), *range(100, 120)}


def test_what_macos_hides_in_a_folder_is_no_image_and_no_class():
    for name in ("images/cat/._001.png", "images/__MACOSX/cat/._001.png", "images/.cache/x.png", "more/._001.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"no image")
    data = made()
    assert data.classes == ("cat", "dog")
    assert len(data.train) + len(data.val) + len(data.test) == 40
    write_images("more", 1)
    assert [str(path) for part in read_inputs(data, ["more"]) for path, _ in part.places] == ["more/000.png"]


def test_split_is_a_function_of_the_seed_and_the_test_split_of_nothing_else():
    assert values(made().val) == values(made().val) != values(made(seed=1).val)
    assert values(made().test) == values(made(val_fraction=0.3, fold=1).test)


def test_folds_share_out_what_is_not_for_testing():
    folds = [made(fold=fold, num_folds=3) for fold in range(3)]
    held_out = [values(data.val) for data in folds]
    assert sum(map(len, held_out)) == len(set.union(*held_out)) == 36
    assert not set.union(*held_out) & values(folds[0].test)


def test_subfolders_named_after_splits_are_the_splits():
    write_images("parts/train/cat", 6)
    write_images("parts/train/dog", 6, first=100)
    write_images("parts/test/dog", 2, first=200)
    data = made(root="parts", grey=True, val_fraction=0.25)
    assert [len(split) for split in (data.train, data.val, data.test)] == [9, 3, 2]
    assert [label for _, label in data.test] == [1, 1]
    assert data.test[0][0].shape == (1, 4, 4)
    write_images("parts/test/cow", 1)
    with pytest.raises(DataError, match=r"^parts/test/cow is not a class of the training images: cat, dog$"):
        made(root="parts")


def test_damaged_image_ends_a_run_with_its_name_also_in_a_worker(complaint):
    Path("images/cat/003.png").write_text("no image")
    for workers in (0, 1):
        status, message = complaint(*FIT, f"--data.num_workers={workers}")
        assert status == 1
        assert message.startswith("images/cat/003.png cannot be read as an image: ")


def test_class_without_an_image_is_named():
    Path("images/owl").mkdir()
    with pytest.raises(DataError, match=r"^images/owl has no image: expected files that end in \.jpg, "):
        made()


def test_class_whose_name_is_no_text_is_refused():
    Path(os.fsdecode(b"images/\xff")).mkdir()
    with pytest.raises(DataError, match=r"^images/\udcff has a name that is not in UTF-8: rename it$"):
        made()


def test_folder_without_classes_and_no_folder_are_named():
    with pytest.raises(DataError, match=r"^images/cat has no subfolders: expected one for each class"):
        made(root="images/cat")
    with pytest.raises(DataError, match=r"^gone cannot be read: No such file or directory; name the folder with"):
        made(root="gone")


def test_too_few_images_to_split_are_refused():
    write_images("few/cat", 3)
    with pytest.raises(DataError, match=r"^3 examples cannot be split with test_fraction 0\.1 and val_fraction 0\.1$"):
        made(root="few")


def test_run_goes_through_every_stage_and_keeps_its_classes(did):
    assert "ok       own/image_folder" in did("check", "own/image_folder")
    did(*FIT)
    did("test")
    did("predict")
    (run,) = Path("lightning_logs/image_folder").iterdir()
    assert json.loads((run / "test.json").read_text()).keys() == {
        "checkpoint",
        "epoch",
        "accuracy/test",
        "loss/test",
        "report",
    }
    assert load().data.classes == ("cat", "dog")  # before setup


def test_other_classes_than_those_of_the_checkpoint_are_refused(did, complaint):
    did(*FIT)
    Path("images/dog").rename("images/wolf")
    assert complaint("test") == (1, "the classes are cat, wolf, but the checkpoint was trained on cat, dog")


def test_number_of_classes_must_be_the_model_s(complaint):
    wrong = complaint(*FIT, "--model.num_classes=3")
    assert wrong == (2, "model.num_classes is 3, but the data have 2 classes: cat, dog")


def test_size_of_an_example_must_be_the_model_s(complaint):
    status, message = complaint(*FIT, "--data.size=8")
    assert status == 2
    assert "an example has 64 numbers where a layer takes 784" in message


def test_link_to_a_folder_above_it_shows_no_image_twice():
    Path("images/cat/again").symlink_to(".")
    data = made()
    assert len(data.train) + len(data.val) + len(data.test) == len(data.train.dataset.targets) == 40


@pytest.mark.parametrize(("names", "misnamed"), [(("train", "valid"), "valid"), (("Train", "Test"), "Test")])
def test_folder_of_a_split_that_would_be_left_out_or_a_class_is_refused(names, misnamed):
    for name in names:
        write_images(f"splits/{name}/cat", 2)
    with pytest.raises(DataError, match=f"^splits/{misnamed} looks like a split: their folders are called train, val"):
        made(root="splits")


def test_classes_may_have_names_of_splits():
    for name in ("valid", "invalid"):
        write_images(f"tickets/{name}", 10)
    assert made(root="tickets").classes == ("invalid", "valid")
