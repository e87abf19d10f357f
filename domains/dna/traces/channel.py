"""The channel of TReconLM (arXiv 2507.12927, section 3): insertions, deletions and substitutions, each independent.

Per position of the strand one uniform draw: with p_i a uniform base is inserted and the position stays; with p_d the
base is deleted, with p_s it becomes another base; else it is copied. Nothing is inserted behind the last base. Many
reads at once, all of numpy: the runs of insertions at a position are geometric, so no loop over bases is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.order import rng
from domains.dna.traces.cluster import Cluster

RATES = (0.01, 0.10)
"""Between these each of the three rates of a cluster is uniform (arXiv 2507.12927)."""
CHUNK = 1000
"""Clusters drawn at once: a function of (seed, number of the chunk), so that any chunk can be made alone."""
_LETTERS = np.frombuffer(b"ACGT", np.uint8)

Bases = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ChannelConfig:
    """What clusters are made."""

    length: int = 110
    """L, bases of a strand (arXiv 2507.12927 trains at 60, 110 and 180)."""
    reads: tuple[int, int] = (2, 10)
    """Smallest and largest number of reads of a cluster, uniform between them (arXiv 2507.12927)."""
    rates: tuple[float, float] = RATES
    """Smallest and largest rate; insertions, deletions and substitutions are drawn apart, for each cluster."""

    def __post_init__(self) -> None:
        if not isinstance(self.length, int) or self.length < 1:
            raise ConfigError(f"data.length: got {self.length!r}, allowed: a positive whole number")
        for key, least, most in (("reads", 1, None), ("rates", 0, 1 / 3)):
            value = getattr(self, key)
            fits = len(value) == 2 and least <= value[0] <= value[1] and (most is None or value[1] <= most)
            if not fits or (key == "reads" and any(not isinstance(v, int) for v in value)):
                limit = f"at least {least}" if most is None else f"from {least} to {most:.3g}"
                raise ConfigError(f"data.{key}: got {list(value)}, allowed: [smallest, largest], {limit}")


def corrupt(strands: Bases, rates: Floats, rng: np.random.Generator) -> tuple[Bases, NDArray[np.int64]]:
    """One read of each strand.

    Args:
        strands: (K, L) bases 0 to 3.
        rates: (K, 3) probabilities of insertion, deletion and substitution, their sum at most 1.

    Returns: all reads' bases one after the other, and (K,) how many each has (0 where everything was deleted).
    """
    insertion, deletion, substitution = rates[:, :, None].transpose(1, 0, 2)
    with np.errstate(divide="ignore"):
        # P(n insertions or more) = p_i^n; log(0) = -inf makes none of a rate of 0
        inserted = np.floor(np.log(1 - rng.random(strands.shape)) / np.log(insertion)).astype(np.int64)
    draw = rng.random(strands.shape) * (1 - insertion)  # what is left of the draw that ends the run of insertions
    kept = draw >= deletion
    changed = kept & (draw < deletion + substitution)
    shift = rng.integers(1, 4, strands.shape, dtype=np.uint8)
    own = np.where(changed, (strands + shift) % 4, strands)
    sizes = (inserted + kept).ravel()
    ends = np.cumsum(sizes)
    read = rng.integers(0, 4, int(ends[-1]) if len(ends) else 0, dtype=np.uint8)
    places = kept.ravel()
    read[ends[places] - 1] = own.ravel()[places]
    return read, (inserted + kept).sum(1)


def draw_clusters(config: ChannelConfig, clusters: int, *counters: int | str) -> Iterator[Cluster]:
    """`clusters` clusters, `cluster_1` ..., of uniform strands; the same for the same counters (a seed).

    The first n are the same however many are asked for. A read that lost all its bases is drawn again.
    """
    for chunk, start in enumerate(range(0, clusters, CHUNK)):
        drawn = _draw_chunk(config, rng("traces", *counters, chunk))
        for number in range(start, min(start + CHUNK, clusters)):
            truth, reads, rates = next(drawn)
            yield Cluster(f"cluster_{number + 1}", reads, truth, rates)


def _draw_chunk(
    config: ChannelConfig, rng: np.random.Generator
) -> Iterator[tuple[str, tuple[str, ...], tuple[float, float, float]]]:
    strands = rng.integers(0, 4, (CHUNK, config.length), dtype=np.uint8)
    rates = rng.uniform(*config.rates, (CHUNK, 3))
    sizes = rng.integers(config.reads[0], config.reads[1] + 1, CHUNK)
    owner = np.repeat(np.arange(CHUNK), sizes)
    pool, lengths = corrupt(strands[owner], rates[owner], rng)
    letters = _LETTERS[pool].tobytes().decode("ascii")
    ends = np.cumsum(lengths)
    reads = [letters[a:b] for a, b in zip((ends - lengths).tolist(), ends.tolist(), strict=True)]
    for i in np.flatnonzero(lengths == 0):
        while not reads[i]:
            again, _ = corrupt(strands[owner[i : i + 1]], rates[owner[i : i + 1]], rng)
            reads[i] = _LETTERS[again].tobytes().decode("ascii")
    at = 0
    for strand, size, rate in zip(_LETTERS[strands], sizes.tolist(), rates.tolist(), strict=True):
        yield strand.tobytes().decode("ascii"), tuple(reads[at : at + size]), (rate[0], rate[1], rate[2])
        at += size
