"""The channel against the plain loop that the paper describes, and what it conserves."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ConfigError
from domains.dna.traces.channel import CHUNK, ChannelConfig, corrupt, draw_clusters


def plain_read(strand, rates, rng):
    """One uniform draw a position: insert and stay, delete, substitute, or copy (arXiv 2507.12927)."""
    insertion, deletion, substitution = rates
    read, position = [], 0
    while position < len(strand):
        u = rng.random()
        if u < insertion:
            read.append(rng.integers(4))
            continue
        if u < insertion + deletion:
            pass
        elif u < insertion + deletion + substitution:
            read.append((strand[position] + rng.integers(1, 4)) % 4)
        else:
            read.append(strand[position])
        position += 1
    return read


def test_a_read_without_noise_is_the_strand() -> None:
    strands = np.random.default_rng(0).integers(0, 4, (5, 30), dtype=np.uint8)
    read, lengths = corrupt(strands, np.zeros((5, 3)), np.random.default_rng(1))
    assert np.array_equal(read, strands.ravel())
    assert lengths.tolist() == [30] * 5


@pytest.mark.parametrize("rates", [(0.3, 0.0, 0.0), (0.0, 0.3, 0.0), (0.1, 0.05, 0.02)])
def test_lengths_are_those_of_the_plain_channel(rates) -> None:
    rng = np.random.default_rng(0)
    strands = rng.integers(0, 4, (3000, 20), dtype=np.uint8)
    _, fast = corrupt(strands, np.tile(rates, (3000, 1)), rng)
    plain = np.array([len(plain_read(s, rates, rng)) for s in strands.tolist()])
    assert fast.mean() == pytest.approx(plain.mean(), abs=5 * plain.std() / 3000**0.5 * 2**0.5)
    assert fast.std() == pytest.approx(plain.std(), rel=0.1)


def test_substitutions_are_uniform_over_the_other_bases() -> None:
    strands = np.zeros((1, 60_000), np.uint8)
    read, _ = corrupt(strands, np.array([[0.0, 0.0, 0.1]]), np.random.default_rng(0))
    share = np.bincount(read, minlength=4) / len(read)
    assert share[1:] == pytest.approx([0.1 / 3] * 3, abs=0.004)


def test_insertions_are_uniform_bases_before_a_base_and_none_is_behind_the_last() -> None:
    strands = np.full((20_000, 2), 3, np.uint8)
    read, lengths = corrupt(strands, np.tile([0.2, 0.0, 0.0], (20_000, 1)), np.random.default_rng(0))
    assert (read[np.cumsum(lengths) - 1] == 3).all()
    inserted = len(read) - strands.size
    assert inserted / strands.size == pytest.approx(0.2 / 0.8, abs=0.01)
    assert np.bincount(read, minlength=4)[:3] / inserted == pytest.approx([0.25] * 3, abs=0.02)


def test_clusters_are_a_function_of_seed_and_number() -> None:
    config = ChannelConfig(12, (2, 3))
    few, many = list(draw_clusters(config, 5, 7)), list(draw_clusters(config, CHUNK + 2, 7))
    assert many[:5] == few
    assert len(many) == CHUNK + 2
    assert list(draw_clusters(config, 5, 8)) != few
    assert len({c.id for c in many}) == CHUNK + 2
    assert len({c.truth for c in many}) > CHUNK - 5, "strands repeat"


def test_clusters_keep_to_the_config() -> None:
    clusters = list(draw_clusters(ChannelConfig(9, (2, 4), (0.02, 0.05)), 300, 0))
    assert {len(c.reads) for c in clusters} == {2, 3, 4}
    assert {len(c.truth or "") for c in clusters} == {9}
    assert all(c.rates is not None and 0.02 <= min(c.rates) <= max(c.rates) <= 0.05 for c in clusters)


def test_no_read_is_empty_even_where_nearly_all_bases_are_deleted() -> None:
    clusters = list(draw_clusters(ChannelConfig(1, (2, 2), (0.3, 0.33)), 400, 0))
    assert all(read for c in clusters for read in c.reads)


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("data.length", {"length": 0}),
        ("data.reads", {"reads": (0, 4)}),
        ("data.reads", {"reads": (5, 4)}),
        ("data.rates", {"rates": (0.1, 0.5)}),
        ("data.rates", {"rates": (-0.1, 0.1)}),
    ],
)
def test_what_the_channel_cannot_do_is_refused(key, options) -> None:
    with pytest.raises(ConfigError, match=key):
        ChannelConfig(**options)
