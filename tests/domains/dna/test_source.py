"""DNA sources: own files and published data sets as counted ingestion sees them; samples written out."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError, IntegrityError, RecordError, ResourceError
from core.ingest import prepare_store
from core.rejects import Reject
from core.split import SplitConfig
from core.store import TokenStore
from domains.dna.source import DATASETS, open_source, write_samples
from domains.dna.source import records as records_module
from domains.dna.tokenizer import BpeConfig, BpeTokenizer, KmerConfig, KmerTokenizer, NucleotideTokenizer
from domains.formats.fasta import fasta_records
from domains.formats.seq_record import make_record
from tests.domains.formats.test_genbank import coding, genbank_text


def test_own_files_are_prepared_into_a_store(tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_text(">chr1 soft\n" + "acgtNNACGU" * 20 + "\n>gap\nAC-GT\n")
    (tmp_path / "b.fa.gz").write_bytes(gzip.compress(b">chr1\n" + b"GGTTACCA" * 20 + b"\n"))
    source = open_source(path=tmp_path)
    report = prepare_store(
        source,
        NucleotideTokenizer(),
        tmp_path / "s.zarr",
        split=SplitConfig(rule="last", complement=True),
        domain="dna",
        max_bad=0.5,
    )
    assert report.counts == {"in": 3, "ok": 2, "rejected": {"gap": 1}}
    assert report.notes == {"lower-case letters read as upper case": 80, "U read as T": 20}
    store = TokenStore.open(tmp_path / "s.zarr")
    assert list(store.ids) == ["chr1", "chr1.2"]
    assert str(NucleotideTokenizer().decode(store[0]).seq) == "ACGTNNACGT" * 20
    line = Path(report.rejects).read_text()
    assert '"line": 3' in line
    assert "'-' is a gap" in line


@pytest.mark.parametrize(
    "tokenizer",
    [KmerTokenizer(KmerConfig(k=3)), BpeTokenizer(BpeConfig(vocabulary_size=40, sample_bases=1000))],
    ids=["kmer", "bpe"],
)
def test_the_other_tokenizers_go_the_same_way(tmp_path: Path, tokenizer) -> None:
    (tmp_path / "a.fa").write_text(">chr1\n" + "GATTACATTAG" * 100 + "\n")
    report = prepare_store(
        open_source(path=tmp_path / "a.fa"),
        tokenizer,
        tmp_path / "s.zarr",
        split=SplitConfig(rule="last"),
        domain="dna",
    )
    store = TokenStore.open(tmp_path / "s.zarr")
    assert report.n_tokens < 1100 / 1.5
    restored = type(tokenizer).from_config(store.tokenizer["config"])
    assert str(restored.decode(store[0]).seq) == "GATTACATTAG" * 100
    spans = store.spans("test")
    assert restored.units({"tokens": store[0].arrays["tokens"][spans[0, 1] : spans[0, 2]]}).sum() == pytest.approx(
        110, abs=3
    )


def test_letters_are_canonical_and_strands_pair(tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_text(">a\nacguRYn\n")
    source = open_source(path=str(tmp_path / "a.fa"))
    (record,) = source
    assert source.letters(record).tobytes() == b"ACGTRYN"
    assert source.complement[source.letters(record)].tobytes() == b"TGCAYRN"
    assert np.array_equal(source.complement[source.complement], np.arange(256))
    piece = source.piece(record, 2, 5)
    assert (piece.id, str(piece.seq)) == ("a", "guR")


def test_genbank_brings_codon_positions_as_token_labels(tmp_path: Path) -> None:
    (tmp_path / "a.gb").write_text(genbank_text("A", "CCATGAAATAGC", (coding((2, 11, 1)),)))
    source = open_source(path=[tmp_path / "a.gb"])
    (record,) = source
    expected = [-1, -1, 0, 1, 2, 0, 1, 2, 0, 1, 2, -1]
    assert NucleotideTokenizer().encode(record).token_labels["codon_position"].tolist() == expected
    piece = source.piece(record, 3, 6)
    assert NucleotideTokenizer().encode(piece).token_labels["codon_position"].tolist() == [1, 2, 0]
    (bare,) = open_source(path=[tmp_path / "a.gb"], codon_positions=False)
    assert not NucleotideTokenizer().encode(bare).token_labels
    (tmp_path / "b.fa").write_text(">b\nACGT\n")
    assert not open_source(path=[tmp_path / "a.gb", tmp_path / "b.fa"]).codon_positions


def test_a_table_brings_groups_splits_stamps_and_labels(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "name,dna,set,species,day,y\na,ACGT,Training,fly,2024-01-02,1\nb,GGTT,dev,worm,2023-05-06,2\n"
    )
    options = {"split_column": "set", "group_column": "species", "stamp_column": "day", "labels": ["y"]}
    source = open_source(path=tmp_path / "t.csv", **options)
    a, b = source
    assert [source.split(r) for r in (a, b)] == ["train", "validation"]
    assert [source.group(r) for r in (a, b)] == ["fly", "worm"]
    assert source.stamp(a) > source.stamp(b)
    assert source.labels(a) == {"y": 1.0}
    assert source.suggested_split == {"rule": "given", "complement": True}


def test_regions_of_a_genome(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(">chr1\nAACCGGTT\n")
    (tmp_path / "r.bed").write_text("chr1\t0\t3\tx\t0\t-\nchr2\t0\t3\ty\n")
    source = open_source(path=tmp_path / "g.fa", bed=str(tmp_path / "r.bed"))
    record, reject = source
    assert str(record.seq) == "GTT"
    assert isinstance(reject, Reject)
    assert source.records_in == 2


@pytest.mark.parametrize(
    ("lengths", "rule"),
    [
        ([50_000], "last"),
        ([400], "last"),
        ([30_000] * 3, "last"),
        ([500] * 50, "cluster"),
        ([25_000] + [300] * 9000, "cluster"),
    ],
)
def test_a_split_is_suggested_by_what_the_records_are(tmp_path: Path, lengths: list[int], rule: str) -> None:
    (tmp_path / "x.fa").write_text("".join(f">r{i}\n{'ACGT' * (n // 4)}\n" for i, n in enumerate(lengths)))
    assert open_source(path=tmp_path / "x.fa").suggested_split["rule"] == rule


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"either data=NAME or data\.path=FILES"),
        ({"data": "ecoli", "path": "x.fa"}, r"either data=NAME or data\.path=FILES"),
        ({"data": "ecolli"}, r"no data set of DNA 'ecolli'; did you mean 'ecoli'"),
        ({"path": "x.fa", "colum": "a"}, r"data\.colum is unknown; did you mean 'column'"),
        ({"path": "x.fa", "groups": ["a"]}, "files of your own have none"),
        ({"data": "bacteria", "groups": "Vibrio"}, "no group 'Vibrio'; did you mean 'Vibrio cholerae'"),
        ({"data": "ecoli", "groups": "x"}, "no group 'x'"),
    ],
)
def test_wrong_settings_are_explained(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_source(**options)


def test_a_data_set_that_cannot_be_reached_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("domains.formats.registries.DEBIAN_POOL", f"file://{tmp_path}")
    with pytest.raises(ResourceError, match=r"bowtie-examples 1\.3\.1-1 cannot be reached"):
        open_source("ecoli")


def test_every_data_set_is_pinned_and_cited() -> None:
    for name, data in DATASETS.items():
        assert data.members, name
        assert all(len(digest) == 64 and int(digest, 16) for digest in data.members.values())
        assert "doi:" in data.citation
        assert data.licence
        SplitConfig(**data.split)
        assert set(data.sides) <= set(data.groups.values())


def test_groups_of_a_data_set_are_chosen_and_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On stand-ins for the genomes: who is in which group comes from the member's path."""

    def stand_in(package: object, members: dict[str, str]) -> dict[str, Path]:
        places = {member: tmp_path / member for member in members}
        for place in places.values():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(gzip.compress(f">{place.name}\nACGT\n".encode()))
        return places

    monkeypatch.setattr(records_module, "fetch_members", stand_in)
    source = open_source("bacteria")
    groups = [source.group(record) for record in source]
    assert {group: groups.count(group) for group in groups} == {
        "Escherichia coli": 2,
        "Helicobacter pylori": 5,
        "Staphylococcus aureus": 5,
        "Vibrio cholerae": 4,
    }
    assert source.suggested_split["rule"] == "given"
    two = open_source("bacteria", groups=["Escherichia coli", "Vibrio cholerae"])
    assert [two.split(record) for record in two] == ["train"] * 2 + ["test"] * 4
    assert len(two.provenance["sha256"]) == 6
    one_sided = open_source("bacteria", groups=["Escherichia coli", "Staphylococcus aureus"])
    assert one_sided.suggested_split["rule"] == "group"


