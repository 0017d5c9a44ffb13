"""Where the trials of a sweep are stored, and the locks of the workers that share them.

A storage has a lock that one worker holds at a time, and a lock for each worker that tells the others whether it is
alive. Both end with the process that holds them, even if it is killed, so nothing has to be cleaned up and no clocks
are compared. A journal uses file locks, a database its own.
"""

import contextlib
import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages import JournalStorage, RDBStorage
from sqlalchemy import BigInteger, bindparam, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from firstlight.engine.files import try_lock
from firstlight.engine.packages import require
from firstlight.engine.processes import announce_wait, boot_id
from firstlight.engine.sweeps.journal_lines import JournalLines
from firstlight.errors import FirstlightError, UsageError

HEARTBEAT_TIMEOUT = 60
"""Seconds without a heartbeat after which a worker on another machine is dead, if no lock of it is seen here."""


class Journal:
    """A file to which each change is appended; machines can share it on a shared disk.

    On some shared disks, file locks are known to one machine only. A worker on another machine is then considered
    dead if its lock file was not touched for a minute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        name = secrets.token_hex(4)
        self.worker = {"file": name, "machine": boot_id() or socket.gethostname(), "host": socket.gethostname()}
        self._worker_file = self._lock_file(name)
        self._worker_lock = FileLock(self._worker_file, thread_local=False, fallback_to_soft=False)
        self._exclusive = FileLock(self._lock_file("exclusive"), poll_interval=0.01, fallback_to_soft=False)
        with self.exclusive():
            self._worker_lock.acquire()
            self.optuna_storage = JournalStorage(JournalLines(path, self.exclusive))

    def _lock_file(self, name: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{name}")

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock a file beside the journal, also within itself; raise a ``FirstlightError`` if it cannot be locked."""
        try:
            with announce_wait(f"another worker of this sweep, which holds the lock {self._exclusive.lock_file}"):
                acquired = self._exclusive.acquire()
        except OSError as error:
            raise FirstlightError(
                f"{self._exclusive.lock_file} cannot be locked ({error.strerror}): workers need file locks\n"
                "put the journal on another disk, or use a database: --storage postgresql://user@host/database"
            ) from error
        with acquired:
            yield

    def is_worker_alive(self, worker: Mapping[str, Any]) -> bool:
        """Return whether a worker's file is locked; remove the file of a dead worker."""
        path = self._lock_file(worker["file"])
        try:
            with path.open("r+b") as file:  # FileLock empties a file that it locks, which sets its time
                if try_lock(file.fileno()) is False:
                    return True
        except FileNotFoundError:
            return False
        if worker["machine"] != self.worker["machine"]:
            self.heartbeat()  # so that both times come from the disk's clock
            if self._worker_file.stat().st_mtime - path.stat().st_mtime < HEARTBEAT_TIMEOUT:
                return True
        path.unlink(missing_ok=True)
        return False

    def heartbeat(self) -> None:
        """Touch this worker's file."""
        self._worker_file.touch()

    def release_lock(self) -> None:
        """Remove this worker's file."""
        self._worker_file.unlink(missing_ok=True)
        self._worker_lock.release()


class Database:
    """A PostgreSQL database; its locks end with its connection. Raises a ``FirstlightError`` if it is not reached."""

    def __init__(self, url: str) -> None:
        # a machine without power closes no connection: the server checks, and drops it after a minute
        settings = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
        self._engine = create_engine(url, connect_args={"options": settings}, isolation_level="AUTOCOMMIT")
        self._key = secrets.randbits(62)
        self.worker = {"key": self._key, "host": socket.gethostname()}
        try:
            with announce_wait(f"the server of {self._engine.url}"):
                self._connection = self._engine.connect()
            self._call("pg_advisory_lock", self._key)
            with self.exclusive():  # two workers that create the tables at the same time fail
                self.optuna_storage = RDBStorage(url)
        except SQLAlchemyError as error:
            reason = str(error.__cause__ or error).strip().partition("\n")[0]
            raise FirstlightError(f"--storage {self._engine.url}: {reason}") from error

    def _call(self, function: str, key: int) -> bool:
        query = text(f"SELECT {function}(:key)").bindparams(bindparam("key", key, BigInteger))
        return bool(self._connection.execute(query).scalar())

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold a lock that all workers in this database share."""
        with announce_wait(f"another worker in {self._engine.url}, which holds the lock of all"):
            self._call("pg_advisory_lock", 0)
        try:
            yield
        finally:
            self._call("pg_advisory_unlock", 0)

    def is_worker_alive(self, worker: Mapping[str, Any]) -> bool:
        """Return whether a worker's lock is held."""
        if self._call("pg_try_advisory_lock", worker["key"]):
            self._call("pg_advisory_unlock", worker["key"])
            return False
        return True

    def heartbeat(self) -> None:
        """Check the connection: without it, other workers consider this one dead."""
        self._connection.execute(text("SELECT 1"))

    def release_lock(self) -> None:
        """Close the connection, and with it release the lock."""
        self._connection.close()
        self._engine.dispose()


Storage = Journal | Database


def open_storage(place: str) -> Storage:
    """Open or create the storage of a sweep, a file or a database, and lock this worker's place in it.

    Raises:
        UsageError: If it is neither.
        FirstlightError: If it cannot be reached, or has no locks.
    """
    scheme = re.match(r"([\w+]+)://", place)
    if scheme is None:
        if Path(place).is_dir():
            raise UsageError(f"--storage {place}: this is a folder, not a file")
        return Journal(Path(place))
    if scheme[1] not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise UsageError(f"--storage {scheme[0]}...: expected a file, or postgresql://user@host/database")
    require("--storage postgresql://", "psycopg", extra="sweep")
    return Database(re.sub(r"^\w+(\+\w+)?://", "postgresql+psycopg://", place))
