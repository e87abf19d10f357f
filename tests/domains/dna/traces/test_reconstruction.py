"""Reconstruction with an engine that knows the answers, and with an untrained model that knows none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.decoding.slots import Sample
from core.engine import Engine
from core.errors import ConfigError, RecordError
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.sequence import Sequence
from domains.dna.traces.channel import ChannelConfig, draw_clusters
from domains.dna.traces.cluster import Cluster
from domains.dna.traces.reconstruction import reconstruct
from domains.dna.traces.tokenizer import TraceTokenizer
from tests.domains.dna.traces.stand_ins import RIGHT, Oracle

TRACES = TraceTokenizer()
CLUSTERS = list(draw_clusters(ChannelConfig(10, (2, 4)), 40, 0))


@pytest.fixture(scope="module")
def engine():
    torch.manual_seed(0)
    model = SequenceModel(TRACES.spec, ModelConfig(width=32, layers=1, context=80))
    return Engine(model, device="cpu")


def test_strands_in_the_order_of_the_clusters() -> None:
    found = reconstruct(Oracle(CLUSTERS), TRACES, CLUSTERS, 10)
    assert [(f.id, f.strand) for f in found] == [(c.id, c.truth) for c in CLUSTERS]
    assert all(f.confidence == pytest.approx([RIGHT] * 10) for f in found)
    assert all(f.nats == pytest.approx(-10 * np.log(RIGHT)) for f in found)
    assert {len(f.phred) for f in found} == {10}
    assert {ord(q) - 33 for f in found for q in f.phred} <= {9, 10}, "an error of 0.1 has quality 10"


def test_an_untrained_model_gives_exactly_l_bases(engine) -> None:
    for length in (1, 10):
        found = reconstruct(engine, TRACES, CLUSTERS, length)
        assert {len(f.strand) for f in found} == {length}
        assert all(f.confidence.shape == (length,) for f in found)
        assert all(((f.confidence > 0) & (f.confidence <= 1)).all() for f in found)


def test_greedy_is_the_argmax_of_the_allowed_bases(engine) -> None:
    """Each base is at least as probable as the three others in its place."""
    cluster = CLUSTERS[0]
    (found,) = reconstruct(engine, TRACES, [cluster], 5)
    for place in range(5):
        others = [found.strand[:place] + base for base in "ACGT"]
        nats = [s.token_nll[-2] for s in engine.score([TRACES.encode(Cluster("", cluster.reads, o)) for o in others])]
        assert others[int(np.argmin(nats))] == found.strand[: place + 1]


def test_without_the_grammar_the_model_ends_the_strand_itself(engine) -> None:
    found = reconstruct(engine, TRACES, CLUSTERS[:5], 10, grammar=False)
    assert all(len(f.strand) <= 20 and len(f.confidence) == len(f.strand) for f in found)


def test_a_model_that_never_ends_is_stopped_after_twice_l_bases() -> None:
    """Of each cluster, however much longer the reads are of one that is drawn beside it."""

    class Endless(Oracle):
        def _sample(self, prefix, max_length):
            more = np.full(max_length - len(prefix), TRACES.vocabulary.encode(["A"])[0])
            tokens = np.concatenate([prefix.arrays["tokens"], more])
            return Sample(Sequence({"tokens": tokens}, prefix.id), 0.0, len(more), False, 0.0)

    twice = [replace(c, truth=c.truth * 2) for c in CLUSTERS]
    found = reconstruct(Endless(twice), TRACES, CLUSTERS[:5], 10, grammar=False)
    assert len({len(TRACES.encode(c)) for c in CLUSTERS[:5]}) > 1
    assert [f.strand for f in found] == ["A" * 20] * 5


def test_several_orders_outvote_one_that_errs() -> None:
    """The engine errs where a cluster's reads stand in the order in which they came."""
    own = {c.id: c.reads for c in CLUSTERS}
    several = [c for c in CLUSTERS if len(set(c.reads)) > 2]
    oracle = Oracle(CLUSTERS, errs=lambda cluster: cluster.reads == own[cluster.id])
    alone = reconstruct(oracle, TRACES, several, 10)
    assert not any(f.strand == c.truth for f, c in zip(alone, several, strict=True))
    together = reconstruct(oracle, TRACES, several, 10, orders=6)
    assert [f.strand for f in together] == [c.truth for c in several]


def test_the_result_does_not_depend_on_the_other_clusters(engine) -> None:
    whole = reconstruct(engine, TRACES, CLUSTERS, 10, orders=3)
    part = reconstruct(engine, TRACES, CLUSTERS[17:19], 10, orders=3)
    assert [f.strand for f in part] == [f.strand for f in whole[17:19]]
    assert part[0].confidence == pytest.approx(whole[17].confidence, abs=1e-4)


def test_reads_that_do_not_fit_are_left_out_and_told() -> None:
    cluster = Cluster("c", ("ACGTACGTAC",) * 4, "ACGTACGTAC")
    (found,) = reconstruct(Oracle([cluster], context=34), TRACES, [cluster], 10)
    assert found.reads_used == 2
    (found,) = reconstruct(Oracle([cluster], context=55), TRACES, [cluster], 10)
    assert found.reads_used == 4
    with pytest.raises(ConfigError, match="first read has 10 bases"):
        reconstruct(Oracle([cluster], context=15), TRACES, [cluster], 10)


def test_what_cannot_be_is_refused(engine) -> None:
    with pytest.raises(ConfigError, match="length and orders"):
        reconstruct(engine, TRACES, CLUSTERS, 0)
    with pytest.raises(RecordError, match="'N'"):
        reconstruct(engine, TRACES, [Cluster("c", ("ACN",))], 10)
