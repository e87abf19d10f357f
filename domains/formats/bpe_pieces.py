"""Pieces of letters, learned by byte-pair encoding and applied by the longest match from the left.

Greedy matching is no worse than replaying the joins (Uzan et al. 2024, arXiv 2403.01289), and replaying is slow where a
record is one word of millions of letters. Which letters there are, the tokenizers of the domains know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from Bio.SeqRecord import SeqRecord
from numpy.typing import NDArray

from core.errors import ConfigError
from core.sequence import Array
from domains.formats.bpe_learning import learn_pieces, sample_codes

LARGEST_VOCABULARY = 4096
"""As in DNABERT-2 (Zhou et al. 2023, arXiv 2306.15006); counting pairs takes a table of its square."""


def check_pieces(config: Any, alphabet: str, sample: str) -> None:
    """Raises ConfigError for a size that is not allowed and a learned piece that is none.

    Args:
        config: with vocabulary_size, max_length, learned and the field called `sample`.
    """
    for key, low, high in (("vocabulary_size", 32, LARGEST_VOCABULARY), ("max_length", 2, 64), (sample, 1000, 2**28)):
        value = getattr(config, key)
        if not isinstance(value, int) or not low <= value <= high:
            raise ConfigError(f"{key}={value!r} is not allowed: {low:,} to {high:,}")
    for piece in config.learned or ():
        if not 2 <= len(piece) <= config.max_length or set(piece) - set(alphabet):
            raise ConfigError(f"learned: {piece!r} is no piece of 2 to {config.max_length} letters of {alphabet}")


class LearnedPieces:
    """The half of a LetterTokenizer whose pieces are learned; stands before it among the bases."""

    kind: ClassVar[str]
    alphabet: ClassVar[str]
    sample: ClassVar[str]
    """The setting that says how many letters of the training split are looked at."""
    config: Any

    @property
    def needs_fit(self) -> bool:
        return self.config.learned is None

    def fit(self, train_records: Iterable[SeqRecord | str]) -> Self:
        """A tokenizer with pieces learned from a sample of the records. Raises RecordError."""
        config, read = self.config, self._read  # type: ignore[attr-defined]
        codes = sample_codes(
            map(read, train_records), getattr(config, self.sample), len(self.alphabet), self.kind, config.seed
        )
        count = config.vocabulary_size - len(config.policy.symbols)
        learned = learn_pieces(codes, self.alphabet, count, config.max_length)
        return type(self)(replace(config, learned=tuple(learned)))  # type: ignore[call-arg]

    def pieces(self) -> tuple[str, ...]:
        learned: tuple[str, ...] | None = self.config.learned
        if learned is None:
            raise ConfigError(
                f"tokenizer {self.kind} has not learned its pieces yet", hint="Call fit(train_records) first."
            )
        return learned

    @cached_property
    def tree(self) -> PieceTree:
        return PieceTree(self.alphabet, self.pieces(), self.vocabulary.ids)  # type: ignore[attr-defined]


class PieceTree:
    """The symbols of plain letters as a tree.

    following (nodes, A): the next node by letter, 0 for none. symbols (nodes,): the id of the symbol that ends there, 0
    for none.
    """

    def __init__(self, alphabet: str, pieces: Iterable[str], ids: Mapping[str, int]) -> None:
        self.size = len(alphabet)
        tree, ends = [[0] * self.size], [0]
        for piece in (*alphabet, *pieces):
            node = 0
            for letter in piece:
                code = alphabet.index(letter)
                if not tree[node][code]:
                    tree[node][code] = len(tree)
                    tree.append([0] * self.size)
                    ends.append(0)
                node = tree[node][code]
            ends[node] = ids[piece]
        self.following, self.symbols = np.array(tree, np.int32), np.array(ends, np.int32)

    def walk(
        self,
        letters: NDArray[Any],
        places: NDArray[np.int64],
        nodes: NDArray[np.int32],
        depth: int,
        ids: Array,
        sizes: NDArray[np.uint8],
    ) -> None:
        """Goes on from `nodes`, `depth` letters behind `places`; longer symbols go into ids and sizes, (n,) each."""
        while len(places):
            inside = places + depth < len(letters)
            places, nodes = places[inside], nodes[inside]
            letter = letters[places + depth]
            known = letter < self.size
            places, nodes = places[known], self.following[nodes[known], letter[known]]
            there = nodes > 0
            places, nodes = places[there], nodes[there]
            depth += 1
            whole = self.symbols[nodes] > 0
            ids[places[whole]] = self.symbols[nodes[whole]]
            sizes[places[whole]] = depth

    def cut(self, letters: NDArray[Any], alone: Array) -> Array:
        """Tokens of the longest piece that fits, then on behind it; `alone` (n,) are the ids of single letters."""
        ids, sizes = alone.copy(), np.ones(len(letters), np.uint8)
        places = np.flatnonzero(letters < self.size)
        self.walk(letters, places, self.following[0, letters[places]], 1, ids, sizes)
        jumps, at, starts = sizes.tobytes(), 0, []
        while at < len(jumps):
            starts.append(at)
            at += jumps[at]
        return ids[starts]
