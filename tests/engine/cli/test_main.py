"""The program: how it finds a command, and how quick the answers are that need no torch."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from firstlight import __version__
from firstlight.engine.cli import main as program
from firstlight.engine.cli.commands import COMMANDS, function_of
from firstlight.engine.cli.main import main


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["configs"], ["runs"], ["new", "mine"], ["fitt"], ["fit", "--help"]]
)
def test_answer_that_needs_no_torch_does_not_wait_for_it(words):
    code = f"import sys; sys.argv = ['firstlight', *{words}]\nfrom firstlight import main\ntry: main()\n"
    code += "finally: print('torch' in sys.modules, 'lightning' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "False False"
    assert done.returncode == (2 if words == ["fitt"] else 0)


def test_package_is_a_program():
    done = subprocess.run([sys.executable, "-m", "firstlight", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"firstlight {__version__}\n"
    bare, helped = (
        subprocess.run([sys.executable, "-m", "firstlight", *words], capture_output=True, text=True, check=True).stdout
        for words in ([], ["--help"])
    )
    assert bare == helped
    assert all(re.search(rf"^  {command} ", helped, re.MULTILINE) for command in ("fit", "validate", "test", "predict"))


def test_every_command_that_is_described_has_its_function():
    for command in COMMANDS:
        assert callable(function_of(command))


def test_no_other_module_imports_the_functions_of_commands():
    engine = Path(program.__file__).parents[1]
    assert [path for path in engine.rglob("*.py") if "engine.cli.main" in path.read_text()] == []


WORDS = [[], ["runs"], ["runs", "--help"], ["test"], ["fit", "--help"], ["tensorboard"], ["sweep", "--help"], ["x"]]


@pytest.mark.parametrize("words", WORDS)
def test_command_of_a_project_goes_by_its_own_name(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/a/folder/my-research", *words])
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "")
    with contextlib.suppress(SystemExit):
        main("json")  # any package will do
    out, err = capsys.readouterr()
    assert "my-research " in out + err or words == ["x"]
    assert "firstlight" not in out + err
    assert os.environ["FIRSTLIGHT_PACKAGES"] == "json"


def test_configs_may_stand_before_the_command(did):
    expected = did("fit", "--config", "autograd_cubic", "-c", "presets/limit", "--print_config")
    for words in (["--config", "autograd_cubic", "-c=presets/limit"], ["--config=autograd_cubic", "-cpresets/limit"]):
        assert did(*words, "fit", "--print_config") == expected


def test_variable_that_only_lightning_reads_is_told(firstlight, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")  # set by Lightning itself
    monkeypatch.setenv("PL_TRAINER__MAX_EPOCHS", "3")
    answer = firstlight("fit", "--config", "autograd_cubic", "--print_config")
    assert answer.err == "warning: PL_TRAINER__MAX_EPOCHS: ignored, as settings are flags and configs\n"
    assert firstlight("runs").err == ""


@pytest.mark.slow  # Matplotlib looks for all fonts anew
@pytest.mark.parametrize("words", [["check", "linear_regression"], ["export", "--format=onnx"]])
def test_nothing_is_said_of_caches_where_the_home_folder_cannot_be_written(words, did):
    if "export" in words:
        pytest.importorskip("onnxruntime", reason="it is an extra")
        did("fit", "--config=linear_regression", "--trainer.max_epochs=1")
    Path("home").touch()
    environment = {key: value for key, value in os.environ.items() if not re.match("MPL|XDG_|ORT_", key)}
    command = [sys.executable, "-m", "firstlight", *words]
    done = subprocess.run(
        command, env={**environment, "HOME": str(Path("home").absolute())}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_letters_that_an_output_cannot_hold_are_escaped(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "été.yaml").write_text("# ça\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    words = [sys.executable, "-m", "firstlight", "configs"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xe9t\\xe9" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_name_that_is_no_text_is_answered_in_a_line(complaint):
    status, message = complaint("fit", "-c", "autograd_cubic", "--trainer.default_root_dir=b\udcff")
    assert status == 2
    assert message.endswith("holds a name that is not in utf-8: choose another")
