"""Token scores as bedGraph: each base's bits where it stands, whatever the tokenizer and the strand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from core.ingest import prepare_store
from core.prediction.plan import PredictOptions
from core.prediction.predict import predict
from core.prediction.store import PredictionStore
from core.split import SplitConfig
from core.store import TokenStore
from core.tokenizer import describe
from domains.dna.source import open_source
from domains.dna.tokenizer import BpeConfig, BpeTokenizer, KmerConfig, KmerTokenizer, NucleotideTokenizer
from domains.dna.tracks import write_tracks
from tests.core.tiny import tiny_model, write_bundle

GENOME = "".join(np.random.default_rng(3).choice(list("ACGT"), 70))


def scored(folder: Path, tokenizer, bed: str | None = None, **options) -> tuple[PredictionStore, TokenStore]:
    (folder / "genome.fa").write_text(f">chr1\n{GENOME}\n>chr2\n{GENOME[:20]}\n")
    if bed is not None:
        (folder / "regions.bed").write_text(bed)
    source = open_source(path=folder / "genome.fa", bed=None if bed is None else str(folder / "regions.bed"))
    store = folder / "in.zarr"
    prepare_store(source, tokenizer, store, split=SplitConfig("random", leakage=False), domain="dna", overwrite=True)
    model = tiny_model(tokenizer.spec, context=32)
    bundle = write_bundle(folder / "bundle", model, tokenizer=describe(tokenizer))
    predict(
        bundle,
        store,
        folder / "out.zarr",
        what=["token_scores"],
        options=PredictOptions(mode="windows", **options),
        other_strand=lambda bundle: tokenizer.other_strand,
        threads=1,
    )
    return PredictionStore.open(folder / "out.zarr"), TokenStore.open(store)


def read(path: Path) -> dict[str, np.ndarray]:
    found = {"chr1": np.full(70, np.nan), "chr2": np.full(20, np.nan), "named": np.full(20, np.nan)}
    for line in path.read_text().splitlines()[1:]:
        name, start, stop, value = line.split("\t")
        found[name][int(start) : int(stop)] = float(value)
    return found


def test_every_base_has_its_bits(tmp_path: Path) -> None:
    prediction, store = scored(tmp_path, NucleotideTokenizer())
    found = read(write_tracks(prediction, store, tmp_path / "t.bedgraph"))
    for row, name in enumerate(("chr1", "chr2")):
        bits = prediction.row("token_nll", row) / math.log(2)
        assert np.allclose(found[name], bits, rtol=1e-3)
    assert "read forwards" in (tmp_path / "t.bedgraph").read_text()


def test_bases_of_a_kmer_share_its_bits(tmp_path: Path) -> None:
    prediction, store = scored(tmp_path, KmerTokenizer(KmerConfig(k=3)), strands="both")
    found = read(write_tracks(prediction, store, tmp_path / "t.bedgraph"))
    nats = prediction.row("token_nll", 0)
    assert np.allclose(found["chr1"][:69].reshape(23, 3), nats[:23, None] / 3 / math.log(2), rtol=1e-3)
    total = np.nansum(found["chr1"]) * math.log(2)
    assert math.isclose(total, nats.sum(), rel_tol=1e-3)


def test_regions_go_back_to_their_place(tmp_path: Path) -> None:
    bed = "chr1\t10\t20\nchr1\t30\t40\t.\t0\t-\nchr1\t50\t60\tnamed\n"
    prediction, store = scored(tmp_path, NucleotideTokenizer(), bed)
    found = read(write_tracks(prediction, store, tmp_path / "t.bedgraph"))
    nats = [prediction.row("token_nll", row) / math.log(2) for row in range(3)]
    assert np.allclose(found["chr1"][10:20], nats[0], rtol=1e-3)
    assert np.allclose(found["chr1"][30:40], nats[1][::-1], rtol=1e-3)
    assert np.isnan(found["chr1"][[*range(10), *range(20, 30), *range(40, 70)]]).all()
    assert np.allclose(found["named"][:10], nats[2], rtol=1e-3)


def test_the_other_strand_is_that_of_the_turned_record() -> None:
    text = GENOME[:36]
    for tokenizer in (NucleotideTokenizer(), KmerTokenizer(KmerConfig(k=4))):
        turn = tokenizer.other_strand
        assert turn is not None
        turned = turn(tokenizer.encode(text).arrays)["tokens"]
        other = tokenizer.encode(tokenizer.reverse_complement(text)).arrays["tokens"]
        assert (turned == other).all()
        assert (turn({"tokens": turned})["tokens"] == tokenizer.encode(text).arrays["tokens"]).all()
    assert BpeTokenizer(BpeConfig()).other_strand is None


def test_predictions_without_token_scores_are_refused(tmp_path: Path) -> None:
    prediction, store = scored(tmp_path, NucleotideTokenizer())
    with pytest.raises(ConfigError, match=r"\.bedgraph"):
        write_tracks(prediction, store, tmp_path / "t.wig")
    predict(tmp_path / "bundle", store.path, tmp_path / "plain.zarr", what=["score"], threads=1)
    with pytest.raises(ConfigError, match="token_nll"):
        write_tracks(PredictionStore.open(tmp_path / "plain.zarr"), store, tmp_path / "t.bedgraph")
