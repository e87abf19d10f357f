"""Tables: one row a line, whatever the quotes do; columns by name or found."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.formats.sequence_table import TableColumns, read_sequence_table
from domains.formats.table import find_column, find_id, read_table
from domains.formats.text import InputFile


def table(tmp_path: Path, text: str, name: str = "t.csv") -> InputFile:
    path = tmp_path / name
    path.write_text(text, newline="")
    return InputFile(path, "a table")


def sequences(tmp_path: Path, text: str, **columns) -> list:
    return list(read_sequence_table(table(tmp_path, text), TableColumns(**columns)))


def test_rows_become_records_with_labels_group_split_and_stamp(tmp_path: Path) -> None:
    text = (
        "name,Seq,species,kind,score,set,day\n"
        "a,ACGT,fly,promoter,1.5,train,2024-03-01\n"
        'b,GGTT,worm,"exon, last",,test,2024-03-02T12:00\n'
    )
    first, second = sequences(tmp_path, text, group="species", split="set", stamp="day", labels=("kind", "score"))
    assert (first.id, str(first.seq)) == ("a", "ACGT")
    assert first.annotations["labels"] == {"kind": "promoter", "score": 1.5}
    assert second.annotations["labels"]["kind"] == "exon, last"
    assert second.annotations["labels"]["score"] != second.annotations["labels"]["score"]
    assert (second.annotations["group"], second.annotations["split"]) == ("worm", "test")
    assert second.annotations["stamp"] - first.annotations["stamp"] == 36 * 3600
    assert second.annotations["place"][1] == 3


@pytest.mark.parametrize(("name", "separator"), [("t.csv", ","), ("t.tsv", "\t"), ("t.csv", ";")])
def test_the_separator_is_seen_in_the_header(tmp_path: Path, name: str, separator: str) -> None:
    text = f"id{separator}sequence\nx{separator}ACGT\n"
    (row,) = read_table(table(tmp_path, text, name))
    assert dict(row.cells) == {"id": "x", "sequence": "ACGT"}


CELLS = st.text(st.sampled_from('ACGT ,"x'), max_size=8)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8))
def test_what_the_csv_module_writes_is_read(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    path = tmp_path / "any.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["a", "b"])
        writer.writerows(rows)
    assert [tuple(row.cells.values()) for row in read_table(InputFile(path, "a table"))] == rows


def test_a_stray_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    """csv.reader over the file would read on to the next quote and lose the rows between."""
    text = 'id,sequence\na,ACGT\nb,"ACGT\nc,ACGT\nd,"AC"\ne,AC,GT\nf,ACGT\n'
    found = sequences(tmp_path, text)
    assert [item.id for item in found if not isinstance(item, Reject)] == ["a", "c", "d", "f"]
    assert [(r.line, r.reason) for r in found if isinstance(r, Reject)] == [(3, "open_quote"), (6, "ragged_row")]
    assert len(list(csv.reader(text.splitlines(keepends=True)))) - 1 < 6


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,,1,2024-01-01", "empty_sequence"),
        ("x,ACÉT,1,2024-01-01", "bad_letter"),
        ("x,ACGT,one,2024-01-01", "bad_label"),
        ("x,ACGT,1,yesterday", "bad_stamp"),
    ],
)
def test_a_bad_cell_rejects_its_row(tmp_path: Path, row: str, reason: str) -> None:
    text = f"id,sequence,y,day\na,ACGT,1,2024-01-01\n{row}\nb,ACGT,2,17\n"
    first, bad, last = sequences(tmp_path, text, labels=("y",), stamp="day")
    assert (first.id, last.id) == ("a", "b")
    assert (bad.reason, bad.id, bad.line) == (reason, "x", 3)


def test_columns_are_found_or_the_nearest_is_named(tmp_path: Path) -> None:
    text = "promoter_seq,y\nACGT,1\n"
    with pytest.raises(ConfigError, match=r"none of its columns is called sequence or.*\n.*promoter_seq, y"):
        sequences(tmp_path, text)
    with pytest.raises(ConfigError, match="there is no column 'promotor_seq'; did you mean 'promoter_seq'"):
        sequences(tmp_path, text, record="promotor_seq")
    (record,) = sequences(tmp_path, text, record="promoter_seq")
    assert (record.id, str(record.seq)) == ("t_1", "ACGT")
    assert find_column(["ID", "Sequence"], None, ("seq", "sequence"), "column") == "Sequence"


@pytest.mark.parametrize(
    ("text", "message"),
    [("id,sequence\n", "a header but no row"), ("a,a\n1,2\n", "repeated names"), ("a,\n1,2\n", "empty or repeated")],
)
def test_an_unusable_header_is_an_error_of_the_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(read_table(table(tmp_path, text)))


@pytest.mark.parametrize(
    ("domain", "file", "text", "options", "says"),
    [
        ("dna", "a.fa", ">a\nACGT\n", {"labels": ["x"]}, "data.labels names a column, and fasta has none"),
        ("dna", "a.fa", ">a\nACGT\n", {"group_column": "x"}, "data.group_column names a column"),
        ("proteins", "a.fa", ">a\nMKV\n", {"labels": ["x"]}, "label_table=FILE"),
        ("molecules", "a.smi", "CCO one\n", {"labels": ["x"]}, "data.labels names a column, and smiles has none"),
        ("molecules", "a.smi", "CCO one\n", {"column": "x"}, "data.column names a column"),
    ],
)
def test_columns_of_files_that_have_none_are_told(
    tmp_path: Path, domain: str, file: str, text: str, options: dict[str, Any], says: str
) -> None:
    from domains import DOMAINS

    (tmp_path / file).write_text(text)
    with pytest.raises(ConfigError, match=says):
        list(DOMAINS.get(domain).load("source")(path=tmp_path / file, **options))


def test_an_id_is_found_and_what_is_not_read_is_told(tmp_path: Path) -> None:
    file = table(tmp_path, "protein_id,seq,tm,organism\np1,ACGT,50,E. coli\np2,,60,H. sapiens\n")
    record, reject = read_sequence_table(file, TableColumns(labels=("tm",)))
    assert (record.id, reject.id) == ("p1", "p2")
    assert list(file.notes) == [
        "tables with seq read as letters, protein_id read as id, tm read as label; not read: organism (data.labels=)"
    ]
    file = table(tmp_path, "a_id,b_id,seq\n1,2,ACGT\n")
    (record,) = read_sequence_table(file, TableColumns())
    assert record.id == "t_1"  # two columns that could name it
    assert list(file.notes) == ["tables with seq read as letters; not read: a_id, b_id (data.labels=, data.id_column=)"]
    assert find_id(["a_id", "group_id"], None, ("id",), {"group_id"}) == "a_id"
