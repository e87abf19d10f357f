"""Pieces of frequent bases, learned from the training split by byte-pair encoding (as DNABERT-2 uses it for genomes).

Replaying the joins is slow where a record is one word of millions of letters [`tokenizers` 0.23, 1,024 symbols: 0.6
MB/s on a whole genome, 3.6 in chunks of 1 kb; the longest match from the left, found block by block: 25].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from core.sequence import Array
from domains.dna.tokenizer.letters import BASES
from domains.dna.tokenizer.shared import DnaConfig, DnaTokenizer
from domains.formats.bpe_pieces import LearnedPieces, check_pieces
from domains.formats.letter_tokenizer import Letters

_BLOCK = 2**18
"""Bases whose longest matches are found at once: 4 MB of work arrays, however long the record is."""
_WORD = 8
"""Bases looked up at once: 4^8 entries stay in the cache."""


@dataclass(frozen=True)
class BpeConfig(DnaConfig):
    vocabulary_size: int = 1024
    """How many data symbols to reach, single letters included; 32 to 4096."""
    max_length: int = 16
    """Bases of the longest piece, 2 to 64."""
    sample_bases: int = 1_000_000
    """How many bases of the training split are looked at: 1024 symbols take 3 s to learn."""
    seed: int = 0
    """Which bases."""
    learned: tuple[str, ...] | None = None
    """The pieces, once learned."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pieces(self, BASES, "sample_bases")


class BpeTokenizer(LearnedPieces, DnaTokenizer[BpeConfig]):
    """Single letters, then the learned pieces. Its strand view is of records only: a turned window is cut otherwise."""

    kind: ClassVar[str] = "dna_bpe"
    config_class = BpeConfig
    alphabet: ClassVar[str] = BASES
    sample: ClassVar[str] = "sample_bases"

    def cut(self, letters: Letters) -> Array:
        """The longest piece that fits, then on behind it: about 25 MB/s."""
        tokens: list[Array] = []
        at = 0
        for first in range(0, len(letters), _BLOCK):
            stop = min(_BLOCK, len(letters) - first)
            ids, sizes = self._longest(letters[first : first + _BLOCK + self.config.max_length], stop)
            jumps = sizes.tobytes()
            starts: list[int] = []
            while at < stop:
                starts.append(at)
                at += jumps[at]
            at -= stop
            tokens.append(ids[starts])
        return np.concatenate(tokens)

    def _longest(self, letters: Letters, count: int) -> tuple[Array, NDArray[np.uint8]]:
        """For each of the first `count` bases the id and the size of the longest symbol that starts there."""
        tree = self.tree
        # Every 8-mer leads to its longest prefix by one table; the trie is walked where an ambiguous base or the end is
        # within reach, and from where a longer piece goes on.
        padded = np.concatenate([letters, np.full(_WORD, len(BASES), np.uint8)])
        word = padded & 3
        for reach in (1, 2, 4):
            word = word[:-reach].astype(np.uint16) << (2 * reach) | word[reach:]
        word = word[:count]
        ids, sizes, nodes = (table[word] for table in self._words)
        broken = np.flatnonzero(padded >= len(BASES))
        near = np.unique((broken[:, None] - np.arange(_WORD)).ravel())
        near = near[(near >= 0) & (near < count)]
        ids[near], sizes[near], nodes[near] = self.letter_ids[letters[near]], 1, 0
        near = near[letters[near] < len(BASES)]
        tree.walk(letters, near, tree.following[0, letters[near]], 1, ids, sizes)
        deep = np.flatnonzero(nodes)
        tree.walk(letters, deep, nodes[deep], _WORD, ids, sizes)
        return ids, sizes

    @cached_property
    def _words(self) -> tuple[Array, NDArray[np.uint8], NDArray[np.int32]]:
        """(4^8,) each: every 8-mer's longest prefix, its id and size; the node after all 8 where the tree goes on."""
        following, symbols = self.tree.following, self.tree.symbols
        every = np.arange(len(BASES) ** _WORD)
        ids = np.zeros(len(every), self.vocabulary.dtype)
        sizes = np.zeros(len(every), np.uint8)
        nodes = np.zeros(len(every), np.int32)
        for depth in range(_WORD):
            letter = every >> 2 * (_WORD - 1 - depth) & 3
            nodes = np.where((nodes > 0) | (depth == 0), following[nodes, letter], 0)
            whole = symbols[nodes] > 0
            ids[whole] = symbols[nodes[whole]]
            sizes[whole] = depth + 1
        # a leaf has nothing below: no walk starts from it
        nodes[(following[nodes] == 0).all(axis=1)] = 0
        return ids, sizes, nodes

    @cached_property
    def _other_strand(self) -> None:
        return None