SIZES = {
    "ecoli": (1, 4_938_920),
    "bacteria": (20, 48_205_369),
    "worm_x": (1, 17_718_849),
    "fly_promoters": (26_454, 52_904_706),
    "chloroplast": (1, 128_214),
    "splice": (3_001, 180_060),
    "mpsa": (30_483, 274_347),
    "sortseq": (50_518, 3_788_850),
    "gene_structures": (586, 3_281_194),
}


@pytest.mark.network
@pytest.mark.parametrize("name", SIZES)
def test_the_published_data_are_what_they_are_said_to_be(name: str) -> None:
    source = open_source(name)
    records = [record for record in source if not isinstance(record, Reject)]
    assert (len(records), sum(map(len, records))) == SIZES[name]
    assert source.records_in == SIZES[name][0]
    tokenizer = NucleotideTokenizer()
    letters = np.bincount(np.concatenate([tokenizer.encode(r).arrays["tokens"] for r in records]), minlength=20)
    assert letters[:5].sum() == 0
    if name == "ecoli":
        assert letters[9:].sum() == 0
    if name == "chloroplast":
        places = tokenizer.encode(records[0]).token_labels["codon_position"]
        assert np.bincount(places + 1).tolist() == [60_245, 22_656, 22_657, 22_656]
        # the part left out was the second copy of the inverted repeat; what is kept has no such copy at its end
        kept = str(records[0].seq)
        assert kept.find(str(records[0].seq[-1000:].reverse_complement())) == -1
    if name == "splice":
        donors = [r for r in records if source.labels(r)["class"] == "ei"]
        assert np.mean([str(r.seq)[30:32] == "GT" for r in donors]) > 0.98
        assert source.notes["rows left out that repeat a sequence"] == 185
    if name in ("mpsa", "sortseq"):
        sides = [source.split(r) for r in records]
        assert sides.count("train") == {"mpsa": 18_469, "sortseq": 30_516}[name]
        values = [source.labels(r)["log10_psi" if name == "mpsa" else "mean_bin"] for r in records]
        assert np.isfinite(values).all()
    if name == "gene_structures":
        assert [source.split(r) for r in records].count("test") == 100
        structure = np.concatenate([tokenizer.encode(r).token_labels["structure"] for r in records])
        codons = np.concatenate([tokenizer.encode(r).token_labels["codon_position"] for r in records])
        assert ((structure == 1) == (codons >= 0)).all()


