"""The fingerprint of the data of a command: recorded, and compared when a run is resumed or run again."""

import sys
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.runs import receipts
from firstlight.engine.runs.folders import Run
from firstlight.errors import UsageError

KEY = "data_fingerprint"


class DataFingerprint(Callback):
    """Save the fingerprint of each split in checkpoints, and refuse to resume a run on other data.

    The fingerprint is what the data module's ``fingerprint()`` returns, text by split. Where a data module has no such
    method, none is recorded and nothing is compared.
    """

    def __init__(self, *, is_resume: bool, allow_changed: bool) -> None:
        self.is_resume, self.allow_changed = is_resume, allow_changed
        self.run: Run | None = None
        """The run whose receipt takes the fingerprint."""
        self.found: dict[str, str] | None = None
        self.reproduced: Any = None
        """Fingerprint of the run that is run again."""
        self.strict = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the fingerprint; raise a ``UsageError`` if it is not that of the run to reproduce, and ``strict``."""
        make = getattr(internals.typed(trainer).datamodule, "fingerprint", None)
        found = make() if callable(make) else None
        if isinstance(found, Mapping):  # examples for testing change no training
            self.found = {str(name): str(text) for name, text in found.items() if stage != "fit" or name != "test"}
        if self.run:
            receipts.add_data(self.run, self.found)
        self._compare(trainer, self.reproduced, "run again on other data", " (--strict)" if self.strict else None)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save it."""
        checkpoint[KEY] = self.found

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Compare it; raise a ``UsageError`` if it is that of other data than the run's, unless that is allowed."""
        if self.is_resume:
            refusal = None if self.allow_changed else "; to go on with it: --allow_changed_data"
            self._compare(trainer, checkpoint.get(KEY), "resumed on other data than the run's", refusal)

    def _compare(self, trainer: Trainer, before: Any, how: str, refusal: str | None) -> None:
        """Warn of splits that differ, of those whose fingerprints are known; raise if there is a ``refusal``."""
        known = before if isinstance(before, dict) else {}
        changed = [name for name, text in (self.found or {}).items() if known.get(name, text) != text]
        text = f"{how}: {' and '.join(changed)} changed"
        if changed and refusal is not None:
            raise UsageError(text + refusal)
        if changed and trainer.is_global_zero:
            print(f"warning: {text}", file=sys.stderr)
