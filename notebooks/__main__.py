"""Run the notebooks, each in a kernel of its own, and store what they show, without times and versions.

python -m notebooks              all of them, as they are to be published: FIRSTLIGHT_DATA names the real images
python -m notebooks FILE ...     some
"""

import sys
import zlib
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image


def main() -> None:
    """Run the notebooks that were named, or all."""
    for path in map(Path, sys.argv[1:] or sorted(Path(__file__).parent.glob("*.ipynb"))):
        notebook = nbformat.read(path, as_version=4)
        quiet = ["--log-level=ERROR"]
        NotebookClient(notebook, record_timing=False, coalesce_streams=True, extra_arguments=quiet).execute()
        notebook.metadata.language_info = {"name": "python"}  # the kernel adds its version
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.metadata.stored_from = zlib.crc32(cell.source.encode())  # a test asks if the code changed since
                for output in cell.outputs:
                    if "image/png" in output.get("data", {}):
                        output.data["image/png"] = smaller(output.data["image/png"])
        nbformat.write(notebook, path)


def smaller(png: str) -> str:
    """Return a picture with 256 colours, which takes half the room."""
    file = BytesIO()
    Image.open(BytesIO(b64decode(png))).convert("RGB").quantize(256).save(file, "png", optimize=True)
    return b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    main()
