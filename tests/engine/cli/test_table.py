"""Rows are printed in columns, no wider than the terminal."""

import os

from firstlight.engine.cli.table import print_table

ROWS = [{"name": "a", "score": 0.123456789}, {"name": "long", "score": None}]


def test_columns_are_as_wide_as_they_need_to_be(capsys):
    print_table(ROWS)
    assert capsys.readouterr().out == "name  score\na     0.12346\nlong  -\n"


def test_line_is_cut_at_the_width_of_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((10, 9)))
    print_table(ROWS)
    assert capsys.readouterr().out.splitlines() == ["name  s...", "a     0...", "long  -"]
