"""A CSV file of scores that a resumed run continues."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from firstlight.engine.files import write_atomically


class ResumableCSVLogger(CSVLogger):
    """Lightning's ``CSVLogger``, but a resumed run goes on with its ``metrics.csv``, which is whole at every moment.

    Args:
        save_dir: Folder of all runs.
        name: Folder of the runs of a name, below it.
        version: Folder of the run, below that.
        prefix: Text before each score's name.
        flush_logs_every_n_steps: As in Lightning, but each row is written at once: it must not come after the
            checkpoint of its step.
        purge_step: Rows of this step and later ones are dropped, as the run goes on from before them.
    """

    def __init__(
        self,
        save_dir: str | Path,
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        prefix: str = "",
        flush_logs_every_n_steps: int = 100,
        purge_step: int | None = None,
    ) -> None:
        super().__init__(save_dir, name, version, prefix, flush_logs_every_n_steps=1)
        self.purge_step = purge_step
        self._table: _Table | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The table that rows are added to."""
        if self._table is None:
            self._table = _Table(Path(self.log_dir), self.purge_step)
        return self._table

    @rank_zero_only
    def log_hyperparams(self, params: Any = None) -> None:
        """Leave them out: the run's folder has them in config.yaml."""


class _Table:
    """Rows of scores; those of a resumed run's file, up to the step that it goes on from, come first.

    The file is read and changed only when the first row is added: a resume that is refused leaves it as it was.
    """

    def __init__(self, folder: Path, purge_step: int | None) -> None:
        self.path, self.purge_step = folder / "metrics.csv", purge_step
        self.columns: list[str] = []
        self.new: list[dict[str, Any]] = []

    def log_metrics(self, metrics: Mapping[str, Any], step: int) -> None:
        row = {name: value.item() if isinstance(value, Tensor) else value for name, value in metrics.items()}
        self.new.append(row | {"step": step})

    def save(self) -> None:
        """Append the new rows; write the file again where they have a new column."""
        rows, self.new = self.new, []
        if not rows:
            return
        if {*self.columns} != {*self.columns}.union(*rows):
            if not self.columns:  # a folder that was moved away later must not get another one in its place
                self.path.parent.mkdir(parents=True, exist_ok=True)
            old = self._kept()
            self.columns, self.purge_step = sorted({*self.columns}.union(*old, *rows)), None
            write_atomically(self.path, self._text([*old, *rows], header=True).encode())
        else:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(self._text(rows))

    def _kept(self) -> list[dict[str, Any]]:
        """Return the rows of the file from before the step that the run goes on from; a kill may have cut the last."""
        text = self.path.read_text(encoding="utf-8") if self.path.is_file() else ""
        rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
        return rows if self.purge_step is None else [row for row in rows if int(row["step"]) < self.purge_step]

    def _text(self, rows: list[dict[str, Any]], *, header: bool = False) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
