import struct

import pytest

from firstlight.data.idx import read_idx
from firstlight.errors import DataError


def test_bytes_are_read_in_the_shape_that_the_header_says(tmp_path):
    file = tmp_path / "images"
    file.write_bytes(struct.pack(">4I", 0x0803, 2, 3, 4) + bytes(range(24)))
    images = read_idx(file, 3, 4)
    assert images.shape == (2, 3, 4)
    assert images[1, 2].tolist() == [20, 21, 22, 23]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), "begins with 0x00000803, not 0x00000801"),
        ((3,), "begins with 0x00000803, not 0x00000802"),
        ((4, 3), r"holds 1 items of shape \(3, 4\); expected \(4, 3\)"),
    ],
)
def test_items_of_another_shape_are_refused(shape, message, tmp_path):
    file = tmp_path / "images"
    file.write_bytes(struct.pack(">4I", 0x0803, 1, 3, 4) + bytes(12))
    with pytest.raises(DataError, match=message):
        read_idx(file, *shape)
