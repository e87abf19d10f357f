"""Labels from a table: found by name or file, counted where records and lines do not meet, refused where in doubt."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from core.errors import ConfigError, InputError
from core.ingest import prepare_store
from core.split import SplitConfig
from domains import DOMAINS
from domains.formats.label_table import Labelled, LabelTable

FASTA = ">one\nACGTACGT\n>two\nGGGTTTAA\n>three\nACACACAC\n"


def opened(folder: Path, table: str, *, whole: bool = True) -> Labelled:
    (folder / "reads.fa").write_text(FASTA)
    (folder / "labels.csv").write_text(table)
    source = DOMAINS.get("dna").load("source")(path=folder / "reads.fa")
    return Labelled(source, LabelTable(folder / "labels.csv"), whole=whole)


def test_labels_reach_the_store_also_where_many_records_are_read_at_once(tmp_path: Path) -> None:
    source = opened(tmp_path, "id,kind,activity\ntwo,b,0.5\none,a,NA\nfour,c,1\n")
    tokenizer = DOMAINS.get("dna").make_tokenizer()
    out = tmp_path / "store.zarr"
    report = prepare_store(source, tokenizer, out, split=SplitConfig(rule="random"), domain="dna")
    from core.store import TokenStore

    store = TokenStore.open(out)
    names, kinds = list(store.ids), list(store.labels("kind")[:])
    assert dict(zip(names, kinds, strict=True)) == {"one": "a", "two": "b", "three": ""}
    numbers = dict(zip(names, map(float, store.labels("activity")[:]), strict=True))
    assert numbers["two"] == 0.5
    assert math.isnan(numbers["one"])
    assert math.isnan(numbers["three"])
    assert report.notes["records without a line in labels.csv"] == 1
    assert report.notes["lines of labels.csv that name no record"] == 1
    assert source.provenance["labels"] == "labels.csv"


def test_a_record_may_be_named_as_its_file(tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("what\tfile\nreel\tpieces/one.mid\njig\ttwo.mxl.gz\nair\ta/same.mid\nair\tb/same.mid\n")
    found = LabelTable(table)
    assert found.column == "file"
    assert found.of("one") == ("pieces/one.mid", {"what": "reel"})
    assert found.of("two") == ("two.mxl.gz", {"what": "jig"})
    assert found.of("same") is None
    assert found.of("a/same.mid") is not None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("id,y\none,1\none,2\n", "line 3: record 'one' stands there twice"),
        ("id,y\none,1\n,2\n", "line 3: it names no record"),
        ("id,y\none,1\ntwo,3\nthree,>10\n", "line 4: label 'y' is '>10'"),
        ("id,y\none,1\ntwo\n", "line 3: 1 cells"),
        ("id\none\n", "column 'id' alone"),
        ("id,y\n", "no row"),
    ],
)
def test_a_line_in_doubt_ends_the_work(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        opened(tmp_path, table)


def test_a_table_of_other_records_is_refused_but_not_by_a_part_of_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of its lines names a record") as error:
        list(opened(tmp_path, "id,y\nonne,1\n"))
    assert "'one'" in (error.value.hint or "")
    part = opened(tmp_path, "id,y\nonne,1\n", whole=False)
    assert len(list(part)) == 3
    assert part.notes["records without a line in labels.csv"] == 3


def test_a_label_that_records_have_already_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reads.csv").write_text("id,sequence,kind\none,ACGT,x\n")
    (tmp_path / "labels.csv").write_text("id,kind\none,y\n")
    source = DOMAINS.get("dna").load("source")(path=tmp_path / "reads.csv", labels=["kind"])
    labelled = Labelled(source, LabelTable(tmp_path / "labels.csv"))
    record = next(iter(labelled))
    with pytest.raises(ConfigError, match="have a label 'kind' already"):
        labelled.labels(record)
