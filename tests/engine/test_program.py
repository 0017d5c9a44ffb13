"""The name of the program, and mistakes in its flags."""

import sys
from pathlib import Path

import pytest

from firstlight.engine.program import CommandParser, expand_home, program
from firstlight.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("/usr/bin/firstlight", "firstlight"),
        ("my-research", "my-research"),
        ("/a/__main__.py", "firstlight"),
        ("-c", "firstlight"),
    ],
)
def test_program_goes_by_the_name_it_is_typed_with(typed, name, monkeypatch):
    monkeypatch.setattr(sys, "argv", [typed, "runs"])
    assert program() == name


def test_mistake_in_a_flag_names_the_command(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["my-research"])
    with pytest.raises(UsageError, match="my-research runs: unrecognized arguments: --jso"):
        CommandParser("runs").parse_args(["--jso"])


def test_tilde_is_the_home_folder_in_texts_and_in_what_holds_them(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expand_home({"a": ["~/x", "~", "a~/x", "~ x"], "b": Path("~/y")}) == {
        "a": ["/home/me/x", "/home/me", "a~/x", "~ x"],
        "b": Path("/home/me/y"),
    }
