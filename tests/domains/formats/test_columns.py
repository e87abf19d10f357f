"""CSV as columns: every line is accounted for, whatever pandas would make of it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from domains.formats.columns import column_names, read_columns
from domains.formats.text import InputFile


def write(path: Path, text: str | bytes) -> InputFile:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return InputFile(path, "a table")


def test_columns_with_the_lines_that_they_come_from(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,y\na,1.5\n\nb,\nNA,3\n")
    table = read_columns(file, text=["id"], missing=["", "NA"])
    assert table.frame["id"].tolist() == ["a", "b", "NA"]
    assert np.allclose(table.frame["y"], [1.5, np.nan, 3], equal_nan=True)
    assert table.lines is not None
    assert table.lines.tolist() == [2, 4, 5]
    assert (table.row(1), table.line(2)) == ("line 4", 5)
    assert column_names(InputFile(tmp_path / "a.csv", "a table")) == ["id", "y"]


def test_a_line_of_another_width_is_set_aside_not_filled_up(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", 'id,y,z\na,1,2\nb,1\nc,1,2,3\n"d,e",1,2\n"f,1,2\ng,"1,5",2\n')
    table = read_columns(file, text=["id"])
    assert [line for line, _ in table.ragged] == [3, 4, 6]
    assert table.ragged[0][1] == ["b", "1"]
    assert table.ragged[2][1] == []
    assert table.frame["id"].tolist() == ["a", "d,e", "g"]
    assert len(table.frame) + len(table.ragged) == file.records == 6


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(tmp_path: Path, separator: str, ends: str) -> None:
    text = ends.join(separator.join(cells) for cells in (["t", "y"], ["2024-01-01", "1"], ["2024-01-02", "2"]))
    for last in ("", ends):
        table = read_columns(write(tmp_path / "a.csv", text + last), text=["t"])
        assert table.frame["y"].tolist() == [1, 2]
        assert table.frame["t"].tolist() == ["2024-01-01", "2024-01-02"]


def test_numbers_come_back_to_the_last_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(0, 1e3, 500) ** 3
    file = write(tmp_path / "a.csv", "y\n" + "\n".join(repr(float(v)) for v in values) + "\n")
    assert np.array_equal(read_columns(file).frame["y"].to_numpy(), values)


def test_gzip_and_marks(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv.gz", gzip.compress(b"\xef\xbb\xbft,y\n1,2\n"))
    table = read_columns(file)
    assert list(table.frame.columns) == ["t", "y"]
    assert file.notes["files with a byte order mark"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,a\n1,2\n", "empty or repeated names"),
        ("a,\n1,2\n", "empty or repeated names"),
        ("a,b\n", "no row"),
        ("a,b\n1\n", "no row that fits"),
        ("", "the file is empty"),
        (b"PAR1xxxx", "Parquet"),
        (gzip.compress(b"a,b\n1,2\n" * 1000, mtime=0)[:-20], "ends early"),
    ],
)
def test_what_is_no_table_is_an_error_that_names_the_file(tmp_path: Path, text, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_columns(write(tmp_path / "bad.csv", text))
    assert "bad.csv" in caught.value.message
