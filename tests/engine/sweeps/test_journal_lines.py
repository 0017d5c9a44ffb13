"""A damaged line costs what it says, and nothing else."""

import errno
from contextlib import nullcontext
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="optuna is the extra sweep")

import optuna

from firstlight.engine.sweeps import journal_lines
from firstlight.engine.sweeps.journal_lines import JournalLines
from firstlight.errors import UsageError

JOURNAL = Path("sweep.journal")
DAMAGED = {
    "half a record": '{"op_code":6,"worker_id":"dead',
    "no JSON": "\0\0\0",
    "no text": b"\xff\xfe",
    "no mapping": "[5]",
    "an empty line": "",
    "too deep": "[" * 100_000,
    "no operation": '{"worker_id":"x"}',
    "another operation": '{"op_code":99,"worker_id":"x"}',
    "no values": '{"op_code":6,"worker_id":"x","trial_id":1}',
    "another state": '{"op_code":6,"worker_id":"x","trial_id":1,"state":17,"values":null}',
    "another type": '{"op_code":4,"worker_id":"x","study_id":[],"datetime_start":null}',
}


def study():
    storage = optuna.storages.JournalStorage(JournalLines(JOURNAL, nullcontext))
    return optuna.create_study(storage=storage, study_name="mine", load_if_exists=True)


def damage(line, end=b"\n"):
    with JOURNAL.open("ab") as file:
        file.write((line if isinstance(line, bytes) else line.encode()) + end)


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
def test_damaged_line_is_left_out_by_workers_that_run_and_by_those_that_start(line, capsys):
    mine, other = study(), study()
    mine.tell(mine.ask(), 1.0)
    trial = other.ask()
    damage(line)
    other.tell(trial, 2.0)
    for each in (mine, other, study()):
        assert [trial.value for trial in each.trials] == [1.0, 2.0]
    number = JOURNAL.read_bytes().splitlines().index(line if isinstance(line, bytes) else line.encode()) + 1
    assert capsys.readouterr().err == f"warning: sweep.journal: line {number} is damaged and left out\n" * 3


def test_append_ends_a_line_that_was_cut(capsys):
    mine = study()
    damage('{"op_code":6,"worker_id":"dead', end=b"")
    mine.tell(mine.ask(), 1.0)
    assert [trial.value for trial in study().trials] == [1.0]
    damage('{"op_code":6,', end=b"")  # it may be being written: nothing is said of it yet
    capsys.readouterr()
    assert mine.trials[0].value == 1.0
    assert capsys.readouterr().err == ""


def test_journal_that_was_cut_in_its_first_record_is_begun_again():
    JOURNAL.write_text('{"op_code":0,"wor')
    assert study().trials == []


def test_file_that_is_no_journal_is_refused_and_left_as_it_is():
    JOURNAL.write_text("# Notes\n\nof mine")
    with pytest.raises(UsageError, match=r"--storage sweep\.journal: this is not the journal of a sweep"):
        study()
    assert JOURNAL.read_text() == "# Notes\n\nof mine"


def test_error_while_writing_names_the_file(monkeypatch):
    mine = study()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(journal_lines.os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: 'sweep\.journal'"):
            mine.ask()
    mine.ask()  # the next time
