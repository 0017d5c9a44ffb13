"""The README says what is true, and its translations say the same."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from docs.tables import END, WORDS, fill, models, translations
from torchvision.transforms.v2.functional import to_pil_image

import firstlight as package
from firstlight.engine.cli.commands import COMMANDS
from firstlight.engine.command.configs import config_names

ROOT = Path(__file__).parents[1]
README, *TRANSLATIONS = ALL = list(WORDS)

BLOCK = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"(?:[\w-]+/)+|[\w-]+\.py\b", re.ASCII)
NUMBER = r"\d+(?:[.,]\d+)*(?:e-\d+)?"


def text(readme):
    return (ROOT / readme).read_text(encoding="utf-8")


def read(readme):
    """Return a README without the tables that programs write into it."""
    return re.sub(f"<!-- make .*?{END}", "", text(readme), flags=re.DOTALL)


def tree():
    """Return the lines of the block that shows where everything is."""
    return next(block for _, block in BLOCK.findall(read("CONTRIBUTING.md")) if block.startswith("src/")).splitlines()


def commands(readme):
    """Return the lines of all blocks, without the comments."""
    lines = []
    for language, block in BLOCK.findall(read(readme)):
        if language == "python":  # the formatter breaks a line where a comment is long, in each language elsewhere
            lines += ast.unparse(ast.parse(block)).splitlines()
        else:
            lines += re.sub(r" {2,}#.*", "", block).splitlines()
    return lines


def prose(readme):
    return BLOCK.sub("", read(readme))


def words(text):
    """Return what is marked as code in a text, in order."""
    return [" ".join(word.split()) for word in re.findall(r"`([^`]+)`", text)]


def links(readme):
    return re.findall(r"(?<=\]\()[^)]+|(?<!\()https?://[^\s,)]+", prose(readme))


@pytest.mark.parametrize("readme", ALL)
def test_readme_has_at_most_150_lines(readme):
    assert len(text(readme).splitlines()) <= 150


def test_citation_and_changelog_name_this_version():
    assert yaml.safe_load(text("CITATION.cff"))["version"] == package.__version__
    assert re.search(r"^## (\S+)", text("CHANGELOG.md"), re.MULTILINE)[1] == package.__version__


@pytest.mark.slow
def test_example_of_the_library_runs_as_it_stands(capfd):
    (example,) = [block for language, block in BLOCK.findall(read(README)) if language == "python"]
    done = subprocess.run([sys.executable, "-W", "ignore"], input=example, text=True, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_commands_of_the_readme_run_one_after_another(did, fashion_root, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(fashion_root))
    Path("configs").symlink_to(ROOT / "configs")
    Path("folder").mkdir()
    for place in ("picture.png", "folder/1.png"):
        to_pil_image(torch.zeros(1, 28, 28)).save(place)
    # no end, 40 trials, 500 epochs, processes of its own, batches larger than the tiny data
    left_out = ("tensorboard", "sweep", "presets/overfit", "presets/ddp", "firstlight check")
    lines = [line for line in commands(README) if line.startswith("firstlight ")]
    assert len(lines) > 15
    for line in lines:
        if not any(part in line for part in left_out):
            did(*shlex.split(line)[1:])


@pytest.mark.parametrize("readme", TRANSLATIONS)
def test_translation_has_the_same_commands(readme):
    assert commands(readme) == commands(README)


@pytest.mark.parametrize("readme", TRANSLATIONS)
def test_translation_marks_the_same_words_as_code(readme):
    assert set(words(prose(readme))) == set(words(prose(README)))


@pytest.mark.parametrize("readme", ALL)
def test_table_of_models_is_what_make_tables_writes(readme):
    assert text(readme) == fill(text(readme), "tables", models(readme)), "make tables"


@pytest.mark.parametrize("readme", TRANSLATIONS)
def test_every_translated_word_is_in_the_table_of_models(readme):
    table = models(readme)
    assert [word for word in translations(readme).values() if word not in table] == []


@pytest.mark.parametrize("readme", TRANSLATIONS)
def test_translation_has_the_same_numbers(readme):
    assert sorted(re.findall(NUMBER, prose(readme))) == sorted(re.findall(NUMBER, prose(README)))


@pytest.mark.parametrize("readme", ALL)
def test_readme_links_to_its_translations_and_otherwise_to_what_all_link_to(readme):
    assert [link for link in links(readme) if link in ALL] == [name for name in ALL if name != readme]
    shared = [link for link in links(README) if link not in ALL]
    assert [link for link in links(readme) if link.partition("#")[0] not in ALL] == shared


@pytest.mark.parametrize("readme", ALL)
def test_every_file_that_is_linked_to_exists(readme):
    files = [link.partition("#")[0] for link in links(readme) if "://" not in link]
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_file_in_the_tree_exists():
    missing, folders = [], {}
    for line in tree():
        indent = len(line) - len(line.lstrip())
        first, *others = FILE.findall(line)
        place = ROOT.joinpath(*(folder for depth, folder in folders.items() if depth < indent))
        folders = {depth: folder for depth, folder in folders.items() if depth < indent} | {indent: first}
        missing += [first] * (not (place / first).exists())
        missing += [name for name in others if not ((place / name).exists() or (place / first / name).exists())]
    assert missing == []


def test_every_preset_is_in_the_tree():
    (line,) = (line for line in tree() if "presets/" in line)
    named = line.partition("on top:")[2].split()
    assert {f"presets/{name}" for name in named} == {name for name in config_names() if name.startswith("presets/")}


@pytest.mark.parametrize("readme", ALL)
def test_every_command_is_one_of_the_command_line(readme):
    code = "\n".join([*commands(readme), *words(prose(readme))])
    named = re.findall(r"(?<!from )\bfirstlight ([a-z]\w*)", code, re.ASCII)
    assert set(named) - {*COMMANDS} == set()
    assert {"fit", "test", "new"} <= set(named)


@pytest.mark.parametrize("readme", ALL)
def test_every_config_that_is_named_is_known(readme):
    code = "\n".join([*commands(readme), *words(prose(readme)), *re.findall(r"CONFIG=\w+", read(readme), re.ASCII)])
    named = re.findall(r"(?:--config[ =]|CONFIG=)([\w./-]+)", code)
    examples = {"NAME", "my_config.yaml"}  # what stands for a name, or for a file of the reader's own
    assert set(named) - {*config_names()} - examples == set()
    assert {"mlp", "presets/overfit"} <= set(named)
