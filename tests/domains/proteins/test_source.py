"""Protein sources: own files and published data sets as counted ingestion sees them; samples written out."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError, InputError
from core.ingest import prepare_store
from core.rejects import Reject
from core.split import SplitConfig
from core.store import TokenStore
from domains.formats.fasta import fasta_records
from domains.formats.mutations import parse_mutations
from domains.formats.seq_record import make_record
from domains.proteins.source import DATASETS, open_source, write_samples
from domains.proteins.source.published import as_published, kept_positions, side
from domains.proteins.tokenizer import RESIDUES, ProteinBpeConfig, ProteinBpeTokenizer, ResidueTokenizer

STRICT = {"domain": "proteins", "split": SplitConfig(rule="random", k=8)}


def protein(seed: int, n: int = 60) -> str:
    return "".join(np.random.default_rng(seed).choice(list(RESIDUES), n))


def test_own_files_are_prepared_into_a_store(tmp_path: Path) -> None:
    text = "".join(f">p{i} thing\n{protein(i)}\n" for i in range(8))
    (tmp_path / "a.fa").write_text(text + f">end\n{protein(8)}*\n>soft\n{protein(9).lower()}\n>in\nMK*V\n>gap\nMK-V\n")
    (tmp_path / "b.fasta.gz").write_bytes(gzip.compress(b">p0\nMKVW\n"))
    report = prepare_store(open_source(path=tmp_path), ResidueTokenizer(), tmp_path / "s.zarr", max_bad=0.5, **STRICT)
    assert report.counts == {"in": 13, "ok": 11, "rejected": {"gap": 1, "stop_inside": 1}}
    assert report.notes == {"stops dropped at the end": 1, "lower-case letters read as upper case": 60}
    store = TokenStore.open(tmp_path / "s.zarr")
    assert list(store.ids) == [*(f"p{i}" for i in range(8)), "end", "soft", "p0.2"]
    assert str(ResidueTokenizer().decode(store[8]).seq) == protein(8)
    lines = Path(report.rejects).read_text().splitlines()
    assert '"stop_inside"' in lines[0]
    assert "residue 3: '*' inside a protein" in lines[0]


def test_policies_of_stops_and_gaps(tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    path.write_text(">a\nMK*V-.L*\n")
    kept = list(open_source(path=path, stop="keep", gaps="drop"))
    assert str(kept[0].seq) == "MK*VL*"
    assert isinstance(next(iter(open_source(path=path, gaps="drop"))), Reject)
    path.write_text(">a\nMKV-*\n")
    source = open_source(path=path, gaps="drop")
    assert str(next(iter(source)).seq) == "MKV"
    assert source.notes == {"gaps dropped": 1, "stops dropped at the end": 1}


def test_bpe_goes_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_text("".join(f">p{i}\nMKVLA{protein(i, 20)}GGGS\n" for i in range(40)))
    tokenizer = ProteinBpeTokenizer(ProteinBpeConfig(vocabulary_size=40, sample_residues=2000))
    prepare_store(open_source(path=tmp_path), tokenizer, tmp_path / "s.zarr", **STRICT)
    store = TokenStore.open(tmp_path / "s.zarr")
    restored = ProteinBpeTokenizer.from_config(store.tokenizer["config"])
    assert str(restored.decode(store[3]).seq) == f"MKVLA{protein(3, 20)}GGGS"


def test_an_alphabet_hole_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_text(
        "".join(f">p{i}\n{protein(i).translate(str.maketrans('', '', 'EFI'))}\n" for i in range(9))
    )
    report = prepare_store(open_source(path=tmp_path), ResidueTokenizer(), tmp_path / "s.zarr", **STRICT)
    assert any(warning.startswith("E, F, I never occur") for warning in report.warnings)


def test_formats_are_told_apart_by_their_content_too(tmp_path: Path) -> None:
    (tmp_path / "proteins").write_text(">a\nMKV\n")
    assert open_source(path=tmp_path / "proteins").files.formats == ["fasta"]
    (tmp_path / "other").write_text("hello\n")
    with pytest.raises(InputError, match="cannot tell its format"):
        open_source(path=tmp_path / "other")
    with pytest.raises(InputError, match="holds no protein file"):
        open_source(path=make_folder(tmp_path / "empty"))


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_variants_are_prepared_with_their_reference(tmp_path: Path) -> None:
    (tmp_path / "wild.fa").write_text(">P1\nMAKVG\n")
    (tmp_path / "scan.csv").write_text(
        "mutant,score\n" + "".join(f"A2{b},{i}\n" for i, b in enumerate("GKVWY")) + "L2G,1\n"
    )
    source = open_source(path=tmp_path / "scan.csv", reference=str(tmp_path / "wild.fa"))
    assert source.suggested_split["rule"] == "random"
    prepare_store(source, ResidueTokenizer(), tmp_path / "s.zarr", max_bad=0.5, **STRICT)
    store = TokenStore.open(tmp_path / "s.zarr")
    assert store.labels("mutant").tolist() == ["WT", "A2G", "A2K", "A2V", "A2W", "A2Y"]
    assert store.labels("score").tolist()[1:] == [0, 1, 2, 3, 4]
    assert "wild_type_mismatch" in (tmp_path / "s.zarr.rejects.jsonl").read_text()


def test_the_split_follows_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,sequence,set,family\na,MKV,train,x\nb,MKL,dev,y\n")
    path = tmp_path / "a.csv"
    assert open_source(path=path).suggested_split["rule"] == "cluster"
    assert open_source(path=path, group_column="family").suggested_split["rule"] == "group"
    source = open_source(path=path, split_column="set")
    assert source.suggested_split["rule"] == "given"
    assert [source.split(record) for record in source] == ["train", "validation"]
    (tmp_path / "one.fa").write_text(">a\nMKV\n")
    assert open_source(path=tmp_path / "one.fa").suggested_split["rule"] == "last"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either data=NAME or data.path=FILES"),
        ({"data": "uniprot"}, "there is no data set of proteins 'uniprot'; did you mean 'uniprot20k'"),
        ({"data": "gb1", "column": "x"}, "data.column is for files of your own"),
        ({"path": "a.fa", "stopp": "keep"}, "did you mean 'stop'"),
        ({"path": "a.fa", "gaps": "keep"}, "data.gaps='keep' is not allowed"),
    ],
)
def test_wrong_options_are_explained(options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_source(**options)


def test_sides_of_variants_keep_the_test_apart() -> None:
    assert [side("singles", m, frozenset()) for m in ("WT", "A2G", "A2G:K3R")] == ["train", "train", "test"]
    assert [side("distance", m, frozenset()) for m in ("A2G:K3R", "A2G:K3R:V4L")] == ["train", "test"]
    assert side("groups", "A2G:K3R", frozenset()) == "2,3"
    kept = kept_positions(55)
    assert kept == kept_positions(55)
    assert len(kept) == 16
    inside = [f"A{p + 1}G" for p in sorted(kept)[:2]]
    outside = f"A{min(set(range(55)) - kept) + 1}G"
    assert side("positions", ":".join(inside), kept) == "test"
    assert side("positions", outside, kept) == "train"
    assert side("positions", f"{inside[0]}:{outside}", kept) == "validation"


def test_published_variants_get_their_mutations() -> None:
    data = DATASETS["nisthal"]
    wild = data.wild_type
    records = [make_record(f"A{wild[1:]}".encode(), "1", labels={"y": 0.5}), make_record(b"MK", "2")]
    first, second = as_published(data, records)
    assert (first.id, first.annotations["labels"], first.annotations["group"]) == (
        "T1A",
        {"mutant": "T1A", "score": 0.5},
        "1",
    )
    assert second.reason == "reference_mismatch"


def test_samples_are_written_with_their_likelihood(tmp_path: Path) -> None:
    records = [make_record(b"MKVL", "a"), make_record(b"W", "")]
    assert write_samples(tmp_path / "s.fasta", records, [4 * math.log(2), 1.0]) == 2
    back = list(fasta_records(tmp_path / "s.fasta"))
    assert [str(r.seq) for r in back] == ["MKVL", "W"]
    assert "bits_per_residue=1.00000" in back[0].description
    assert back[1].id == "sample_2"
    with pytest.raises(ValueError, match=r"shorter|longer"):
        write_samples(tmp_path / "t.fasta", records, [1.0])
    assert not (tmp_path / "t.fasta").exists()


@pytest.mark.network
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in ("gb1", "gb1_4site") else n for n in DATASETS]
)
def test_published_data_are_what_they_say(name: str) -> None:
    source = open_source(data=name)
    data, tokenizer, n, singles, put = DATASETS[name], ResidueTokenizer(), 0, 0, 0
    for record in source:
        assert not isinstance(record, Reject), record
        if n < 500:
            tokenizer.encode(record)
        if data.wild_type:
            singles += len(parse_mutations(record.annotations["labels"]["mutant"])) == 1
            put += math.isnan(record.annotations["labels"]["score"])
        n += 1
    assert put == bool(data.wild_type)  # the wild type, before its variants
    assert f"{n - put:,} " in data.what
    assert singles == {"gb1": 0, "tdp43": 1266, "amyloid": 499, "nisthal": 813, "gb1_4site": 76}.get(name, 0)
