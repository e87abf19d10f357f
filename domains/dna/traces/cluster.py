"""One cluster of reads with the strand that they are noisy copies of, and the rules for its letters.

A, C, G and T in either case; everything else, N among it, is refused with the read and the base named: a base caller's
N in a read of a synthetic strand is noise of another kind than the channel's, and a reader may drop such reads first.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import RecordError

BASES = "ACGT"
_UPPER = str.maketrans("acgt", BASES)
_NOTHING = str.maketrans("", "", BASES + "acgt")


@dataclass(frozen=True)
class Cluster:
    """Reads of one strand."""

    id: str
    reads: tuple[str, ...]
    """Noisy copies, in the order in which they came."""
    truth: str | None = None
    """The strand that was written; None where it is not known."""
    rates: tuple[float, float, float] | None = None
    """Probabilities of insertion, deletion and substitution, where a channel of ours made the reads. Not encoded."""


def canonical(cluster: Cluster) -> Cluster:
    """The cluster in upper case, without its rates.

    Raises RecordError naming the cluster, the read (1-based) and the base: no_reads, empty_read, empty_truth,
    ambiguous (N), bad_letter.
    """
    if not cluster.reads:
        raise RecordError("no_reads", f"cluster '{cluster.id}' has no reads", record=cluster.id)
    for number, read in enumerate(cluster.reads, 1):
        _check(cluster.id, f"read {number}", "empty_read", read)
    if cluster.truth is not None:
        _check(cluster.id, "the truth", "empty_truth", cluster.truth)
    reads = tuple(read.translate(_UPPER) for read in cluster.reads)
    return Cluster(cluster.id, reads, None if cluster.truth is None else cluster.truth.translate(_UPPER))


def reason(letters: str) -> str | None:
    """Why these letters cannot be read: "empty", "ambiguous" (N), "bad_letter"; None where they can."""
    if not letters:
        return "empty"
    other = letters.translate(_NOTHING)
    if not other:
        return None
    return "ambiguous" if other[0] in "Nn" else "bad_letter"


def _check(name: str, what: str, empty: str, letters: str) -> None:
    found = reason(letters)
    if found == "empty":
        raise RecordError(empty, f"cluster '{name}': {what} has no letters", record=name)
    if found is not None:
        letter = letters.translate(_NOTHING)[0]
        position = letters.index(letter)
        raise RecordError(
            found,
            f"cluster '{name}', {what}, base {position + 1:,}: {letter!r}, expected one of A C G T",
            record=name,
            position=position,
            hint="data.bad_reads=drop leaves such reads out, counted, and keeps the rest of the cluster.",
        )
