"""``metrics.csv`` holds each row once, whatever ended the runs that wrote it."""

import csv
from pathlib import Path

import torch

from firstlight.engine.csv_logger import ResumableCSVLogger

FILE = Path("runs/cubic/version_0/metrics.csv")


def logger(purge_step=None):
    return ResumableCSVLogger("runs", "cubic", "version_0", purge_step=purge_step)


def rows():
    with FILE.open(newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def test_row_is_in_the_file_as_soon_as_it_is_logged():
    log = logger()
    log.log_metrics({"loss": torch.tensor(0.5)}, step=0)
    log.log_metrics({"loss": 0.25}, step=1)
    assert FILE.read_text() == "loss,step\n0.5,0\n0.25,1\n"


def test_new_score_is_a_new_column():
    log = logger()
    log.log_metrics({"loss": 0.5}, step=0)
    log.log_metrics({"accuracy": 0.9}, step=0)
    log.log_metrics({"loss": 0.25}, step=1)
    assert FILE.read_text() == "accuracy,loss,step\n,0.5,0\n0.9,,0\n,0.25,1\n"


def test_resumed_run_replaces_the_rows_after_its_checkpoint():
    first = logger()
    for step in range(5):
        first.log_metrics({"loss": step / 2}, step)
    second = logger(purge_step=3)
    assert len(rows()) == 5  # as long as nothing is logged, it may yet be refused
    second.log_metrics({"loss": 10.0}, step=3)
    second.log_metrics({"loss": 11.0}, step=4)
    assert [row["loss"] for row in rows()] == ["0.0", "0.5", "1.0", "10.0", "11.0"]


def test_row_that_a_kill_cut_is_dropped():
    logger().log_metrics({"loss": 0.5}, step=0)
    with FILE.open("a") as file:
        file.write("0.2")
    logger(purge_step=1).log_metrics({"loss": 0.25}, step=1)
    assert rows() == [{"loss": "0.5", "step": "0"}, {"loss": "0.25", "step": "1"}]


def test_nothing_is_written_where_nothing_is_logged():
    log = logger()
    log.log_hyperparams({"lr": 0.1})
    log.finalize("success")
    assert not Path("runs").exists()
