"""Pieces of frequent neighbours, learned from the training split by byte-pair encoding (as ProtGPT2 uses it).

Pieces are *learned* by joining pairs and *applied* by the longest match from the left (Uzan et al. 2024,
arXiv 2403.01289), found for all residues of a record at once. Likelihoods stay per residue, so the kinds compare.
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
from domains.formats.bpe_learning import learn_pieces, sample_codes
from domains.proteins.tokenizer.letters import RESIDUES
from domains.proteins.tokenizer.shared import Letters, ProteinConfig, ProteinTokenizer

LARGEST_VOCABULARY = 4096
"""Counting pairs takes a table of its square."""


@dataclass(frozen=True)
class ProteinBpeConfig(ProteinConfig):
    vocabulary_size: int = 512
    """How many data symbols to reach, single letters included; 32 to 4096. Proteins hardly repeat: more pieces are rare
    ones [512 pieces of UniProt stand for 1.9 residues on average]."""
    max_length: int = 8
    """Residues of the longest piece, 2 to 64."""
    sample_residues: int = 1_000_000
    """How many residues of the training split are looked at."""
    seed: int = 0
    """Which residues."""
    learned: tuple[str, ...] | None = None
    """The pieces, once learned."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, low, high in (
            ("vocabulary_size", 32, LARGEST_VOCABULARY),
            ("max_length", 2, 64),
            ("sample_residues", 1000, 2**28),
        ):
            value = getattr(self, key)
            if not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"{key}={value!r} is not allowed: {low:,} to {high:,}")
        for piece in self.learned or ():
            if not 2 <= len(piece) <= self.max_length or set(piece) - set(RESIDUES):
                raise ConfigError(f"learned: {piece!r} is no piece of 2 to {self.max_length} letters of {RESIDUES}")


class ProteinBpeTokenizer(ProteinTokenizer[ProteinBpeConfig]):
    """Single letters, then the learned pieces. A record read from its other end is cut anew, so windows are not."""

    kind: ClassVar[str] = "protein_bpe"
    config_class = ProteinBpeConfig

    def __init__(self, config: ProteinBpeConfig | None = None) -> None:
        super().__init__(config or ProteinBpeConfig())

    @property
    def needs_fit(self) -> bool:
        return self.config.learned is None

    def fit(self, train_records: Iterable[SeqRecord | str]) -> Self:
        """A tokenizer with pieces learned from a sample of the records. Raises RecordError."""
        config = self.config
        records = map(self._read, train_records)
        codes = sample_codes(records, config.sample_residues, len(RESIDUES), self.kind, config.seed)
        count = config.vocabulary_size - len(config.policy.symbols)
        learned = learn_pieces(codes, RESIDUES, count, config.max_length)
        return type(self)(replace(config, learned=tuple(learned)))

    def pieces(self) -> tuple[str, ...]:
        if self.config.learned is None:
            raise ConfigError(
                "tokenizer protein_bpe has not learned its pieces yet", hint="Call fit(train_records) first."
            )
        return self.config.learned

    def cut(self, letters: Letters) -> Array:
        """The longest piece that fits, then on behind it."""
        ids, sizes = self._longest(letters)
        jumps, at, starts = sizes.tolist(), 0, []
        while at < len(jumps):
            starts.append(at)
            at += jumps[at]
        return ids[starts]

    def _longest(self, letters: Letters) -> tuple[Array, NDArray[np.int64]]:
        """For each residue the id and the length of the longest symbol that starts there."""
        following, symbols = self._trie
        ids, sizes = self.letter_ids[letters].copy(), np.ones(len(letters), np.int64)
        places = np.flatnonzero(letters < len(RESIDUES))
        nodes = following[0, letters[places]]
        depth = 1
        while len(places):
            inside = places + depth < len(letters)
            places, nodes = places[inside], nodes[inside]
            letter = letters[places + depth]
            known = letter < len(RESIDUES)
            places, nodes = places[known], following[nodes[known], letter[known]]
            there = nodes > 0
            places, nodes = places[there], nodes[there]
            depth += 1
            whole = symbols[nodes] > 0
            ids[places[whole]] = symbols[nodes[whole]]
            sizes[places[whole]] = depth
        return ids, sizes

    @cached_property
    def _trie(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """following (nodes, 20): the next node by residue, 0 for none; symbols (nodes,): the id that ends there, 0."""
        tree, ends = [[0] * len(RESIDUES)], [0]
        for piece in (*RESIDUES, *self.pieces()):
            node = 0
            for residue in piece:
                code = RESIDUES.index(residue)
                if not tree[node][code]:
                    tree[node][code] = len(tree)
                    tree.append([0] * len(RESIDUES))
                    ends.append(0)
                node = tree[node][code]
            ends[node] = self.vocabulary.ids[piece]
        return np.array(tree, np.int32), np.array(ends, np.int32)
