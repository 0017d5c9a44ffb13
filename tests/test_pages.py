"""Each command on the pages in docs/ does what it says, and what they say of files and messages is so."""

import fnmatch
import json
import os
import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest
import torch
from tests import wheel
from tests.conftest import write_fashion_mnist
from torchvision.transforms.v2.functional import to_pil_image

import firstlight as package
from firstlight.engine.cli.commands import COMMANDS
from firstlight.engine.command.configs import config_names
from firstlight.engine.runs.folders import Run
from firstlight.engine.runs.locks import lock_run

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ALL = sorted(path.name for path in DOCS.glob("*.md"))
PAGES = ("json.md", "schedules.md")  # each command by itself
SCRIPTS = (
    "export.md",
    "your-own-model.md",
    "your-own-pictures.md",
    "your-own-project.md",
)  # from top to bottom, in a shell
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(page):
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page):
    """Return the blocks of a page, each with its language."""
    return BLOCK.findall(text_of(page))


def cells(page, heading):
    """Return what is marked as code in the first column of the table below a heading."""
    section = text_of(page).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {
        name for row in re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE) for name in re.findall("`([^`]+)`", row)
    }


def script(page):
    """Return a page as a shell script: it writes the files that are named and runs all else."""
    lines = ["set -euo pipefail", 'pip() { python -m pip "$@"; }']
    for language, text in blocks(page):
        if named := re.match(r"# (add to )?([\w./-]+\.\w+)\n", text):
            lines += [f"cat {'>>' if named[1] else '>'} {named[2]} <<'END'", f"{text}END"]
        elif language == "python":
            lines += ["python - <<'END'", f"{text}END"]
        elif not language:
            lines.append(text)
    return "\n".join(lines)


@pytest.mark.parametrize("page", ALL)
def test_page_has_at_most_150_lines(page):
    assert len(text_of(page).splitlines()) <= 150


@pytest.mark.parametrize("page", ALL)
def test_every_file_that_a_page_links_to_exists(page):
    files = [link.partition("#")[0] for link in re.findall(r"(?<=\]\()[^)]+", text_of(page)) if "://" not in link]
    assert [file for file in files if not (DOCS / file).exists()] == []


def test_every_page_is_in_the_list_of_pages():
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", text_of("README.md"))) == set(ALL) - {"README.md"}


@pytest.mark.parametrize("page", ALL)
def test_every_command_and_config_that_a_page_names_is_known(page):
    code = "\n".join([text for language, text in blocks(page) if language != "text"])
    code += "\n".join(re.findall(r"`([^`\n]+)`", BLOCK.sub("", text_of(page))))
    assert set(re.findall(r"(?<!from )(?<!import )\bfirstlight ([a-z]\w*)", code)) - {*COMMANDS} == set()
    own = {"small_mlp", "spirals"}  # configs of a project of one's own
    assert set(re.findall(r"--config[ =]([\w/]+)(?!\S*\.)", code)) - {*config_names()} - own == set()


def test_reference_has_every_field_and_file_of_a_run_and_every_variable(did):
    page = "files-and-variables.md"
    for command in ("fit", "validate", "test", "predict"):
        did(command, "--config", "linear_regression", *QUICK)
    folder = Path("lightning_logs/linear_regression/version_0")
    receipt = json.loads((folder / "run.json").read_text())
    assert cells(page, "run.json") == receipt.keys()
    conditions = {"versions", "git", "device", "processor", "threads", "processes", "data"}
    assert [entry.keys() for entry in receipt["history"]] == 4 * [conditions | {"command", "start"}]
    patterns = cells(page, "The folder of a run")
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {name for name in written if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)} == set()
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert cells(page, "Environment variables") == set(re.findall(r"\bFIRSTLIGHT_[A-Z]+", source))


def test_reference_has_every_public_name():
    named = re.findall(r"^\.\. auto\w+:: firstlight\.(\w+)$", text_of("reference.rst"), re.MULTILINE)
    modules = {"errors", "functional", "gallery", "gradients", "plots"}
    assert sorted({*named} - modules) == sorted({*package.__all__} - {"__version__"})
    assert {*named} >= modules


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Return an environment variable PATH with the wheel installed, and the packages of this environment."""
    command = wheel.install(tmp_path_factory.mktemp("wheel"))
    return f"{Path(command('python')).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.slow
@pytest.mark.parametrize("page", SCRIPTS)
def test_page_runs_from_top_to_bottom(page, environment, tmp_path):
    write_fashion_mnist(tmp_path / "fashion")
    variables = {"PATH": environment, "FIRSTLIGHT_DATA": str(tmp_path / "fashion"), "OMP_NUM_THREADS": "1"}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        ["bash"], input=script(page), env=inherited | variables, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_wheel_trains_tests_and_loads_in_an_environment_of_its_own():
    wheel.main([])


NET = """
import torch
from firstlight import Classification


