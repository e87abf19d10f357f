"""The nearest training protein of a sequence: candidates by shared 5-mers, then a local alignment of each.

Identity is counted over the whole query, so that a short motif does not pass for a relative: identical residues of the
best local alignment (BLOSUM62, gaps 11 and 1, as BLAST) over the query's length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.baselines import Letters
from core.copying import mer_codes
from domains.proteins.evaluation.residues import SIZE
from domains.proteins.tokenizer.letters import RESIDUES

SEED = 5
"""Letters of a seed: 20^5 = 3.2 M cells; a random protein of 300 residues shares one with 0.03 % of UniProt's."""
CANDIDATES = 3
"""Training proteins that are aligned for each query."""
_ALPHABET = RESIDUES + "X"
LONGEST = 2000
"""Residues of a training protein that are aligned at most; of a longer one the stretch around the shared seeds."""


def nearest_identities(queries: Sequence[Letters], corpus: Sequence[Letters]) -> NDArray[np.float64]:
    """(Q,) identity of each query to the most similar of the corpus, 0 to 1; 0 where they share no 5-mer.

    Args:
        queries: proteins as codes (T,).
        corpus: the training proteins; all of them are held in memory, 4 bytes a residue.
    """
    from Bio import Align
    from Bio.Align import substitution_matrices

    aligners: Any = Align
    matrices: Any = substitution_matrices
    aligner = aligners.PairwiseAligner(mode="local")
    aligner.substitution_matrix = matrices.load("BLOSUM62")
    aligner.open_gap_score, aligner.extend_gap_score = -12, -1
    owners = np.repeat(np.arange(len(corpus)), [len(c) for c in corpus])
    seeds = np.concatenate([mer_codes(c, SIZE, SEED).astype(np.int32) for c in corpus] or [np.zeros(0, np.int32)])
    begins = np.cumsum([0, *(len(c) for c in corpus)])
    wanted = np.zeros(SIZE**SEED + 1, bool)
    found = np.zeros(len(queries))
    for i, query in enumerate(queries):
        mine = mer_codes(query, SIZE, SEED)
        mine = mine[mine >= 0]
        wanted[mine] = True
        hits = np.flatnonzero(wanted[seeds])  # -1, no seed, is the last cell, which stays False
        wanted[mine] = False
        if not len(hits):
            continue
        shared = np.bincount(owners[hits], minlength=len(corpus))
        for row in np.argsort(-shared, kind="stable")[:CANDIDATES].tolist():
            if not shared[row]:
                break
            first = int(hits[np.searchsorted(hits, begins[row])] - begins[row])
            start = max(0, first - LONGEST // 2) if len(corpus[row]) > LONGEST else 0
            best = aligner.align(_text(corpus[row][start : start + LONGEST]), _text(query))[0]
            found[i] = max(found[i], best.counts().identities / len(query))
    return found


def _text(letters: Letters) -> str:
    return "".join(_ALPHABET[min(int(code), SIZE)] for code in letters)
