import os
from pathlib import Path

import pytest

from firstlight.data.csv_files import is_number, read_csv
from firstlight.errors import DataError


def read(text, encoding="utf-8"):
    Path("table.csv").write_text(text, encoding=encoding)
    return read_csv(Path("table.csv"))


def test_columns_are_read_by_name():
    file = read('a, b ,"c, d"\n1,x,2.5\n\n-3,"y",1e3\n', "utf-8-sig")
    assert file.header == ["a", "b", "c, d"]
    assert file.numbers(["c, d", "a"]).tolist() == [[2.5, 1], [1000, -3]]
    assert file.column("b") == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "table.csv has no rows below its header"),
        ("a,b\n", "table.csv has no rows below its header"),
        ("a,a\n1,2\n", "table.csv has two columns 'a'"),
        ("a,b\n1,2\n\n3\n", "table.csv, line 4: 1 cells, but the header has 2"),
        ("a,b\n1,2\n3,nan\n", "table.csv, line 3: b is 'nan', not a finite number"),
        ("a,b\n1,2\n3,inf\n", "table.csv, line 3: b is 'inf', not a finite number"),
        ("a,b\n1,2\n3,n/a\n", "table.csv, line 3: b is 'n/a', not a finite number"),
        ('a,b\n1,2\n3,"1,5"\n', "table.csv, line 3: b is '1,5', not a finite number; write numbers as 1234.5"),
        ("a,b\n1,2\n3, \n", "table.csv, line 3: b is empty"),
        ("a,bb\n1,2\n", "table.csv has no column 'b'; did you mean 'bb'?"),
        ("a,price\n1,2\n", "table.csv has no column 'b'; columns: a, price"),
        ('a,b\n1,"2\n', "table.csv, line 2 cannot be read: unexpected end of data"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(text, message):
    with pytest.raises(DataError) as error:
        read(text).numbers(["a", "b"])
    assert str(error.value) == message


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_are_between_commas_semicolons_or_tabs(delimiter):
    file = read(f'\ufeffa{delimiter}"b c"\r\n1{delimiter}"x{delimiter}y"\r\n'.replace("\r\n", "\n"))
    assert (file.header, file.rows) == (["a", "b c"], [["1", f"x{delimiter}y"]])


def test_spaces_before_a_quote_are_left_out():
    file = read('a, "b c"\n1, "x, y"\n')
    assert (file.header, file.rows) == (["a", "b c"], [["1", "x, y"]])


def test_pipe_is_refused_and_a_long_cell_is_cut():
    os.mkfifo("pipe.csv")
    with pytest.raises(DataError, match=r"^pipe\.csv cannot be read: it is not a regular file$"):
        read_csv(Path("pipe.csv"))
    with pytest.raises(DataError, match=r"^table\.csv, line 2: a is '9{40}', not a finite number$"):
        read("a,b\n" + "9" * 400 + ",1\n").numbers(["a"])


def test_file_that_is_missing_or_no_text_is_named():
    with pytest.raises(DataError, match=r"^gone\.csv cannot be read: No such file or directory$"):
        read_csv(Path("gone.csv"))
    Path("table.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(DataError, match=r"^table\.csv is not in UTF-8: save it with that encoding$"):
        read_csv(Path("table.csv"))


def test_nan_is_a_number_that_is_refused_later():
    assert [is_number(cell) for cell in ("1", "-2e3", "nan", "inf", "x", "", "1_0")] == [True] * 4 + [False] * 3
