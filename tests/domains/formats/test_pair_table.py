"""Pairs from a table: the columns that name records are found, labels are typed, bad lines are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from domains.formats.pair_table import read_pairs


@pytest.mark.parametrize(
    "header",
    ["first,second,strength,kind", "Protein_A,Protein_B,strength,kind", "one,other,strength,kind"],
)
def test_columns_are_found_and_labels_typed(tmp_path: Path, header: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(f"{header}\np1,p2,0.5,a\np1,p3,,b\n")
    found = read_pairs(path)
    assert (found.first, found.second) == (("p1", "p1"), ("p2", "p3"))
    np.testing.assert_array_equal(found.labels["strength"], [0.5, np.nan])
    assert found.labels["kind"].tolist() == ["a", "b"]
    turned = tmp_path / "turned.tsv"
    turned.write_text("kind\tsecond\tfirst\na\tp2\tp1\n")
    assert read_pairs(turned).first == ("p1",)
    assert read_pairs(turned).fingerprint != found.fingerprint


def test_names_alone_are_pairs_to_predict(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("a,b\np1,p2\n")
    assert read_pairs(path).labels == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("first\np1\n", "the column 'first' alone"),
        ("first,second,y\np1,p2,1\np1,,2\n", "line 3: 'second' names no record"),
        ("first,second,y\np1,p2,1\np1,p3,2\np1,p4,high\n", "line 4: label 'y' is 'high'"),
        ("first,second,y\np1,p2,1\np1,p3\n", "2 cells, the header has 3"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_pairs(path)
