"""The lines of a sweep's journal: each append ends a line that was cut, and reading skips what is no record."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from firstlight.engine.texts import printable
from firstlight.errors import UsageError

FIRST_RECORD = b'{"op_code":0,'
"""How a journal begins."""


class JournalLines(BaseJournalBackend):
    """A file in Optuna's journal format, one record a line; a full disk, a kill or a power loss may cut any line.

    Args:
        path: The file.
        exclusive: Returns a context in which no other process appends; it may be entered again within itself.

    Raises:
        UsageError: If it holds anything, but no record: it is not a journal, and must not be written.
    """

    def __init__(self, path: Path, exclusive: Callable[[], AbstractContextManager[None]]) -> None:
        self.path, self.exclusive = path, exclusive
        self._records: list[dict[str, Any]] = []
        self._position = self._line = 0  # what has been read
        self._replica = _Replica()
        path.touch()
        with path.open("rb") as file:
            start = file.read(len(FIRST_RECORD))
        if not self.read_logs(0) and start != FIRST_RECORD[: len(start)]:
            raise UsageError(f"--storage {path}: this is not the journal of a sweep: choose another file")

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Return the records from a number on; say which lines are none."""
        damaged = []
        with self.path.open("rb") as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it is being written, or the next append ends it
                self._position += len(line)
                self._line += 1
                if (record := self._replica.apply(line)) is None:
                    damaged.append(self._line)
                else:
                    self._records.append(record)
        if damaged and self._records:
            lines = f"line {damaged[0]} is" if len(damaged) == 1 else f"{len(damaged)} lines, from {damaged[0]} on, are"
            print(f"warning: {printable(str(self.path))}: {lines} damaged and left out", file=sys.stderr, flush=True)
        return self._records[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records, on lines of their own; raise an ``OSError`` that names the file if the disk is full."""
        content = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        try:
            with self.exclusive(), self.path.open("a+b") as file:
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    content = content if file.read(1) == b"\n" else b"\n" + content
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error


class _Replica(BaseJournalBackend):
    """A second storage that applies each line first: whatever Optuna would fail at is found there."""

    def __init__(self) -> None:
        self._next: list[dict[str, Any]] = []
        self._storage = JournalStorage(self)

    def apply(self, line: bytes) -> dict[str, Any] | None:
        """Apply a line; return its record, or None if it is none."""
        try:
            record: dict[str, Any] = json.loads(line)
            self._next = [record]
            self._storage.get_all_studies()
        except Exception:  # whatever the damage leads to
            return None
        finally:
            self._next = []
        return record

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._next

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write nothing: this storage is only read."""
