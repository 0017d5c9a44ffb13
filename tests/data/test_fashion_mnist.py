import struct

import pytest
import torch
from lightning.pytorch import Callback

from firstlight import FashionMNIST, SoftmaxRegression
from firstlight.errors import DataError

FILES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


@pytest.fixture
def raw(fashion_root):
    """Return the folder with the four files."""
    return fashion_root / "FashionMNIST" / "raw"


def ready(root, stage="fit", **arguments):
    data = FashionMNIST(str(root), **arguments)
    data.prepare_data()
    data.setup(stage)
    return data


def idx(magic, *sizes, fill=b"\0"):
    """Return an IDX file of equal bytes."""
    return struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + fill * torch.Size(sizes).numel()


def test_test_images_and_labels_are_those_of_the_files(fashion_root, raw):
    images, labels = ready(fashion_root, "test").test
    assert images.shape == (20, 1, 28, 28)
    assert images.numpy().tobytes() == (raw / FILES[2]).read_bytes()[16:]
    assert bytes(labels.tolist()) == (raw / FILES[3]).read_bytes()[8:]


def test_training_and_validation_images_are_all_and_none_twice(fashion_root, raw):
    data = ready(fashion_root)
    pixels, labels = (raw / FILES[0]).read_bytes()[16:], (raw / FILES[1]).read_bytes()[8:]
    expected = [(pixels[784 * i : 784 * (i + 1)], labels[i]) for i in range(60)]
    train, val = (
        [(bytes(image.flatten().tolist()), int(label)) for image, label in zip(*split, strict=True)]
        for split in (data.train, data.val)
    )
    assert (len(train), len(val)) == (54, 6)
    assert sorted(train + val) == sorted(expected)
    assert len(set(expected)) == 60


def test_held_out_images_depend_on_the_seed_and_on_nothing_else(fashion_root):
    first = ready(fashion_root, seed=1)
    torch.manual_seed(7)
    second, other = ready(fashion_root, "validate", seed=1), ready(fashion_root, seed=2)
    assert torch.equal(first.val[0], second.val[0])
    assert not torch.equal(first.val[0], other.val[0])


@pytest.mark.parametrize(("val_fraction", "held_out"), [(0.25, 15), (1 / 60, 1), (59 / 60, 59)])
def test_val_fraction_is_the_share_that_is_held_out(val_fraction, held_out, fashion_root):
    data = ready(fashion_root, val_fraction=val_fraction)
    assert (len(data.val[0]), len(data.train[0])) == (held_out, 60 - held_out)


@pytest.mark.parametrize("val_fraction", [0.001, 0.999])
def test_a_split_without_images_is_refused(val_fraction, fashion_root):
    with pytest.raises(DataError, match=f"60 images cannot be split with val_fraction {val_fraction}"):
        ready(fashion_root, val_fraction=val_fraction)


@pytest.mark.parametrize(("precision", "dtype"), [("32-true", torch.float), ("64-true", torch.double)])
def test_a_model_sees_grey_values_from_0_to_1(precision, dtype, fashion_root, quick_trainer):
    seen = []

    class Look(Callback):
        def on_test_batch_start(self, trainer, model, batch, batch_idx):
            seen.append(batch)

    data = FashionMNIST(str(fashion_root), batch_size=4)
    quick_trainer(precision=precision, callbacks=[Look()]).test(SoftmaxRegression(), data, verbose=False)
    images, labels = data.test
    assert [len(x) for x, _ in seen] == [16, 4]
    torch.testing.assert_close(torch.cat([x for x, _ in seen]), images.to(dtype) / 255, rtol=0, atol=0)
    assert torch.cat([y for _, y in seen]).tolist() == labels.tolist()


def test_a_loop_without_a_trainer_sees_them_too(fashion_root, quick_trainer):
    data = ready(fashion_root, "test", batch_size=4)
    ((x, y), (x_rest, _)) = data.test_dataloader()
    torch.testing.assert_close(torch.cat([x, x_rest]), data.test[0] / 255, rtol=0, atol=0)
    assert torch.equal(y, data.test[1][:16])
    quick_trainer().test(SoftmaxRegression(), data, verbose=False)
    assert torch.equal(next(iter(data.test_dataloader()))[0], x)  # with or without one, or after it


def test_images_become_numbers_once_and_batch_by_batch(fashion_root, quick_trainer):
    sizes = []

    class Counting(FashionMNIST):
        def convert(self, batch, dtype):
            assert batch[0].dtype == torch.uint8
            sizes.append(len(batch[0]))
            return super().convert(batch, dtype)

    quick_trainer(max_epochs=1, limit_val_batches=0).fit(
        SoftmaxRegression(), Counting(str(fashion_root), batch_size=20)
    )
    assert sizes == [20, 20, 14]


def test_an_epoch_repeats_the_training_images(fashion_root):
    loader = ready(fashion_root, batch_size=10, repeats=3).train_dataloader()
    assert len(loader) == len(list(loader)) == 3 * 6


