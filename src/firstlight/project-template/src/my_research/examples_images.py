"""Images to begin with: circles and squares, in a folder for each."""

import random
from pathlib import Path

from PIL import Image, ImageDraw


def write(folder: Path, count: int = 60) -> None:
    """Draw images of 16 x 16 pixels into ``folder/shapes/circle`` and ``folder/shapes/square``, the same each time."""
    chance = random.Random(0)
    for kind in ("circle", "square"):
        (folder / "shapes" / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = Image.new("L", (16, 16))
            draw = ImageDraw.Draw(image)
            left, top, size = chance.randint(1, 3), chance.randint(1, 3), chance.randint(9, 11)
            shape = draw.ellipse if kind == "circle" else draw.rectangle
            shape((left, top, left + size, top + size), fill=chance.randint(150, 255))
            image.save(folder / "shapes" / kind / f"{number:02}.png")
