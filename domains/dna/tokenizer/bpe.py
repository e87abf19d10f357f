"""Pieces of frequent bases, learned from the training split by byte-pair encoding (as DNABERT-2 uses it for genomes).

Pieces are *learned* by joining pairs and *applied* by the longest match from the left (Uzan et al. 2024,
arXiv 2403.01289: no worse than replaying the joins): replaying is slow where a record is one word of millions of
letters [`tokenizers` 0.23, 1,024 symbols: 0.6 MB/s on a whole genome, 3.6 in chunks of 1 kb; this: 25].
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from Bio.SeqRecord import SeqRecord
from numpy.typing import NDArray

from core.errors import ConfigError
from core.sequence import Array
from domains.dna.tokenizer.letters import BASES
from domains.dna.tokenizer.shared import DnaConfig, DnaTokenizer, Letters
from domains.formats.bpe_learning import learn_pieces, sample_codes

_BLOCK = 2**18
"""Bases whose longest matches are found at once: 4 MB of work arrays, however long the record is."""
_WORD = 8
"""Bases looked up at once: 4^8 entries stay in the cache."""
LARGEST_VOCABULARY = 4096
"""As in DNABERT-2 (Zhou et al. 2023, arXiv 2306.15006); counting pairs takes a table of its square."""


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
        for key, low, high in (
            ("vocabulary_size", 32, LARGEST_VOCABULARY),
            ("max_length", 2, 64),
            ("sample_bases", 1000, 2**28),
        ):
            value = getattr(self, key)
            if not low <= value <= high:
                raise ConfigError(f"{key}={value} is not allowed: {low:,} to {high:,}")
        for piece in self.learned or ():
            if not 2 <= len(piece) <= self.max_length or set(piece) - set(BASES):
                raise ConfigError(f"learned: {piece!r} is no piece of 2 to {self.max_length} letters of {BASES}")


class BpeTokenizer(DnaTokenizer[BpeConfig]):
    """Single letters, then the learned pieces. Its strand view is of records only: a turned window is cut otherwise."""

    kind: ClassVar[str] = "dna_bpe"
    config_class = BpeConfig

    def __init__(self, config: BpeConfig | None = None) -> None:
        super().__init__(config or BpeConfig())

    @property
    def needs_fit(self) -> bool:
        return self.config.learned is None

    def fit(self, train_records: Iterable[SeqRecord | str]) -> Self:
        """A tokenizer with pieces learned from a sample of the records. Raises RecordError."""
        config = self.config
        records = map(self._read, train_records)
        codes = sample_codes(records, config.sample_bases, len(BASES), self.kind, config.seed)
        learned = learn_pieces(codes, BASES, config.vocabulary_size - len(config.policy.symbols), config.max_length)
        return type(self)(replace(config, learned=tuple(learned)))

    def pieces(self) -> tuple[str, ...]:
        if self.config.learned is None:
            raise ConfigError("tokenizer dna_bpe has not learned its pieces yet", hint="Call fit(train_records) first.")
        return self.config.learned

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
        following, _, words = self._trie
        # Every 8-mer leads to its longest prefix by one table; the trie is walked where an ambiguous base or the end is
        # within reach, and from where a longer piece goes on.
        padded = np.concatenate([letters, np.full(_WORD, len(BASES), np.uint8)])
        word = padded & 3
        for reach in (1, 2, 4):
            word = word[:-reach].astype(np.uint16) << (2 * reach) | word[reach:]
        word = word[:count]
        ids, sizes, nodes = (table[word] for table in words)
        broken = np.flatnonzero(padded >= len(BASES))
        near = np.unique((broken[:, None] - np.arange(_WORD)).ravel())
        near = near[(near >= 0) & (near < count)]
        ids[near], sizes[near], nodes[near] = self.letter_ids[letters[near]], 1, 0
        near = near[letters[near] < len(BASES)]
        self._walk(letters, near, following[0, letters[near]], 1, ids, sizes)
        deep = np.flatnonzero(nodes)
        self._walk(letters, deep, nodes[deep], _WORD, ids, sizes)
        return ids, sizes

    def _walk(
        self,
        letters: Letters,
        places: NDArray[np.int64],
        nodes: NDArray[np.int32],
        depth: int,
        ids: Array,
        sizes: NDArray[np.uint8],
    ) -> None:
        """Goes on in the trie from `nodes`, `depth` bases behind `places`; longer symbols go into ids, sizes."""
        following, symbols, _ = self._trie
        while len(places):
            inside = places + depth < len(letters)
            places, nodes = places[inside], nodes[inside]
            letter = letters[places + depth]
            base = letter < len(BASES)
            places, nodes = places[base], following[nodes[base], letter[base]]
            there = nodes > 0
            places, nodes = places[there], nodes[there]
            depth += 1
            whole = symbols[nodes] > 0
            ids[places[whole]] = symbols[nodes[whole]]
            sizes[places[whole]] = depth

    @cached_property
    def _trie(self) -> tuple[NDArray[np.int32], NDArray[np.int32], tuple[Array, NDArray[np.uint8], NDArray[np.int32]]]:
        """The symbols of bases as a tree, and what the tree says of every 8-mer.

        following: (nodes, 4) the next node by base, 0 for none. symbols: (nodes,) the id of the symbol that ends there,
        0 for none. words: (4^8,) the longest prefix's id and size, and the node after all 8 where the tree goes on.
        """
        tree = [[0] * len(BASES)]
        ends = [0]
        for piece in (*BASES, *self.pieces()):
            node = 0
            for base in piece:
                code = BASES.index(base)
                if not tree[node][code]:
                    tree[node][code] = len(tree)
                    tree.append([0] * len(BASES))
                    ends.append(0)
                node = tree[node][code]
            ends[node] = self.vocabulary.ids[piece]
        following, symbols = np.array(tree, np.int32), np.array(ends, np.int32)
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
        return following, symbols, (ids, sizes, nodes)

    @cached_property
    def _other_strand(self) -> None:
        return None
