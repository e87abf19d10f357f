"""What needs no learning: a consensus by partial order alignment, and a plain vote base by base.

POA is spoa's (Lee et al. 2002; Vaser et al. 2017), from the extra `bio`. It does not know the strand's length, so its
strands may be longer or shorter; the vote does, and its strands have exactly that length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from domains.dna.traces.cluster import Cluster

POA_SCORES = {"m": 2, "n": -3, "g": -2}
"""Match, mismatch, gap."""
_GLOBAL = 1


def has_poa() -> bool:
    """Whether pyspoa is installed."""
    try:
        import spoa  # noqa: F401
    except ImportError:
        return False
    return True


def poa(clusters: Iterable[Cluster]) -> list[str]:
    """The consensus of each cluster's reads, aligned globally with a linear gap. Raises ImportError without pyspoa."""
    import spoa

    return [str(spoa.poa(list(c.reads), _GLOBAL, False, **POA_SCORES)[0]) for c in clusters]


def majority(clusters: Iterable[Cluster], length: int) -> list[str]:
    """Each base is the commonest of the reads' bases at its place, every read stretched to `length`, none aligned.

    Where bases are equally common, that of the earlier read is taken.
    """
    strands = []
    for c in clusters:
        stretched = [[read[(2 * i + 1) * len(read) // (2 * length)] for i in range(length)] for read in c.reads]
        strands.append("".join(Counter(column).most_common(1)[0][0] for column in zip(*stretched, strict=True)))
    return strands