def test_a_wrong_pin_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from domains.formats.registries import PipSettings
    from tests.domains.formats.test_package_data import tar_bytes

    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    data = DATASETS["chloroplast"]
    (tmp_path / data.package.file).write_bytes(tar_bytes("w:gz", dict.fromkeys(data.members, b"LOCUS")))
    settings = PipSettings((), (str(tmp_path),))
    monkeypatch.setattr(PipSettings, "read", classmethod(lambda cls: settings))
    monkeypatch.setitem(DATASETS, "chloroplast", replace(data))
    with pytest.raises(IntegrityError, match=r"biopython 1\.88 does not hold the data it should"):
        open_source("chloroplast")


def test_samples_are_written_with_their_likelihoods(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "samples.fasta"
    records = [make_record(b"ACGT" * 30, "s1"), make_record(b"AC", "")]
    assert write_samples(path, iter(records), [120 * math.log(2), math.log(4)]) == 2
    first, second = fasta_records(path)
    assert first.description == "s1 nats=83.1777 bits_per_base=1.00000 length=120"
    assert (second.id, str(second.seq)) == ("sample_2", "AC")
    assert write_samples(path, records) == 2
    assert next(fasta_records(path)).description == "s1 length=120"


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "samples.fasta"
    path.write_text("before")

    def broken():
        yield make_record(b"ACGT", "a")
        raise RecordError("x", "no more")

    with pytest.raises(RecordError):
        write_samples(path, broken())
    with pytest.raises(ValueError, match="shorter"):
        write_samples(path, [make_record(b"A", "a")] * 2, [1.0])
    assert [p.name for p in tmp_path.iterdir()] == ["samples.fasta"]
    assert path.read_text() == "before"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResourceError, match=r"no space left while writing .*s\.fasta"):
        write_samples(tmp_path / "s.fasta", [make_record(b"A", "a")])
