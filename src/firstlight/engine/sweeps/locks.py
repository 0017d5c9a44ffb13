"""Where the trials of a sweep are kept, and how its workers know of each other.

Two questions are asked of whatever holds the trials: may I look and act with nobody between, and is that worker
still alive? Both are answered by locks that end with whoever holds them, so a killed worker needs no one to tidy up
after it, and no clocks are compared. A journal has the locks of its file system, a database its own.
"""

import contextlib
import fcntl
import os
import re
import secrets
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy import BigInteger, bindparam, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from firstlight.engine.packages import require
from firstlight.errors import FirstlightError, UsageError

__all__ = ["Keeper", "keeper"]

SILENCE = 60
"""Seconds without a sign of life after which a worker on another machine is held for dead, lock or not."""
GRACE = 10
"""Seconds after which a lock on the journal's lines is broken: adding one takes milliseconds, and one may die at it."""


class Keeper(ABC):
    """A place for trials, and the locks of their workers."""

    storage: BaseStorage
    worker: dict[str, Any]
    """What others need to know to find out whether this worker is alive."""

    @abstractmethod
    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Keep all other workers from what they do alone."""

    @abstractmethod
    def lives(self, worker: Mapping[str, Any]) -> bool:
        """Return whether a worker is alive; called alone."""

    @abstractmethod
    def sign(self) -> None:
        """Give a sign of life; called every few seconds."""

    @abstractmethod
    def close(self) -> None:
        """Be no worker any more."""


def keeper(place: str) -> Keeper:
    """Return what keeps the trials at a place.

    Args:
        place: A file, or ``postgresql://user@host/database``.

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


class Journal(Keeper):
    """A file to which each change is added; on a disk that machines share, all of them can.

    Where the locks of a shared disk hold on one machine only, a worker of another machine is held for dead once its
    file has not been touched for a minute.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        name = secrets.token_hex(4)
        self.worker = {"file": name, "machine": _machine(), "host": socket.gethostname()}
        with self.alone():
            self._lock = os.open(self._file(name), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            # not Optuna's default, a link: where the path is relative, a dead worker's would be waited for without end
            lock = JournalFileOpenLock(str(path), grace_period=GRACE)
            _drop_half_a_line(path, lock)
            self.storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))

    def _file(self, name: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{name}")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of a file beside the journal."""
        file = os.open(self._file("alone"), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            os.close(file)
            raise FirstlightError(
                f"{self.path}: this disk has no locks for files ({error.strerror}), which workers need\n"
                "put the journal on another disk, or take a database: --storage postgresql://user@host/database"
            ) from error
        try:
            yield
        finally:
            os.close(file)

    def lives(self, worker: Mapping[str, Any]) -> bool:
        """Return whether the worker's file is locked; remove the file of a dead one."""
        path = self._file(worker["file"])
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        if worker["machine"] != self.worker["machine"]:
            self.sign()  # both times are those of the disk
            if self._file(self.worker["file"]).stat().st_mtime - path.stat().st_mtime < SILENCE:
                return True
        path.unlink(missing_ok=True)
        return False

    def sign(self) -> None:
        """Touch this worker's file."""
        os.utime(self._lock)

    def close(self) -> None:
        """Remove this worker's file."""
        self._file(self.worker["file"]).unlink(missing_ok=True)
        os.close(self._lock)


class Database(Keeper):
    """A PostgreSQL database; its locks end with the connection that took them.

    Args:
        url: Where it is.
    """

    def __init__(self, url: str) -> None:
        # a machine that lost its power closes no connection: the server asks, and gives up after a minute
        settings = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
        self._engine = create_engine(url, connect_args={"options": settings}, isolation_level="AUTOCOMMIT")
        self._key = secrets.randbits(62)
        self.worker = {"key": self._key, "host": socket.gethostname()}
        try:
            self._connection = self._engine.connect()
            self._ask("pg_advisory_lock", self._key)
            with self.alone():  # tables that two make at once are an error
                self.storage = RDBStorage(url)
        except SQLAlchemyError as error:
            reason = str(error.__cause__ or error).strip().partition("\n")[0]
            raise FirstlightError(f"--storage {self._engine.url}: {reason}") from error

    def _ask(self, function: str, key: int) -> bool:
        query = text(f"SELECT {function}(:key)").bindparams(bindparam("key", key, BigInteger))
        return bool(self._connection.execute(query).scalar())

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold a lock that all workers in this database share."""
        self._ask("pg_advisory_lock", 0)
        try:
            yield
        finally:
            self._ask("pg_advisory_unlock", 0)

    def lives(self, worker: Mapping[str, Any]) -> bool:
        """Return whether the worker's lock is taken."""
        if self._ask("pg_try_advisory_lock", worker["key"]):
            self._ask("pg_advisory_unlock", worker["key"])
            return False
        return True

    def sign(self) -> None:
        """See that the connection still stands: without it others hold this worker for dead."""
        self._connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._engine.dispose()


def _machine() -> str:
    """Return what tells machines apart on which the locks of files may be known to themselves only."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


def _drop_half_a_line(path: Path, lock: JournalFileOpenLock) -> None:
    """Cut off a last line that has no end: its writer died, or its disk was full. Nothing could be read after it."""
    if not path.exists():
        return
    lock.acquire()
    try:
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)
    finally:
        lock.release()
