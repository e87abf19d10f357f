"""Clusters into stores: made ones and files, by the verbs' own way in."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.errors import ConfigError, InputError
from core.ingest import prepare_store, rejects_path
from core.sequence import Sequence
from core.store import TokenStore
from domains import DOMAINS
from domains.dna.source import open_source, write_samples
from domains.dna.traces.channel import ChannelConfig, draw_clusters
from domains.dna.traces.files import SEPARATOR, write_clusters
from domains.dna.traces.source import TraceSource
from domains.dna.traces.tokenizer import TraceTokenizer
from domains.own_data import split_config


def prepare(source, out, **options):
    return prepare_store(source, TraceTokenizer(), out, split=split_config(source, 0, {}), domain="dna", **options)


def test_made_clusters_become_a_store(tmp_path) -> None:
    source = open_source("traces", length=12, reads=[2, 3], clusters=400)
    report = prepare(source, tmp_path / "s.zarr")
    store = TokenStore.open(tmp_path / "s.zarr")
    assert report.counts == {"in": 400, "ok": 400, "rejected": {}}
    assert [len(store.spans(s)) for s in ("train", "validation", "test")] == [320, 40, 40]
    made = list(draw_clusters(ChannelConfig(12, (2, 3)), 400, 0))
    back = TraceTokenizer().decode(store[7])
    assert (back.reads, back.truth) == (made[7].reads, made[7].truth)
    assert store[7].labels["rate_deletion"] == pytest.approx(made[7].rates[1])
    assert store[7].loss_mask["tokens"].sum() == 12
    assert store.name == "traces"


def test_files_become_a_store_with_every_cluster_counted(tmp_path) -> None:
    clusters = list(draw_clusters(ChannelConfig(12, (2, 3)), 50, 0))
    write_clusters(clusters, tmp_path / "reads.txt", tmp_path / "truths.txt")
    with (tmp_path / "reads.txt").open("a") as file:
        file.write(f"NN\n{SEPARATOR}\nACGT\n")
    with (tmp_path / "truths.txt").open("a") as file:
        file.write("ACGT\nACXT\n")
    source = open_source(None, tmp_path / "reads.txt", truths=str(tmp_path / "truths.txt"))
    report = prepare(source, tmp_path / "s.zarr", max_bad=0.1)
    assert report.counts == {"in": 52, "ok": 50, "rejected": {"bad_letter": 1, "no_reads": 1}}
    assert report.notes["reads with N left out"] == 1
    lines = [json.loads(line) for line in rejects_path(tmp_path / "s.zarr").read_text().splitlines()]
    expected = 1 + sum(len(c.reads) + 1 for c in clusters)
    assert [(line["reason"], line["line"]) for line in lines] == [("no_reads", expected), ("bad_letter", expected + 2)]


def test_reads_without_truths_are_context_alone(tmp_path) -> None:
    write_clusters(draw_clusters(ChannelConfig(12, (2, 3)), 30, 0), tmp_path / "reads.txt")
    prepare(open_source(None, tmp_path / "reads.txt", format="traces"), tmp_path / "s.zarr")
    store = TokenStore.open(tmp_path / "s.zarr")
    assert not any(store[row].loss_mask["tokens"].any() for row in range(len(store)))


def test_other_dna_is_read_as_before(tmp_path) -> None:
    (tmp_path / "a.fa").write_text(">a\nACGT\n")
    assert not isinstance(open_source(None, tmp_path / "a.fa"), TraceSource)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"lenght": 3}, "lenght.*length"),
        ({"clusters": 0}, "data.clusters"),
        ({"bad_reads": "keep"}, "data.bad_reads"),
        ({"format": "fasta"}, "data.format"),
    ],
)
def test_options_are_checked(options, match) -> None:
    with pytest.raises(ConfigError, match=match):
        open_source("traces", **options)


def test_files_that_are_not_there_are_named(tmp_path) -> None:
    with pytest.raises(InputError, match=r"reads\.txt"):
        open_source(None, tmp_path / "reads.txt", format="traces")


def test_a_cluster_cannot_be_cut() -> None:
    source = open_source("traces", length=5, reads=[2, 2], clusters=3)
    with pytest.raises(ConfigError, match="cannot be cut"):
        source.piece(next(iter(source)), 0, 2)


def test_samples_are_written_as_their_strands(tmp_path) -> None:
    cluster = TraceTokenizer().decode(TraceTokenizer().encode("ACG|AC:ACGT"))
    assert write_samples(tmp_path / "s.fasta", [cluster], [1.0]) == 1
    header, letters = (tmp_path / "s.fasta").read_text().splitlines()
    assert letters == "ACGT"
    assert header.endswith("length=4")


def test_batches_predict_the_strands_alone(tmp_path) -> None:
    source = open_source("traces", length=12, reads=[2, 3], clusters=200)
    prepare(source, tmp_path / "s.zarr")
    tokenizer = TraceTokenizer()
    data = DOMAINS.get("dna").load("data_module")(tmp_path / "s.zarr", tokenizer)
    batch = next(iter(data.train_batches(0, 1)))
    for tokens, counted in zip(batch.targets["tokens"].numpy(), batch.loss_mask["tokens"].numpy(), strict=True):
        assert counted.sum() == 12 + 1, "a strand of 12 and EOS are predicted"
        whole = tokens[: np.flatnonzero(counted)[-1]].astype(np.uint8)
        cluster = tokenizer.decode(Sequence({"tokens": whole}))
        assert "".join(tokenizer.vocabulary.decode(tokens[counted]))[:12] == cluster.truth
