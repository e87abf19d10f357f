"""R's tables are read as they are, and what is none is said to be none."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from core.errors import IntegrityError
from domains.formats.rdata_table import read_rda_table

rdata = pytest.importorskip("rdata")


def write(path: Path, **tables: object) -> Path:
    rdata.write_rda(str(path), tables)
    return path


def test_a_data_frame_comes_back(tmp_path: Path) -> None:
    frame = pd.DataFrame({"V1": ["0", "1"], "Class": ["n", "ei"]})
    found = read_rda_table(write(tmp_path / "a.rda", DNA=frame), "DNA")
    assert found["V1"].tolist() == ["0", "1"]
    assert found["Class"].tolist() == ["n", "ei"]


def test_other_names_and_other_files_are_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "a.rda", DNA=pd.DataFrame({"V1": ["0"]}), other="text")
    for name in ("RNA", "other"):
        with pytest.raises(IntegrityError, match=f"no table '{name}'"):
            read_rda_table(path, name)
    (tmp_path / "b.rda").write_text("no R data")
    with pytest.raises(IntegrityError, match="no R data file"):
        read_rda_table(tmp_path / "b.rda", "DNA")
