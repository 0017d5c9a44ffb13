"""What a run does to its files, one operation after the other, with a fault at each of them.

A C library, loaded before all others, sees the operations; it needs Linux and a C compiler.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from errno import EIO, ENOSPC
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.faults.harness import differences, firstlight, left_behind, start, tiny
from tests.faults.place import broken_checkpoints, short

RECORD, KILL, TERMINATE, FAIL_ONCE, FAIL_FROM, CUT = range(6)
FLAGS = [
    *tiny("dynamic_polynomial"),
    "--trainer.max_epochs=2",
    "--checkpoint.every_n_steps=3",
    "--trainer.val_check_interval=0.5",
    "--pictures=none",
]
RESUME = ["fit", "--resume"]


class Operation(NamedTuple):
    """An operation on a file or a folder, with its path below the run's root."""

    name: str
    path: str
    other: str
    offset: int
    data: bytes


def restart_with_library():
    """Replace this process by one that has the library loaded; do nothing if it has, or if there is no compiler.

    Returns:
        Whether the library is loaded.
    """
    if hasattr(ctypes.CDLL(None), "arm"):
        if library := os.environ.pop("LD_PRELOAD", None):
            shutil.rmtree(Path(library).parent)  # it stays loaded, and processes that are not forks do without
        return True
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        return False
    library = Path(tempfile.mkdtemp(), "operations.so")
    source = Path(__file__).with_suffix(".c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "LD_PRELOAD": str(library)})


def arm(folder, number=0, action=RECORD, error=0, record=None):
    """In a run's own process: do something at an operation, and append what is done to a file."""
    file = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if record else -1
    ctypes.CDLL(None).arm(str(folder.resolve()).encode(), ctypes.c_long(number), action, error, file)


def faulty(folder, words, *how, **more):
    """Run ``firstlight`` with a fault at one of its operations."""
    folder.mkdir(exist_ok=True)
    return start(folder, *words, before=partial(arm, folder, *how, **more))()


def operations_of(folder, *commands):
    """Run commands in a folder, and return the operations of each; a command is words and how it is run."""
    found = []
    for number, (words, how) in enumerate(commands):
        record = folder / f".operations{number}"
        start(folder, *words, before=partial(arm, folder, record=record), **how)()
        found.append(list(read_operations(record.read_bytes(), folder)))
    return found


def read_operations(content, folder):
    """Yield the operations of a record."""
    begin = 0
    while begin < len(content):
        end = content.index(b"\n", begin)
        name, path, other, offset, size = content[begin:end].decode().split("\t")
        begin = end + 1 + int(size)
        paths = [each and str(Path(each).relative_to(folder.resolve())) for each in (path, other)]
        yield Operation(name, *paths, int(offset), content[end + 1 : begin])


def stopped_run(place):
    """Return the folder of a run that was killed before a step."""
    firstlight(folder := place.fresh(), *FLAGS, fault={"do": "SIGKILL", "step": 5})
    return folder


def resumed(place, folder):
    """Return how a run that goes on differs from an unbroken one; it may refuse to only where nothing was saved."""
    is_saved = any(folder.glob("lightning_logs/*/*/checkpoints/last.ckpt"))
    ended = firstlight(folder, *RESUME)
    if ended.status:
        wrong = short(ended.text, ended.status)
        return wrong or (f"not resumed: {ended.text[-300:]}" if is_saved else "")
    expected, found = place.unbroken(FLAGS), left_behind(folder)
    return ", ".join(list(differences(expected, found))[:3]) or broken_checkpoints(folder)


def phases(place):
    """Yield the commands that get the faults: name, words, operations, and what makes a folder for it."""
    for name, words, origin in (("fit", FLAGS, place.fresh()), ("resume", RESUME, stopped_run(place))):

        def copy(origin=origin):
            return Path(shutil.copytree(origin, place.fresh(), dirs_exist_ok=True))

        yield name, words, operations_of(copy(), (words, {}))[0], copy


def sampled(operations, count):
    """Return numbers of operations, from one: all of them, or about so many."""
    step = max(len(operations) // count, 1) if count else 1
    return range(1, len(operations) + 1, step)


def files(place, count=None, **_):
    """A run is killed, and told to stop, at each of its operations on files; it goes on."""
    for phase, words, operations, copy in phases(place):
        for number in sampled(operations, count):
            for name, action, statuses in (("SIGKILL", KILL, [-9]), ("SIGTERM", TERMINATE, [143, 0])):
                folder = copy()
                ended = faulty(folder, words, number, action)
                wrong = "" if ended.status in statuses else f"exit {ended.status}: {ended.text[-300:]}"
                if name == "SIGTERM" and "Traceback" in ended.text:
                    wrong = ended.text[-300:]
                wrong = wrong or resumed(place, folder)
                what = f"{number} {operations[number - 1][:2]}: {wrong}" if wrong else ""
                yield f"{name} at an operation of {phase}", what
                shutil.rmtree(folder)


def full_disk(place, count=None, **_):
    """Writing fails, from an operation on or once, or a file is cut in the middle; the run says so, and goes on."""
    kinds = (("full", FAIL_FROM, ENOSPC), ("no room once", FAIL_ONCE, ENOSPC), ("I/O error", FAIL_ONCE, EIO))
    for phase, words, operations, copy in phases(place):
        for number in sampled(operations, count):
            for name, action, error in (*kinds, ("cut", CUT, 0)):
                operation = operations[number - 1]
                if action == CUT and operation.name != "write":
                    continue
                folder = copy()
                before = open_receipts(folder)
                ended = faulty(folder, words, number, action, error)
                wrong = said_what(folder, ended, action, before) or resumed(place, folder)
                yield f"{name}, {phase}", f"{number} {operation[:2]}: {wrong}" if wrong else ""
                shutil.rmtree(folder)


def said_what(folder, ended, action, before):
    """Return what is wrong with the way in which a run ended whose operation failed."""
    if action == CUT:
        return "" if ended.status in (-signal.SIGKILL, 0) else f"exit {ended.status}: {ended.text[-300:]}"
    if ended.status == 0:
        return "" if "Traceback" not in ended.text else ended.text[-300:]
    if wrong := short(ended.text, ended.status):
        return wrong
    if ended.status != 1 or "lightning_logs" not in ended.text[ended.text.rfind("error: ") :]:
        return f"exit {ended.status}, no file named: {ended.text[-300:]}"
    is_open = open_receipts(folder) - before and action != FAIL_FROM  # a full disk takes no receipt
    return f"the receipt says running: {ended.text[-200:]}" if is_open else ""


def open_receipts(folder):
    """Return the processes that train, as the receipts say; a resume that could not begin leaves the one before."""
    receipts = [json.loads(path.read_text()) for path in folder.glob("lightning_logs/*/*/run.json")]
    return {receipt["pid"] for receipt in receipts if receipt["status"] == "running"}
