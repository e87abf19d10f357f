"""A scan as pairs: each variant beside its wild type, which is had back from it, or stands in the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.ingest import prepare_store
from core.split import SplitConfig
from core.store import TokenStore
from domains.formats.seq_record import letters_of
from domains.proteins.source import open_source
from domains.proteins.tokenizer import ResidueTokenizer

WILD = "MKVLAAGW"


def prepared(folder: Path, table: str, **options: Any) -> TokenStore:
    (folder / "scan.csv").write_text(table)
    source = open_source(path=folder / "scan.csv", **options)
    out = folder / "scan.zarr"
    prepare_store(
        source, ResidueTokenizer(), out, split=SplitConfig(**source.suggested_split), domain="proteins", max_bad=0.5
    )
    return TokenStore.open(out)


def pairs(store: TokenStore) -> list[tuple[str, str]]:
    return [(store.ids[a], store.ids[b]) for a, b in np.asarray(store.pairs).tolist()]


def test_the_wild_type_comes_before_its_variants(tmp_path: Path) -> None:
    (tmp_path / "wt.fa").write_text(f">wt\n{WILD}\n")
    table = "mutant,DMS_score\nK2A,0.1\nK2A:W8F,-0.2\nQ2A,1\n"
    store = prepared(tmp_path, table, reference=str(tmp_path / "wt.fa"))
    assert pairs(store) == [("wild_type", "K2A"), ("wild_type", "K2A:W8F")]
    assert letters_of(ResidueTokenizer().decode(store[0])) == WILD.encode()
    assert np.isnan(store.labels("score")[0])
    assert store.attrs["counts"] == {"in": 4, "ok": 3, "rejected": {"wild_type_mismatch": 1}}


def test_a_row_of_the_wild_type_is_the_reference(tmp_path: Path) -> None:
    table = f"name,mutant,mutated_sequence,DMS_score\nwild,WT,{WILD},1\nv,K2A,MAVLAAGW,0.5\n"
    store = prepared(tmp_path, table)
    assert pairs(store) == [("wild", "v")]
    assert store.labels("score").tolist() == [1, 0.5]


def test_variants_of_two_proteins_have_two_wild_types(tmp_path: Path) -> None:
    table = "mutant,mutated_sequence,DMS_score,assay\nK2A,MAVLAAGW,0.5,a\nL3R,MARWW,0.1,b\nA2K,MKVLAAGW,0,a\n"
    store = prepared(tmp_path, table, labels=("assay",))
    assert pairs(store) == [("wild_type", "K2A"), ("wild_type_2", "L3R"), ("wild_type_3", "A2K")]
    assert store.labels("assay").tolist()[:2] == ["", "a"]


def test_a_protein_that_is_no_variant_is_compared_with_nothing(tmp_path: Path) -> None:
    store = prepared(tmp_path, f"id,sequence\na,{WILD}\nb,MKV\n")
    assert len(store) == 2
    assert not len(store.pairs)


@pytest.mark.parametrize("name", ["amyloid"])
@pytest.mark.network
def test_a_published_scan_has_its_wild_type(name: str) -> None:
    source = open_source(name)
    first, second = (record for record, _ in zip(source, range(2), strict=False))
    assert source.reference(first) == ("wild type 1", True)
    assert source.reference(second) == ("wild type 1", False)
