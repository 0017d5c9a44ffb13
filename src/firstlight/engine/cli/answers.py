"""``--json``: what a command found, as one object on standard output; all else goes to standard error."""

import io
import os
import sys
from collections.abc import Mapping
from typing import Any

from firstlight.engine.processes import is_first_process
from firstlight.engine.texts import strict_json

FLAG = "--json"


class Answer:
    """The answer of a command; without ``--json`` there is none, and all is printed as always."""

    def __init__(self, command: str, words: list[str]) -> None:
        self.command, self.words = command, [word for word in words if word != FLAG]
        self.is_asked_for = len(self.words) < len(words)
        if self.is_asked_for:
            sys.stdout.flush()
            self._stdout, self._descriptor = sys.stdout, os.dup(1)
            os.dup2(2, 1)  # for libraries and other processes
            sys.stdout = self._printed = _Copied(sys.stderr)

    def give(self, status: int, found: Mapping[str, Any] | None = None) -> None:
        """Print the object: the command, its exit status and what it found; else what it printed."""
        if not self.is_asked_for:
            return
        sys.stdout = self._stdout
        os.dup2(self._descriptor, 1)
        os.close(self._descriptor)
        self.is_asked_for = False
        if is_first_process():
            found = {"text": self._printed.getvalue()} if found is None else found
            print(strict_json({"command": self.command, "exit": status, **found}))


class _Copied(io.StringIO):
    """A text that is also written to another stream."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(text)
        return super().write(text)

    def flush(self) -> None:
        self._stream.flush()
