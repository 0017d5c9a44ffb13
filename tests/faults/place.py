"""Where the runs with faults take place, and what counts as lost."""

import signal
import tempfile
from pathlib import Path

from tests.conftest import write_fashion_mnist
from tests.faults.harness import differences, firstlight, left_behind, parts_left

from firstlight.engine.runs.checkpoint_files import load_checkpoint
from firstlight.errors import CheckpointError

KILLED = (-signal.SIGKILL,)
OWN = {"FIRSTLIGHT_PACKAGES": "own_data"}
"""Lets configs name what own_data.py has."""


class Place:
    """Where the runs take place: a folder each, below one that goes away in the end."""

    def __init__(self, root):
        self.root, self.references = root, {}
        write_fashion_mnist(root / "fashion")

    def fresh(self):
        return Path(tempfile.mkdtemp(dir=self.root))

    def unbroken(self, flags, **how):
        """Return what a run without a fault leaves behind."""
        key = (*flags, *how)
        if key not in self.references:
            folder = self.fresh()
            ended = firstlight(folder, *flags, **how)
            if ended.status:
                raise RuntimeError(f"{' '.join(flags)} fails without a fault:\n{ended.text}")
            self.references[key] = left_behind(folder)
        return self.references[key]

    def resumed(self, flags, *faults, statuses=KILLED, then=(), **how):
        """Return in what a run that goes on after faults differs from an unbroken one; nothing if in nothing."""
        reference = self.unbroken(flags, **how)
        folder = self.fresh()
        words = flags
        for fault in faults:
            ended = firstlight(folder, *words, fault=fault, **how)
            if ended.status not in statuses:
                return f"exit {ended.status}: {ended.text[-300:]}"
            words = ["fit", "--resume", *then]
        ended = firstlight(folder, *words, **how)
        if ended.status:
            return f"resume: exit {ended.status}: {ended.text[-300:]}"
        return ", ".join(list(differences(reference, left_behind(folder)))[:3])


def short(text, status):
    """Return what is wrong with the way in which a run failed; nothing if it was one message."""
    message = text[text.rfind("error: ") :] if "error: " in text else ""
    good = message and "Traceback" not in text and len(message.splitlines()) <= 3
    return "" if good and status in (1, 2) else f"exit {status}: {text[-300:]}"


def broken_checkpoints(folder):
    """Return which checkpoints are not whole, and what else is lying about."""
    wrong = [str(path) for path in parts_left(folder)]
    for path in folder.glob("lightning_logs/*/*/checkpoints/*.ckpt"):
        try:
            load_checkpoint(path)
        except CheckpointError as error:
            wrong.append(str(error))
    return ", ".join(wrong)
