"""The table of commands."""

import pytest

from firstlight.engine.cli.commands import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_described_in_a_line_and_its_example_is_of_it(command):
    about = COMMANDS[command]
    assert 4 < len(about.summary) < 70
    assert about.example.split()[:1] in ([], [command])
