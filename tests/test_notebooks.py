"""The notebooks run, and what they compute is what the command line computes.

Their cells are executed in this process and not in a kernel: the same code gives the same numbers, warnings are
errors here as everywhere, and five kernels would spend 20 seconds on importing torch. That a kernel runs a notebook
and shows its figures is tested on a small one; what the real ones showed is stored in them.
"""

import ast
import json
import os
import re
import subprocess
import sys
import zlib
from functools import partial
from pathlib import Path

import pytest
import yaml

from firstlight import FashionMNIST

REPOSITORY = Path(__file__).parents[1]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
OF_CONFIGS = [path for path in NOTEBOOKS if "numbers = {" in path.read_text()]  # they end with numbers of configs
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_of_configs = pytest.mark.parametrize("path", OF_CONFIGS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def execute(path):
    """Run a notebook's code, and return the variables that it leaves."""
    variables = {}
    for number, cell in enumerate(code_cells(path), start=1):
        lines = ["" if line.startswith("%") else line for line in cell["source"]]  # magics are the kernel's
        exec(compile("".join(lines), f"{path.name}, cell {number}", "exec"), variables)
    return variables


def config_of(words):
    return (REPOSITORY / "configs" / f"{words.split()[0]}.yaml").read_text()


@pytest.mark.slow
@each_of_configs
def test_notebook_gives_the_numbers_of_the_command_line_to_the_bit(path, did, fashion_root, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr("firstlight.FashionMNIST", partial(FashionMNIST, str(fashion_root)))
    for words, scores in execute(path)["numbers"].items():  # what stands after --config, and scores by name
        config = yaml.safe_load(config_of(words))
        images = ["--data.root", fashion_root] if config["data"]["class_path"] == "FashionMNIST" else []
        did("fit", "--config", *words.split(), "--trainer.accelerator", "cpu", *images)
        did("test", "--config", words.split()[0], "--ckpt_path", "last", "--trainer.accelerator", "cpu", *images)
        (run,) = Path("lightning_logs", words.split()[0]).iterdir()
        receipt, test = (json.loads((run / name).read_text()) for name in ("run.json", "test.json"))
        of_command_line = {**receipt["scores"], **test, "best": receipt["best"]["score"]}
        assert scores == {name: of_command_line[name] for name in scores}, words


@pytest.mark.slow
def test_notebook_on_your_own_data_ends_in_the_same_bits_after_a_stop(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    (path,) = (path for path in NOTEBOOKS if path not in OF_CONFIGS)
    left = execute(path)
    assert all(left["same"])
    assert left["scores"]["accuracy/test"] > 0.95


@each_notebook
def test_notebook_takes_one_thread(path):
    """On a busy machine two threads wait for each other, and a minute becomes ten."""
    first = "".join(code_cells(path)[0]["source"])
    assert "torch.set_num_threads(1)" in first


def test_every_documented_config_is_in_a_notebook():
    stored = {words.split()[0] for path in OF_CONFIGS for words in stored_numbers(path)}
    configs = (REPOSITORY / "configs").glob("*.yaml")
    assert stored == {file.stem for file in configs if re.search(r"\(D\d", file.read_text())}


def stored_numbers(path):
    """Return the numbers that a notebook shows at its end."""
    (output,) = code_cells(path)[-1]["outputs"]
    return ast.literal_eval("".join(output["data"]["text/plain"]))


@each_notebook
def test_stored_outputs_are_of_this_code_and_without_complaints(path):
    assert path.stat().st_size < 300_000
    for number, cell in enumerate(code_cells(path), start=1):
        assert cell["execution_count"] == number, "run it from top to bottom: make notebooks"
        assert cell["metadata"]["stored_from"] == zlib.crc32("".join(cell["source"]).encode()), "make notebooks"
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr", output["text"]


@each_of_configs
def test_stored_accuracies_are_those_that_the_configs_promise(path):
    for words, scores in stored_numbers(path).items():
        if "accuracy/test" in scores:
            (promised,) = re.findall(r"accuracy/test (\d\.\d+)", config_of(words))
            assert scores["accuracy/test"] == pytest.approx(float(promised), abs=0.01), words


@pytest.mark.slow
def test_a_kernel_finds_the_package_and_shows_figures(tmp_path):
    imports = "%matplotlib inline\nimport sys\nimport firstlight\nfrom matplotlib.figure import Figure\n"
    source = imports + "print(sys.executable, firstlight.__name__)\nfigure = Figure()\nfigure.subplots()\nfigure"
    cell = {"cell_type": "code", "id": "a", "source": source, "metadata": {}, "outputs": [], "execution_count": None}
    path = tmp_path / "small.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")}
    subprocess.run(
        [sys.executable, REPOSITORY / "notebooks" / "__main__.py", path], env=environment, check=True, timeout=600
    )
    text, picture = code_cells(path)[0]["outputs"]
    assert "".join(text["text"]).split() == [sys.executable, "firstlight"]
    assert picture["data"]["image/png"].startswith("iVBOR")
    assert set(json.loads(path.read_text())["metadata"]) == {"language_info"}
