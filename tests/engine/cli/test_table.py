"""Rows are printed in columns, no wider than the terminal."""

import os

from firstlight.engine.cli.table import print_table

ROWS = [{"name": "a", "score": 0.123456789}, {"name": "long", "score": None}]


def test_columns_are_as_wide_as_they_need_to_be(capsys):
    print_table(ROWS)
    assert capsys.readouterr().out == "name  score\na     0.12346\nlong  -\n"


def at_terminal(rows, width, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((width, 9)))
    print_table(rows)
    return capsys.readouterr().out.splitlines()


def test_columns_that_do_not_fit_follow_beside_the_first(capsys, monkeypatch):
    rows = [row | {"note": "no"} for row in ROWS]
    first, second = ["name  score", "a     0.12346", "long  -"], ["name  note", "a     no", "long  no"]
    assert at_terminal(rows, 13, capsys, monkeypatch) == [*first, "", *second]
    assert at_terminal(rows, 19, capsys, monkeypatch) == [
        "name  score    note",
        "a     0.12346  no",
        "long  -        no",
    ]


def test_cell_that_does_not_fit_goes_on_below(capsys, monkeypatch):
    rows = [{"run": "a", "settings": "lr=0.1 max-epochs=2"}]
    shown = ["run  settings", "a    lr=0.1", "     max-epochs=2"]
    assert at_terminal(rows, 18, capsys, monkeypatch) == shown
