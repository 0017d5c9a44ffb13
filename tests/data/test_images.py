import os
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from firstlight.data.images import read_image, to_floats
from firstlight.errors import DataError


def written(image, name="image.png"):
    to_pil_image(image).save(name)
    return Path(name)


def test_grey_image_of_the_right_size_keeps_every_value():
    image = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    read, change = read_image(written(image), 16, grey=True)
    assert torch.equal(read, image)
    assert change == ""
    assert torch.equal(read_image(written(image), 16, grey=False)[0], image.expand(3, 16, 16))


def test_colour_image_is_made_grey_by_its_luma_and_stretched():
    image = torch.tensor([200, 100, 50], dtype=torch.uint8)[:, None, None].expand(3, 40, 30).contiguous()
    read, change = read_image(written(image), 8, grey=True)
    assert torch.equal(read, torch.full((1, 8, 8), 124, dtype=torch.uint8))  # 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert change == "resized to 8x8 and made grey"
    assert read_image(written(image, "image.jpg"), 8, grey=False)[1] == "resized to 8x8"


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"  # Pillow would run Ghostscript


@pytest.mark.parametrize("content", [b"", b"not an image", EPS, b"\x89PNG\r\n\x1a\n", None])
def test_file_that_is_no_image_is_named(content):
    path = written(torch.zeros(1, 50, 50, dtype=torch.uint8)) if content is None else Path("image.png")
    path.write_bytes(path.read_bytes()[:60] if content is None else content)
    with pytest.raises(DataError, match=r"^image\.png cannot be read as an image: [^\n]+$"):
        read_image(path, 8, grey=True)


def test_image_with_more_than_eight_bits_a_value_is_refused():
    Image.new("I;16", (4, 4), 4000).save("image.png")
    with pytest.raises(DataError, match=r"^image\.png is an image of mode I;16: expected eight bits a value$"):
        read_image(Path("image.png"), 4, grey=True)


def test_photo_is_turned_as_its_camera_noted():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn to the right
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    image[:, 0] = 200  # the first row becomes the last column
    to_pil_image(image).save("photo.png", exif=exif)
    read, _ = read_image(Path("photo.png"), 8, grey=False)
    assert torch.equal(read, image.flip(1).mT)


def test_palette_with_transparency_is_read():
    Image.new("P", (4, 4)).save("image.png", transparency=b"\x00\x10")
    assert read_image(Path("image.png"), 4, grey=False)[0].shape == (3, 4, 4)


def test_pipe_is_refused():
    os.mkfifo("pipe.png")
    with pytest.raises(DataError, match=r"^pipe\.png cannot be read as an image: it is not a regular file$"):
        read_image(Path("pipe.png"), 4, grey=True)


def test_missing_image_is_named():
    with pytest.raises(DataError, match=r"^gone\.png cannot be read as an image: No such file or directory$"):
        read_image(Path("gone.png"), 8, grey=True)


def test_floats_stay_what_they_are():
    assert to_floats(torch.tensor([0, 255], dtype=torch.uint8), torch.float64).tolist() == [0, 1]
    assert to_floats(torch.tensor([0.25, 1]), torch.float64).tolist() == [0.25, 1]
