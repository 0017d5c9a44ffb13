"""The command line is what it was: a flag that comes, goes or gets another default shows here."""

import json

import pytest
from tests.golden.record import COMMAND_LINE, ask_for_help, own_flags

from firstlight.engine.cli.commands import COMMANDS

GOLDEN = json.loads(COMMAND_LINE.read_text())


def test_commands_are_the_recorded_ones():
    assert sorted(GOLDEN) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_has_the_recorded_flags_with_the_recorded_defaults(command, did, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # a line a flag
    assert own_flags(did(*ask_for_help(command))) == GOLDEN[command]