def test_documented_arguments_are_the_defaults_and_remembered():
    assert FashionMNIST("here").hparams == {
        "root": "here",
        "batch_size": 256,
        "val_fraction": 0.1,
        "repeats": 1,
        "seed": 0,
        "fold": None,
        "num_folds": 5,
        "device_resident": "auto",
    }


def test_classes_have_the_names_of_the_data_set():
    assert FashionMNIST.classes[0] == "T-shirt/top"
    assert FashionMNIST.classes[9] == "Ankle boot"
    assert len(FashionMNIST.classes) == 10


DAMAGES = {
    "empty": (0, b"", "is cut off: 0 bytes"),
    "header-cut": (0, idx(0x0803, 60, 28, 28)[:10], "is cut off: 10 bytes"),
    "header-only": (0, idx(0x0803, 60, 28, 28)[:16], "is damaged: 16 bytes, its header promises 47056"),
    "cut": (0, idx(0x0803, 60, 28, 28)[:-1], "is damaged: 47055 bytes, its header promises 47056"),
    "too-long": (0, idx(0x0803, 60, 28, 28) + b"\0", "is damaged: 47057 bytes, its header promises 47056"),
    "text": (0, b"<html>no such page</html>", "begins with 0x3c68746d, not 0x00000803"),
    "labels-for-images": (0, idx(0x0801, 60), "begins with 0x00000801, not 0x00000803"),
    "small-images": (0, idx(0x0803, 60, 20, 20), "holds 60 items of shape (20, 20); expected (28, 28)"),
    "absurd-count": (0, struct.pack(">4I", 0x0803, 2**31 - 1, 28, 28), "its header promises 1683627179"),
    "labels-empty": (1, b"", "is cut off: 0 bytes"),
    "labels-cut": (1, idx(0x0801, 60)[:-1], "is damaged: 67 bytes, its header promises 68"),
    "images-for-labels": (1, idx(0x0803, 60, 28, 28), "begins with 0x00000803, not 0x00000801"),
    "labels-absurd": (1, struct.pack(">2I", 0x0801, 2**31 - 1), "its header promises 2147483655"),
    "eleventh-class": (1, idx(0x0801, 60)[:-1] + b"\n", "says 10 for image 59; labels go from 0 to 9"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", ["fit", "test"])
def test_a_damaged_file_is_named_and_its_damage_told(part, damage, fashion_root, raw):
    which, content, message = DAMAGES[damage]
    path = raw / FILES[which if part == "fit" else which + 2]
    if part == "test":  # 60 images there too
        for name in (0, 1):
            (raw / FILES[name + 2]).write_bytes((raw / FILES[name]).read_bytes())
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        ready(fashion_root, part)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_files_without_images_are_told(fashion_root, raw):
    (raw / FILES[0]).write_bytes(idx(0x0803, 0, 28, 28))
    (raw / FILES[1]).write_bytes(idx(0x0801, 0))
    with pytest.raises(DataError, match=f"{FILES[0]} is empty: its header promises 0 items"):
        ready(fashion_root)


@pytest.mark.parametrize(("count", "part", "name"), [(59, "fit", FILES[0]), (21, "test", FILES[2])])
def test_counts_that_differ_are_told(count, part, name, fashion_root, raw):
    (raw / name.replace("images-idx3", "labels-idx1")).write_bytes(idx(0x0801, count))
    there = 60 if part == "fit" else 20
    with pytest.raises(DataError, match=f"{name} holds {there} images but .*labels.* {count} labels"):
        ready(fashion_root, part)


@pytest.mark.parametrize(
    ("stage", "missing"), [("fit", FILES[0]), ("fit", FILES[1]), ("test", FILES[2]), ("test", FILES[3])]
)
def test_a_missing_file_is_named(stage, missing, fashion_root, raw):
    (raw / missing).unlink()
    with pytest.raises(DataError, match=f"{missing} cannot be read: No such file or directory"):
        FashionMNIST(str(fashion_root)).setup(stage)


def test_a_folder_for_a_file_is_told(fashion_root, raw):
    (raw / FILES[0]).unlink()
    (raw / FILES[0]).mkdir()
    with pytest.raises(DataError, match=f"{FILES[0]} cannot be read: Is a directory"):
        ready(fashion_root)


def test_root_is_looked_up_in_the_environment_when_data_is_made(monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_DATA", "elsewhere")
    assert FashionMNIST().root == dict(FashionMNIST().hparams)["root"] == "elsewhere"
    assert FashionMNIST("here").root == "here"
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("FIRSTLIGHT_DATA", "~/data")
    assert FashionMNIST().root == FashionMNIST("~/data").root == "/home/me/data"
    monkeypatch.setenv("FIRSTLIGHT_DATA", "")
    assert FashionMNIST().root == "data"
    monkeypatch.delenv("FIRSTLIGHT_DATA")
    assert FashionMNIST().root == dict(FashionMNIST().hparams)["root"] == "data"


def test_a_root_given_as_a_path_is_remembered_as_plain_text(fashion_root):
    assert dict(FashionMNIST(fashion_root).hparams)["root"] == str(fashion_root)
