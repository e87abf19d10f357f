"""Tables of variants and of residue labels: every row becomes a record or a reject that says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError
from core.rejects import Reject
from domains.formats.protein_table import ProteinColumns, read_protein_table, residue_labels
from domains.formats.text import InputFile

WILD = {"P1": b"MAKVG"}


def rows(path: Path, text: str, columns: ProteinColumns | None = None, references=WILD) -> list[SeqRecord | Reject]:
    path.write_text(text)
    file = InputFile(path, "a table")
    found = list(read_protein_table(file, columns or ProteinColumns(), references))
    assert file.records == len(found)
    return found


def test_a_proteingym_table(tmp_path: Path) -> None:
    text = "mutant,mutated_sequence,DMS_score\nA2G,MGKVG,-1.5\nA2G:V4L,MGKLG,0.25\nWT,MAKVG,0\n"
    for references in (WILD, {}):
        found = rows(tmp_path / "t.csv", text, references=references)
        assert [str(r.seq) for r in found] == ["MGKVG", "MGKLG", "MAKVG"]
        assert [r.id for r in found] == ["A2G", "A2G:V4L", "WT"]
        assert found[1].annotations["labels"] == {"mutant": "A2G:V4L", "score": 0.25}
    alone = rows(tmp_path / "t.csv", "mutant,DMS_score\nA2G,-1.5\n")
    assert str(alone[0].seq) == "MGKVG"


def test_every_misfit_is_a_reject_that_names_both_sides(tmp_path: Path) -> None:
    text = (
        "mutant,mutated_sequence,score\nK2G,,1\nA20G,,1\n2G,,1\nA2G,MAKVG,1\nA2G,MGKVW,1\nA2G,MGKVG,high\nA2G,MGKVG,1\n"
    )
    found = rows(tmp_path / "t.csv", text)
    reasons = [r.reason if isinstance(r, Reject) else "ok" for r in found]
    assert reasons == [
        "wild_type_mismatch", "mutant_out_of_range", "bad_mutant", "mutated_sequence_mismatch", "reference_mismatch",
        "bad_label", "ok",
    ]  # fmt: skip
    assert "says K at position 2, reference 'P1' has A" in found[0].message
    assert found[0].line == 2


def test_rows_of_several_references(tmp_path: Path) -> None:
    columns = ProteinColumns(reference="of")
    text = "mutant,of,score\nA2G,P1,1\nW1A,P2,2\nW1A,P3,2\n"
    found = rows(tmp_path / "t.csv", text, columns, {**WILD, "P2": b"WW"})
    assert [str(r.seq) for r in found[:2]] == ["MGKVG", "AW"]
    assert found[2].reason == "no_reference"


def test_labels_of_residues(tmp_path: Path) -> None:
    columns = ProteinColumns(token_labels=("site", "fold"), labels=("kind",))
    text = 'id,sequence,site,fold,kind\na,MAK,"0,1,1",HHE,x\nb,MAK,"0,1",HHE,y\nc,MAK,"0,?,1",HHE,y\n'
    found = rows(tmp_path / "t.csv", text, columns, {})
    assert found[0].letter_annotations["site"].tolist() == [0, 1, 1]
    assert bytes(found[0].letter_annotations["fold"]) == b"HHE"
    assert found[0].annotations["labels"] == {"kind": "x"}
    assert [r.reason for r in found[1:]] == ["label_length", "bad_label"]
    assert "has 3 residues, its 'site' 2 values" in found[1].message
    assert residue_labels("011", 3, "d", "l").tolist() == [0, 1, 1]
    assert residue_labels("0.5,1,2", 3, "d", "l").dtype.kind == "f"


@pytest.mark.parametrize(
    ("text", "references", "message"),
    [
        ("mutant,score\nA2G,1\n", {}, "no reference was given"),
        ("a,b\n1,2\n", {}, "none of its columns holds sequences"),
        ("mutant,score\nA2G,1\n", {"P1": b"MA", "P2": b"MA"}, "2 references were given"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, text: str, references, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rows(tmp_path / "t.csv", text, references=references)
