"""The table, the strands and the figures of a split, with an engine whose errors are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from core.errors import ConfigError, InputError
from core.evaluation import MODEL
from core.ingest import prepare_store
from core.report import read_gallery
from core.store import TokenStore
from domains.dna.evaluation import evaluate
from domains.dna.source import open_source
from domains.dna.traces import figures
from domains.dna.traces.channel import ChannelConfig, draw_clusters
from domains.dna.traces.evaluation import confidence_against_truth, judge, up_to_first_error
from domains.dna.traces.files import write_clusters
from domains.dna.traces.reconstruction import Reconstruction
from domains.dna.traces.tokenizer import TraceTokenizer
from domains.own_data import split_config
from tests.domains.dna.traces.stand_ins import Oracle

TRACES = TraceTokenizer()
SMALL = {"resamples": 200, "orders": 2}


def prepared(source, out):
    prepare_store(source, TRACES, out, split=split_config(source, 0, {"test": 0.5}), domain="dna")
    return TokenStore.open(out)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    source = open_source("traces", length=12, reads=[2, 4], clusters=200)
    return prepared(source, tmp_path_factory.mktemp("traces") / "s.zarr")


def oracle(store, **options):
    return Oracle([TRACES.decode(store[row]) for row in range(len(store))], **options)


def test_a_model_that_knows_the_strands_has_all_of_them(store, tmp_path) -> None:
    table = evaluate(oracle(store), store, TRACES, out=tmp_path, **SMALL)
    assert table.rows[0].name == "success_rate"
    assert table.find("success_rate").value == 1
    assert table.find("levenshtein_ratio").value == 0
    assert table.find("success_rate").n == len(store.spans("test"))
    by_size = [table.find(f"success_rate_n{n}") for n in (2, 3, 4)]
    assert sum(row.n for row in by_size) == len(store.spans("test"))
    assert table.find("success_rate_minus_majority").value > 0
    assert table.find("success_rate", model="majority").value < 1
    assert {row["model"] for row in json.loads((tmp_path / "metrics.json").read_text())} >= {MODEL, "majority"}


def test_errors_are_counted_where_they_are(store, tmp_path) -> None:
    """One wrong base in every cluster of two reads."""
    engine = oracle(store, errs=lambda cluster: len(cluster.reads) == 2)
    table = evaluate(engine, store, TRACES, out=tmp_path, figures=False, **SMALL)
    assert [table.find(f"success_rate_n{n}").value for n in (2, 3, 4)] == [0, 1, 1]
    assert table.find("levenshtein_ratio_n2").value == pytest.approx(1 / 12)
    share = table.find("success_rate_n2").n / table.find("success_rate").n
    assert table.find("success_rate").value == pytest.approx(1 - share)
    assert table.find("success_rate_orders_2_minus_one_order").value == 0


def test_strands_are_written_with_qualities(store, tmp_path) -> None:
    evaluate(oracle(store), store, TRACES, out=tmp_path, clusters=7, figures=False, **SMALL)
    lines = (tmp_path / "reconstructions.fastq").read_text().splitlines()
    assert len(lines) == 4 * 7
    rows = store.spans("test")[:7, 0]
    assert lines[1::4] == [TRACES.decode(store[row]).truth for row in rows]
    assert {len(line) for line in lines[3::4]} == {12}


def test_figures(store, tmp_path) -> None:
    evaluate(oracle(store), store, TRACES, out=tmp_path, **SMALL)
    names = [figure.path.name for figure in read_gallery(tmp_path)]
    assert names == ["success_by_reads.svg", "errors_by_position.svg", "calibration.svg"]


def test_without_truths_there_is_nothing_to_compare_with(tmp_path) -> None:
    write_clusters(draw_clusters(ChannelConfig(12, (2, 2)), 20, 0), tmp_path / "reads.txt")
    bare = prepared(open_source(None, tmp_path / "reads.txt", format="traces"), tmp_path / "s.zarr")
    with pytest.raises(InputError, match="no truth"):
        evaluate(oracle(bare), bare, TRACES, out=tmp_path / "out", **SMALL)


def test_strands_that_nobody_knows_are_written_and_not_judged(tmp_path) -> None:
    known = list(draw_clusters(ChannelConfig(length=12, reads=(2, 3)), 5, 0))
    write_clusters(known, tmp_path / "reads.txt")
    store = prepared(open_source(path=tmp_path / "reads.txt", format="traces"), tmp_path / "s.zarr")
    assert len(store.spans("test")) == len(known)
    engine = Oracle([replace(c, id=store.ids[i]) for i, c in enumerate(known)])
    table = evaluate(engine, store, TRACES, out=tmp_path / "out", length=12, orders=1)
    assert [row.name for row in table.rows] == ["expected_errors"]
    lines = (tmp_path / "out" / "reconstructions.fastq").read_text().splitlines()
    assert lines[1::4] == [c.truth for c in known]
    judged = prepared(open_source("traces", length=12, reads=[2, 3], clusters=30), tmp_path / "t.zarr")
    with pytest.raises(InputError, match="they are known"):
        evaluate(oracle(judged), judged, TRACES, out=tmp_path / "no", length=12)


def test_strands_of_two_lengths_are_refused(tmp_path) -> None:
    clusters = [c for length in (5, 6) for c in draw_clusters(ChannelConfig(length, (1, 1)), 20, 0)]
    write_clusters(clusters, tmp_path / "reads.txt", tmp_path / "truths.txt")
    mixed = prepared(open_source(None, tmp_path / "reads.txt", truths=str(tmp_path / "truths.txt")), tmp_path / "s")
    with pytest.raises(InputError, match="5 to 6 bases"):
        evaluate(oracle(mixed), mixed, TRACES, out=tmp_path / "out", **SMALL)


def test_options_are_checked(store, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"order.*orders"):
        evaluate(oracle(store), store, TRACES, out=tmp_path, order=2)
    with pytest.raises(ConfigError, match=r"evaluation\.orders"):
        evaluate(oracle(store), store, TRACES, out=tmp_path, orders=0)


def test_confidence_and_rightness_up_to_the_first_error() -> None:
    found = [Reconstruction("a", "ACGT", np.array([0.9, 0.8, 0.7, 0.6]), 0.0, 2)]
    confidence, right = confidence_against_truth(found, ["ACTT"])
    assert right.tolist() == [[True, True, False, True]]
    kept, hits = up_to_first_error(confidence, right)
    assert kept.tolist() == [0.9, 0.8, 0.7]
    assert hits.tolist() == [True, True, False]


def test_judging() -> None:
    judged = judge(["ACGT", "AGT"], ["ACGT", "ACGT"])
    assert judged.distances.tolist() == [0, 1]
    assert judged.perfect.tolist() == [True, False]


def test_wilson_is_no_point_at_the_ends() -> None:
    low, high = figures.wilson(0, 50)
    assert low == 0
    assert high == pytest.approx(0.0714, abs=1e-3)
    assert figures.wilson(50, 50)[0] == pytest.approx(1 - high)


def test_error_profile_counts_missing_bases_as_wrong() -> None:
    assert figures.error_profile(["ACG", "AC", "ACGT"], ["ACG", "ACG", "TCG"]).tolist() == pytest.approx(
        [1 / 3, 0, 1 / 3]
    )
