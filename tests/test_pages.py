"""Each command on the pages in docs/ does what it says."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2.functional import to_pil_image

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("schedules.md",)  # each command by itself
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    """Return the blocks of a page, each with its language."""
    return BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


COMMANDS = {
    line: None for page in PAGES for language, text in blocks(page) if not language for line in text.splitlines()
}
QUICK = ("--pictures=none", "--data.batch_size=250")


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_a_page_runs(command, did):
    program, verb, *words = shlex.split(re.sub(r"\s+#.*", "", command))
    assert program == "firstlight"
    did(verb, *words, *(QUICK if verb == "fit" else ()))


def test_page_on_loggers_runs_from_top_to_bottom(did):
    lines = [line for language, text in blocks("loggers.md") if not language for line in text.splitlines()]
    for line in lines:
        _, verb, *words = shlex.split(line)
        did(verb, *words, *QUICK)
    assert len(lines) > 5
    assert [path.parts[0] for path in sorted(Path().rglob("metrics.csv"))] == 3 * ["lightning_logs"] + ["logs"]


@pytest.fixture
def own_files(tmp_path, monkeypatch):
    """Write the files that the page on data of one's own speaks of."""
    random = torch.Generator().manual_seed(0)
    for name, level in {"images/cat": 0, "images/dog": 120, "more": 60}.items():
        Path(name).mkdir(parents=True)
        for number in range(20):
            image = level + torch.randint(100, (3, 20, 30), dtype=torch.uint8, generator=random)
            to_pil_image(image).save(f"{name}/{number}.png")
    to_pil_image(image).save("picture.png")
    flowers = torch.randn(40, 2, generator=random).tolist()
    lines = [f"{length},{width},{'iris' if length > 0 else 'rose'}" for length, width in flowers]
    Path("flowers.csv").write_text("\n".join(["length,width,kind", *lines]))
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.slow
def test_page_on_data_of_ones_own_runs_from_top_to_bottom(own_files, did, monkeypatch):
    for language, text in blocks("your-own-data.md"):
        if named := re.match(r"# (\w+\.\w+)\n", text):
            Path(named[1]).write_text(text)
        elif language == "python":
            exec(text, {})
        for line in [] if language else text.splitlines():
            words = shlex.split(line)
            while "=" in words[0]:
                monkeypatch.setenv(*words.pop(0).split("="))
            did(*words[1:])
    assert {path.name for path in Path("lightning_logs").iterdir()} >= {"image_folder", "table", "width", "waves"}
    assert len(Path("lightning_logs/image_folder/version_1/predictions.csv").read_text().splitlines()) == 1 + 21
