"""Strands out of reads: greedy decoding under the grammar with exactly L bases, and a confidence for each base.

With several orders of the reads, each order proposes a strand and all orders judge all proposals: the one with the
highest mean log-probability wins. There is no reason to prefer an order: what differs between orders is error.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.order import permutation
from domains.dna.greedy import Reader, continued
from domains.dna.traces.cluster import BASES, Cluster
from domains.dna.traces.tokenizer import TraceTokenizer

if TYPE_CHECKING:
    from core.window_policy import WindowPolicy

PHRED_MOST = 60
"""Qualities are cut off here: 1 in a million is more than a run has tested."""


class Reconstructor(Reader, Protocol):
    """What is asked of an engine."""

    def policy(self) -> WindowPolicy: ...


@dataclass(frozen=True)
class Reconstruction:
    """One reconstructed strand."""

    id: str
    strand: str
    confidence: NDArray[np.float64]
    """(L,) probability that the model gives each base, given the reads and the bases before it; the geometric mean over
    the orders of the reads that were asked."""
    nats: float
    """Of the whole strand, EOS counted; the mean over orders."""
    reads_used: int
    """Reads that fitted into what the model reads at once; those after them were left out."""

    @property
    def phred(self) -> str:
        """(L,) qualities as FASTQ has them: -10 log10 of the probability of an error, as ASCII from `!`."""
        error = np.clip(1 - self.confidence, 10 ** (-PHRED_MOST / 10), 1)
        return "".join(chr(33 + int(q)) for q in np.floor(-10 * np.log10(error)))


def reconstruct(
    engine: Reconstructor,
    tokenizer: TraceTokenizer,
    clusters: Many[Cluster],
    length: int,
    *,
    orders: int = 1,
    grammar: bool = True,
    seed: int = 0,
) -> list[Reconstruction]:
    """The most probable strand of each cluster, base by base (greedy).

    Args:
        engine: core.engine.Engine of a model that was trained on clusters.
        length: L, bases of a strand.
        orders: how many orders of the reads are asked; the first is the cluster's own.
        grammar: exactly L bases; False lets the model end the strand itself, at 2 L bases at most and in what it reads.
        seed: of the orders.

    Raises:
        ConfigError: a value that is not allowed, or L bases that with one read exceed what the model reads at once.
        RecordError: a cluster that is no cluster, see `cluster.canonical`.
    """
    if length < 1 or orders < 1:
        raise ConfigError(f"length and orders: got {length} and {orders}, allowed: positive whole numbers")
    context = engine.policy().length
    room = context - length - 1
    given = [_fitting(tokenizer.canonical(c), room) for c in clusters]
    asked = [[_reordered(c, seed, k) for k in range(orders)] for c in given]
    flat = [tokenizer.encode(replace(c, truth=None)) for of_one in asked for c in of_one]
    automaton = tokenizer.grammar(length=length) if grammar else None
    behind = [length if grammar else 2 * length] * len(flat)
    drawn = continued(engine, flat, behind, grammar=automaton, limit=context)
    strands = ["".join(s for s in tokenizer.vocabulary.decode(tokens) if s in BASES) for tokens in drawn]
    proposals = [list(dict.fromkeys(strands[i * orders : (i + 1) * orders])) for i in range(len(given))]
    judged = [(i, k, s) for i, found in enumerate(proposals) for s in found for k in range(orders)]
    scores = engine.score(
        (tokenizer.encode(replace(asked[i][k], truth=s or None)) for i, k, s in judged), mode="records"
    )
    per_base: dict[tuple[int, str], list[tuple[float, NDArray[np.float64]]]] = {}
    for (i, _, strand), score in zip(judged, scores, strict=True):
        nats = score.token_nll[-len(strand) - 1 : -1].astype(np.float64)
        per_base.setdefault((i, strand), []).append((score.nll, nats))
    found = []
    for i, cluster in enumerate(given):
        means = {s: float(np.mean([nll for nll, _ in per_base[i, s]])) for s in proposals[i]}
        best = min(means, key=means.__getitem__)
        confidence = np.exp(-np.mean([nats for _, nats in per_base[i, best]], axis=0))
        found.append(Reconstruction(cluster.id, best, confidence, means[best], len(cluster.reads)))
    return found


def _fitting(cluster: Cluster, room: int) -> Cluster:
    """The cluster with as many of its first reads as fit into `room` tokens. Raises ConfigError where none does."""
    ends = np.cumsum([len(read) + 1 for read in cluster.reads])
    kept = int(np.searchsorted(ends, room, side="right"))
    if not kept:
        raise ConfigError(
            f"cluster '{cluster.id}': its first read has {len(cluster.reads[0])} bases, there is room for {room - 1}",
            hint="Train with a longer batching.length.",
        )
    return replace(cluster, reads=cluster.reads[:kept])


def _reordered(cluster: Cluster, seed: int, order: int) -> Cluster:
    """The reads in their order number `order`, a function of seed, the cluster's id and that number; 0 is its own."""
    if order == 0:
        return cluster
    places = permutation(len(cluster.reads), seed, "read order", cluster.id, order)
    return replace(cluster, reads=tuple(cluster.reads[i] for i in places))
