import torch
from torch import nn

from firstlight.augmentation import RandomShift


def test_shifted_image_is_a_window_on_it_and_zeros_around():
    torch.manual_seed(0)
    images = torch.arange(1.0, 19).view(1, 2, 3, 3).expand(500, 2, 3, 3)
    framed = nn.functional.pad(images, (1, 1, 1, 1))
    windows = [framed[0, :, row : row + 3, column : column + 3] for row in range(3) for column in range(3)]
    counts = torch.zeros(9)
    for image in RandomShift(0.5)(images):
        counts += torch.tensor([torch.equal(image, window) for window in windows])
    assert counts.sum() == 500
    expected = torch.full((9,), 500 / 18)
    expected[4] += 500 / 2  # as it was
    torch.testing.assert_close(counts, expected, rtol=0.3, atol=12)