class LeafNet(Classification):
    def __init__(self, lr: float = 0.1):
        super().__init__(10, lr)
        self.net = torch.nn.Linear(100, 10)

    def forward(self, x):
        return self.net(x.flatten(1))
"""


def test_troubleshooting_quotes_real_messages(firstlight, did, fashion_root, tmp_path, monkeypatch):
    found = re.findall("^error: .*", text_of("troubleshooting.md"), re.MULTILINE)
    unseen = {re.sub(r"\d+", "0", line) for line in found if "downloaded" not in line}  # numbers are the example's
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(fashion_root))
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "leaf_nets")
    monkeypatch.syspath_prepend(tmp_path)
    Path("leaf_nets.py").write_text(NET)

    def fails(*words):
        answer = firstlight(*words)
        assert answer.status in (1, 2)
        line = answer.err.partition("error: ")[2].splitlines()[0].replace(socket.gethostname(), "mybox")
        unseen.remove(re.sub(r"\d+", "0", f"error: {line}"))

    fails("fit", "--config", "mlp", "--trainer.max_epoch", "3")
    fails(
        "fit", "--config", "mlp", "--model.lr=1e9", "--name=nan", "--trainer.log_every_n_steps=2", "--data.repeats=10"
    )
    fails("test", "--run", "nan")
    fails("fit", "--config", "softmax_regression", "--model.num_classes", "3")
    fails("fit", "--config", "mlp", "--model", "LeafNet")
    fails("fit", "--config", "mlp", "--model", "LeafNett")
    did("fit", "--config", "linear_regression", "--name", "two", *QUICK)
    fails("fit", "--resume", "two", "--data.seed=3", "--trainer.max_epochs=5")
    with lock_run(Run(Path("lightning_logs/two/version_0"))):
        fails("fit", "--resume", "two", "--trainer.max_epochs=5")
    monkeypatch.setenv("RANK", "3")
    fails("fit", "--config", "mlp")
    assert unseen == set()


LINES = {line: None for page in PAGES for language, text in blocks(page) if not language for line in text.splitlines()}
QUICK = ("--pictures=none", "--data.batch_size=250")


@pytest.mark.parametrize("command", LINES)
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


@pytest.mark.slow
def test_page_on_comparisons_runs_from_top_to_bottom(did, tmp_path, monkeypatch):
    write_fashion_mnist(tmp_path / "fashion")
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(tmp_path / "fashion"))
    program = 'firstlight() { printf "%q " firstlight "$@"; echo; }; mv() { printf "%q " mv "$@"; echo; }\n'
    program += "".join(text for language, text in blocks("compare-runs.md") if not language)
    lines = subprocess.check_output(["bash", "-e"], input=program, text=True).splitlines()
    for line in lines:  # with all loops and braces written out
        name, *words = shlex.split(line)
        if name == "firstlight":
            did(*words)
        else:
            subprocess.run([name, *words], check=True)
    assert len(lines) > 20
    assert len(list(Path("lightning_logs").glob("*/version_*"))) == 4


@pytest.fixture
def own_files():
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


@pytest.mark.slow
def test_page_on_data_of_ones_own_runs_from_top_to_bottom(own_files, did, monkeypatch):
    for language, text in blocks("your-own-data.md"):
        if named := re.match(r"# (\w+\.\w+)\n", text):
            Path(named[1]).write_text(text)
        elif language == "python":
            exec(text, {})
        for line in [] if language else text.splitlines():
            program, *words = shlex.split(line)
            if program == "firstlight":
                did(*words)
                continue
            assert program == "export"
            for name, value in (word.split("=") for word in words):
                monkeypatch.setenv(name, value)
                if name == "PYTHONPATH":  # what Python does as it starts
                    monkeypatch.syspath_prepend(value)
    assert {path.name for path in Path("lightning_logs").iterdir()} >= {"image_folder", "table", "width", "waves"}
    assert len(Path("lightning_logs/image_folder/version_1/predictions.csv").read_text().splitlines()) == 1 + 21
