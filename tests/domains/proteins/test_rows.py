"""Plain FASTA goes into a store many records at a time: the same store as record by record, whatever the file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import InputError
from core.ingest import prepare_store
from core.rows import Rows
from core.split import SplitConfig
from core.store import TokenStore
from domains.formats.fasta import fasta_rows, read_fasta
from domains.formats.text import InputFile
from domains.proteins.source import ProteinSource, open_source
from domains.proteins.tokenizer import ResidueTokenizer

RNG = np.random.default_rng(0)


def protein(length: int) -> str:
    return "".join(RNG.choice(list("ACDEFGHIKLMNPQRSTVWY"), length))


PLAIN = [f">p{i} what it is\n{protein(70)}\n{protein(8 + i // 9)}\n" for i in range(12)]
ODD = {
    "plain": "",
    "a letter that is none": ">bad\nMKV1LA\n",
    "a gap": ">gap\nMK-VLA\n",
    "lower case": ">low\nMKvLA\n",
    "a stop at the end": ">stop\nMKVLA*\n",
    "a stop inside": ">inside\nMK*VLA\n",
    "no letters": ">empty\n>next\nMKV\n",
    "no name": ">\nMKVLA\n",
    "a name twice": ">p3\nMKVLA\n",
    "DNA": f">dna\n{'ACGT' * 20}\n",
    "a header in Latin-1": ">prot\xe9ine\nMKVLA\n",
    "a header with an arrow": ">arrow a->b\nMKVLA\n",
    "a header with a tab": "> \ttab\tx\nMKVLA\n",
    "white space": ">space\nMKV LA \n",
    "no line end": ">end\nMKVLA",
}


class OneByOne(ProteinSource):
    """The same source without many at a time."""

    rows: Any = property(lambda self: (_ for _ in ()).throw(AttributeError("rows")))


def prepared(path: Path, out: Path, kind: type[ProteinSource], **settings: Any) -> tuple[TokenStore, list[Any]]:
    source = open_source(path=path)
    source.__class__ = kind
    report = prepare_store(
        source, ResidueTokenizer(), out, split=SplitConfig("random", k=8), domain="proteins", max_bad=0.9, **settings
    )
    rejects = Path(report.rejects).read_text().splitlines() if report.rejects else []
    return TokenStore.open(out), [json.loads(line) for line in rejects]


def same(one: TokenStore, other: TokenStore) -> bool:
    return (
        one.ids[:] == other.ids[:]
        and all((a.arrays["tokens"] == b.arrays["tokens"]).all() for a, b in zip(one, other, strict=True))
        and (one.spans() == other.spans()).all()
        and all(other.attrs["report"][k] == v for k, v in one.attrs["report"].items() if k not in ("store", "rejects"))
    )


@pytest.mark.parametrize(
    ("what", "settings"),
    [*((what, {}) for what in ODD), ("plain", {"max_length": 78}), ("no line end", {"min_length": 78})],
    ids=str,
)
def test_the_store_is_that_of_record_by_record(tmp_path: Path, what: str, settings: dict[str, Any]) -> None:
    file = tmp_path / "file.fa"
    file.write_bytes(
        "".join([*PLAIN[:6], ODD[what] or PLAIN[6], *(PLAIN[7:] if what != "no line end" else [])]).encode("latin-1")
    )
    one, one_by_one = prepared(file, tmp_path / "one.zarr", OneByOne, **settings)
    many, at_once = prepared(file, tmp_path / "many.zarr", ProteinSource, **settings)
    assert one_by_one == at_once
    assert same(one, many)


@pytest.mark.parametrize("block_bytes", [4096, 64, 7])
def test_records_do_not_depend_on_where_the_file_is_cut(tmp_path: Path, block_bytes: int) -> None:
    file = tmp_path / "file.fa"
    file.write_text("\n \n" + "".join(PLAIN) + ">\nMKV\n>empty\n" + "".join(PLAIN))
    whole = list(read_fasta(InputFile(file, "FASTA")))
    many = InputFile(file, "FASTA", block_bytes=block_bytes)
    assert list(map(repr, (r for rows in fasta_rows(many) for r in rows.records()))) == list(map(repr, whole))
    assert many.records == len(whole)


def test_plain_records_are_not_made_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "file.fa"
    file.write_text("".join(PLAIN))
    found = list(open_source(path=file).rows())
    assert [name for rows in found if isinstance(rows, Rows) for name in rows.names] == [f"p{i}" for i in range(12)]
    for rows in found:
        assert isinstance(rows, Rows)
        tokens = ResidueTokenizer().encode_rows(rows.letters, rows.lengths)
        assert tokens is not None
        each = [ResidueTokenizer().encode(r).arrays["tokens"] for r in rows.records()]
        assert (np.concatenate(each) == tokens).all()


def test_a_file_that_is_no_fasta_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file.fa"
    file.write_text("MKVLA\n" * 3)
    with pytest.raises(InputError, match="FASTA header"):
        prepared(file, tmp_path / "one.zarr", ProteinSource)
