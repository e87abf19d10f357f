"""Distances and the methods without learning, against known answers."""

from __future__ import annotations

import numpy as np
import pytest

from domains.dna.traces.channel import ChannelConfig, draw_clusters
from domains.dna.traces.cluster import Cluster
from domains.dna.traces.consensus import majority, poa
from domains.dna.traces.distance import levenshtein, padded


def plain_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def test_distances_known() -> None:
    pairs = [("ACGT", "ACGT", 0), ("ACGT", "AGT", 1), ("", "ACG", 3), ("ACG", "", 3), ("ACGT", "TGCA", 4), ("", "", 0)]
    a, b, known = zip(*pairs, strict=True)
    assert levenshtein(a, b).tolist() == list(known)


def test_distances_of_many_pairs_are_those_of_the_plain_table() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("ACGT"), rng.integers(0, 15))) for _ in range(200)]
    a, b = words[:100], words[100:]
    assert levenshtein(a, b).tolist() == [plain_distance(x, y) for x, y in zip(a, b, strict=True)]
    assert levenshtein(a, b).tolist() == levenshtein(b, a).tolist()


def test_pairs_must_be_pairs() -> None:
    with pytest.raises(ValueError, match="1 texts against 2"):
        levenshtein(["A"], ["A", "C"])
    assert levenshtein([], []).tolist() == []


def test_padding() -> None:
    assert padded(["AC", "", "G"]).tolist() == [[65, 67], [0, 0], [71, 0]]


def test_a_vote_takes_the_commonest_base_and_the_earlier_read_of_equals() -> None:
    assert majority([Cluster("a", ("ACGT", "ACCT", "GCGT"))], 4) == ["ACGT"]
    assert majority([Cluster("a", ("ACGT", "TGCA"))], 4) == ["ACGT"]
    assert majority([Cluster("a", ("AACCGGTT",))], 4) == ["ACGT"], "a read is stretched to the length"


def test_both_recover_a_strand_from_reads_without_noise() -> None:
    clusters = list(draw_clusters(ChannelConfig(30, (2, 4), (0.0, 0.0)), 20, 0))
    truths = [c.truth for c in clusters]
    assert majority(clusters, 30) == truths
    pytest.importorskip("spoa")
    assert poa(clusters) == truths


def test_alignment_beats_the_vote_on_noise() -> None:
    pytest.importorskip("spoa")
    clusters = list(draw_clusters(ChannelConfig(40, (5, 5)), 200, 0))
    truths = [c.truth or "" for c in clusters]
    assert levenshtein(poa(clusters), truths).mean() < 0.6 * levenshtein(majority(clusters, 40), truths).mean()
