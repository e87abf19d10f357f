"""Columns of labels: numbers or text is seen from the first rows, not from the first cell."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from core.rejects import Reject
from domains.formats.label_columns import LOOKED_AT, LabelColumns
from domains.formats.smiles_table import MoleculeText, read_smiles_table
from domains.formats.table import Columns
from domains.formats.text import InputFile


@pytest.mark.parametrize(
    ("cells", "numeric"),
    [
        (["0.5", "1", "-3e2"], True),
        (["", "0.5"], True),
        ([">10", "3.5", "4"], True),
        (["5", "5;12", "7"], False),
        (["5;"], False),
        (["yes", "no", "1"], False),
        (["", "nan"], True),
    ],
)
def test_the_kind_of_a_column(cells: list[str], numeric: bool) -> None:
    assert LabelColumns(["y"], [{"y": cell} for cell in cells]).numeric == {"y": numeric}


def test_a_cell_is_what_its_column_says() -> None:
    kinds = LabelColumns(["y", "sites"], [{"y": "1.5", "sites": "5"}, {"y": "2", "sites": "5;12"}])
    assert kinds.values({"y": " 3 ", "sites": "5"}) == ({"y": 3.0, "sites": "5"}, "")
    labels, wrong = kinds.values({"y": "NA", "sites": ""})
    assert math.isnan(float(labels["y"]))
    assert not wrong
    assert kinds.values({"y": "1e999", "sites": "1"})[1].startswith("label 'y' is '1e999'")
    assert kinds.values({"y": ">10", "sites": "1"})[1].startswith("label 'y' is '>10'")


def test_a_censored_first_row_costs_itself_only(tmp_path: Path) -> None:
    rows = ["C,>10", "CC,1.5", "CCC,", "CCCC,nan"] + ["CO,2"] * LOOKED_AT
    path = tmp_path / "assay.csv"
    path.write_text("\n".join(["smiles,y", *rows, "CN,<1"]) + "\n")
    found = list(read_smiles_table(InputFile(path, "a table"), Columns(labels=("y",))))
    assert [item.index for item in found if isinstance(item, Reject)] == [0, len(rows)]
    values = [item.labels["y"] for item in found if isinstance(item, MoleculeText)]
    assert values[0] == 1.5
    assert all(math.isnan(v) for v in values[1:3])
    assert values[3:] == [2.0] * LOOKED_AT
