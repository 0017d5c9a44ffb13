"""The power fails after an operation of a run: what a disk may then hold of the files, and whether the run goes on.

What was written and not flushed may be there, missing, cut or zero; a file that was made, renamed or removed may have
its new name or its old one until its folder is flushed. POSIX promises no more.
"""

import random
import tempfile
from functools import cache
from hashlib import sha256
from itertools import chain
from pathlib import Path

from tests.faults.harness import differences, firstlight, the_run
from tests.faults.operations import FLAGS, RESUME, operations_of, sampled
from tests.faults.place import short

from firstlight.engine.runs.checkpoint_files import load_checkpoint
from firstlight.errors import CheckpointError

FOLDER = "a folder, and no file"
WAYS = ("lost", "half", "zeros", "kept")
"""What becomes of bytes that were not flushed."""


class File:
    """The bytes of a file: those that were flushed, and those that a program reads."""

    def __init__(self):
        self.flushed, self.bytes = b"", b""

    def after(self, way):
        """Return what is left of it, one way or another."""
        same = len(self.flushed) if self.bytes.startswith(self.flushed) else 0
        rest = self.bytes[same:]
        left = {"lost": self.flushed, "kept": self.bytes}
        left |= {"half": self.bytes[: same + len(rest) // 2], "zeros": self.bytes[:same] + bytes(len(rest))}
        return left[way]


class Disk:
    """Files and folders, by path: as they were flushed, and as a program sees them."""

    def __init__(self):
        self.flushed, self.seen = {}, {}
        self.promised = self.renamed = None  # last.ckpt, once the program went on after it was written, and just now

    def do(self, operation):
        """Do an operation; those that failed change nothing."""
        name, path, other, offset, data = operation
        file = self.seen.get(path)
        if name == "create":
            self.seen[path] = File()
            self.promised = self.renamed or self.promised
        elif name == "mkdir":
            self.seen.setdefault(path, FOLDER)
        elif name == "unlink":
            self.seen.pop(path, None)
        elif name == "rename" and file:
            self.seen[other] = self.seen.pop(path)
            if Path(other).name == "last.ckpt":
                self.renamed = file.bytes
        elif isinstance(file, File):
            if name == "write":
                file.bytes = file.bytes[:offset].ljust(offset, b"\0") + data + file.bytes[offset + len(data) :]
            elif name == "truncate":
                file.bytes = file.bytes[:offset].ljust(offset, b"\0")
            elif name == "fsync":
                file.flushed = file.bytes
        elif name == "fsync":
            others = {each: what for each, what in self.flushed.items() if parent(each) != path}
            self.flushed = others | {each: what for each, what in self.seen.items() if parent(each) == path}

    def after(self, names, ways):
        """Return the files after the power failed.

        Args:
            names: Returns whether a folder has the names that the program saw, or those that were flushed.
            ways: Returns what becomes of the bytes of a file.
        """
        everything = {**self.flushed, **self.seen}
        folders = {parent(path) for path in everything}
        chosen = {folder: self.seen if names(folder) else self.flushed for folder in sorted(folders)}
        left = {path: chosen[parent(path)].get(path) for path in sorted(everything)}
        left = {path: what for path, what in left.items() if what}
        whole = {path: what for path, what in left.items() if all(str(up) in left for up in Path(path).parents[:-1])}
        return {path: None if what == FOLDER else what.after(ways(path)) for path, what in whole.items()}

    def states(self, chance):
        """Yield what may be left."""
        yield self.after(lambda _: False, lambda _: "lost")
        yield self.after(lambda _: False, lambda _: "kept")
        for way in WAYS:
            yield self.after(lambda _: True, lambda _, way=way: way)
        yield self.after(lambda _: chance.random() < 0.5, lambda _: chance.choice(WAYS))


def parent(path):
    """Return the folder of a path, as it is recorded."""
    return str(Path(path).parent)


@cache
def step_of(content):
    """Return the step of a checkpoint, or -1 if it cannot be read."""
    with tempfile.NamedTemporaryFile(suffix=".ckpt") as file:
        Path(file.name).write_bytes(content)
        try:
            return load_checkpoint(file.name)["global_step"]
        except CheckpointError:
            return -1


def power(place, count=None, seed=0):
    """The power fails after each operation of a run that was killed and resumed; the run goes on."""
    commands = (FLAGS, {"fault": {"do": "SIGKILL", "step": 5}}), (RESUME, {})
    operations = list(chain(*operations_of(place.fresh(), *commands)))
    firstlight(unbroken := place.fresh(), *FLAGS)
    expected = checkpoints(unbroken)
    disk, known, chance = Disk(), {}, random.Random(seed)
    for number, operation in enumerate(operations, 1):
        disk.do(operation)
        for state in disk.states(chance):
            digest = sha256(repr(sorted(state.items())).encode()).digest()
            promised = -1 if disk.promised is None else step_of(disk.promised)
            if digest not in known or promised > known[digest][2]:
                known[digest] = state, number, promised
    found = list(known.values())
    for index in sampled(found, count or 300):
        state, number, promised = found[index - 1]
        wrong = goes_on(place.fresh(), state, promised, expected)
        yield "power failure", f"after {number} {operations[number - 1][:2]}: {wrong}" if wrong else ""


def goes_on(folder, state, promised, expected):
    """Return what is wrong with a run that goes on from a state of the disk."""
    for path, content in state.items():
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)
    newest = max((step_of(content) for path, content in state.items() if Path(path).name == "last.ckpt"), default=-1)
    if newest < promised:
        return f"last.ckpt of step {promised} is lost: {newest if newest >= 0 else 'none'} is there"
    ended = firstlight(folder, *RESUME)
    if ended.status:
        wrong = short(ended.text, ended.status)
        return wrong or (f"not resumed: {ended.text[-300:]}" if newest >= 0 else "")
    return ", ".join(list(differences(expected, checkpoints(folder)))[:3])


def checkpoints(folder):
    """Return both checkpoints; curves are not flushed, and may have lost points."""
    return {name: load_checkpoint(the_run(folder) / f"checkpoints/{name}.ckpt") for name in ("last", "best")}
