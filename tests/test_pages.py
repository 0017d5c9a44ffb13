"""Each command on the pages in docs/ does what it says."""

import re
import shlex
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("schedules.md",)
COMMANDS = {
    line: None
    for page in PAGES
    for block in re.findall(r"^```\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
}
QUICK = ("--pictures=none", "--data.batch_size=250")


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_a_page_runs(command, did):
    program, verb, *words = shlex.split(re.sub(r"\s+#.*", "", command))
    assert program == "firstlight"
    did(verb, *words, *(QUICK if verb == "fit" else ()))
