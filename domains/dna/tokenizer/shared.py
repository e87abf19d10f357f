"""What the DNA tokenizers share beyond those of any letters: the policy for bases, and strands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar, NoReturn, TypeVar

import numpy as np
from Bio.SeqRecord import SeqRecord
from numpy.typing import NDArray

from core.errors import ConfigError
from core.sequence import Array, Sequence
from domains.dna.tokenizer.letters import COMPLEMENTS, LetterPolicy, refuse
from domains.formats.letter_reading import name_of
from domains.formats.letter_tokenizer import LetterConfig, LetterTokenizer
from domains.formats.seq_record import letters_of, make_record


@dataclass(frozen=True)
class DnaConfig(LetterConfig):
    """What all DNA tokenizers can be told."""

    unit: ClassVar[str] = "base"

    iupac: str = "keep"
    """"keep" the codes for ambiguous bases as symbols, read them all as "n", or "refuse" records with them."""
    reverse_complement: float = 0.5
    """Probability that a view of a window or record is its other strand; 0 turns it off."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value, kind = getattr(self, f.name), type(f.default)
            fits = isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool)
            if f.default is not None and not fits:
                raise ConfigError(f"{f.name}={value!r} is not allowed: expected {kind.__name__}, like {f.default!r}")
        super().__post_init__()
        if not 0 <= self.reverse_complement <= 1:
            raise ConfigError(f"reverse_complement={self.reverse_complement} is no probability (0 to 1)")

    @property
    def policy(self) -> LetterPolicy:
        return LetterPolicy(self.case, self.iupac)


Config = TypeVar("Config", bound=DnaConfig)


class DnaTokenizer(LetterTokenizer[Config]):
    """The half of the contract that is the same for bases, k-mers and BPE pieces."""

    natural_unit: ClassVar[str] = "base"
    what: ClassVar[str] = "DNA"

    def refuse(self, record: str, letters: bytes, bad: NDArray[np.bool_]) -> NoReturn:
        refuse(record, letters, bad, self.config.policy)

    def view_record(self, record: SeqRecord | str, rng: np.random.Generator) -> Sequence:
        """The record's other strand with probability `reverse_complement`, token labels turned with it."""
        if rng.random() >= self.config.reverse_complement:
            return self.encode(record)
        return self.encode(self.reverse_complement(record))

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """The window's other strand with probability `reverse_complement`; none where a symbol of `extend` occurs."""
        table = self._other_strand
        if table is None or rng.random() >= self.config.reverse_complement:
            return arrays
        tokens = arrays["tokens"]
        if self.config.extension and len(tokens) and tokens.max() >= len(table) - len(self.config.extension):
            return arrays
        return {**arrays, "tokens": table[tokens[::-1]]}

    @property
    def other_strand(self) -> Callable[[dict[str, Array]], dict[str, Array]] | None:
        """Gives arrays (name to (T, ...)) of the other strand, token by token: the last one first, tokens complemented.

        None where the other strand is cut into other tokens (BPE). An id beyond the vocabulary becomes the last one.
        """
        return self._turned if self._other_strand is not None else None

    def _turned(self, arrays: dict[str, Array]) -> dict[str, Array]:
        assert self._other_strand is not None
        turned = {name: array[::-1] for name, array in arrays.items()}
        return {**turned, "tokens": self._other_strand.take(turned["tokens"], mode="clip")}

    def reverse_complement(self, record: SeqRecord | str) -> SeqRecord:
        """The other strand of the canonical record; letters without a complement stay as they are."""
        complements = str.maketrans(COMPLEMENTS)
        turned = letters_of(self.canonical(record)).decode("ascii").translate(complements)[::-1]
        other = make_record(turned.encode("ascii"), name_of(record))
        if isinstance(record, SeqRecord):
            for name, values in record.letter_annotations.items():
                other.letter_annotations[name] = values[::-1]
        return other

    @cached_property
    def _other_strand(self) -> Array | None:
        """(V,) each symbol's reverse complement, itself for specials and extensions; None where one is no symbol."""
        table = np.arange(len(self.vocabulary), dtype=self.vocabulary.dtype)
        complements = str.maketrans(COMPLEMENTS)
        for symbol in (*self.config.policy.symbols, *self.pieces()):
            turned = self.vocabulary.ids.get(symbol.translate(complements)[::-1])
            if turned is None:
                return None
            table[self.vocabulary.ids[symbol]] = turned
        return table
