"""Monash .tsf files: series with their attributes, bad lines named, bad headers refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.rejects import Reject
from domains.formats.text import InputFile
from domains.formats.tsf import read_tsf

HEAD = """# about the data
@relation test
@attribute series_name string
@attribute state string
@attribute start_timestamp date
@frequency {freq}
@horizon 4
@missing true
@equallength false
@data
"""


def read(path: Path, lines: str, freq: str = "hourly"):
    path.write_text(HEAD.format(freq=freq) + lines)
    file = InputFile(path, "a Monash .tsf file")
    found = list(read_tsf(file, notes := Counter()))
    assert len(found) == file.records
    return found, notes


def test_series_with_missing_values_and_attributes(tmp_path: Path) -> None:
    found, notes = read(tmp_path / "a.tsf", "T1:NSW:2002-01-01 00-30-00:1,?,3.5\nT2:VIC:2002-02-01 00-00-00:4,5\n")
    assert [s.id for s in found] == ["T1", "T2"]
    assert np.allclose(found[0].values[:, 0], [1, np.nan, 3.5], equal_nan=True)
    assert found[0].labels == {"state": "NSW"}
    assert (found[0].freq, found[0].start) == ("h", np.datetime64("2002-01-01T00:30"))
    assert notes["missing values inside series"] == 1


@pytest.mark.parametrize(
    ("freq", "stamps"), [("monthly", "1972-03-01"), ("yearly", "1972-01-01"), ("daily", "1972-03-09")]
)
def test_long_periods_begin_with_themselves(tmp_path: Path, freq: str, stamps: str) -> None:
    found, _ = read(tmp_path / "a.tsf", "T1:x:1972-03-09 00-00-00:1,2,3\n", freq)
    assert str(found[0].start)[:10] == stamps
    assert len(found[0].stamps()) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("T1:2002-01-01 00-00-00:1,2", "ragged_row"),
        ("T1:x:2002-01-01 00-00-00:1,two", "not_a_number"),
        ("T1:x:2002-01-01 00-00-00:1,inf", "infinite"),
        ("T1:x:2002-01-01 00-00-00:?,?", "all_missing"),
        ("T1:x:the first:1,2", "bad_stamp"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(tmp_path: Path, line: str, reason: str) -> None:
    found, _ = read(tmp_path / "a.tsf", f"T0:x:2002-01-01 00-00-00:1,2\n{line}\nT2:x:2002-01-01 00-00-00:1\n")
    assert isinstance(found[1], Reject)
    assert (found[1].reason, found[1].line, found[1].index) == (reason, 12, 1)
    assert [s.id for s in found[::2]] == ["T0", "T2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n", "begins with no @"),
        ("@attribute x colour\n@data\n", "expected '@attribute NAME"),
        ("@frequency sometimes\n@data\n", "@frequency 'sometimes' is unknown"),
        ("@relation x\n", "no @data line"),
    ],
)
def test_a_bad_header_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.tsf").write_text(text)
    with pytest.raises(InputError, match=message):
        list(read_tsf(InputFile(tmp_path / "a.tsf", "a Monash .tsf file"), Counter()))
