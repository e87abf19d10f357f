"""What the DNA tokenizers share: reading letters by policy, symbols to letters and back, strands, configs.

A tokenizer of a kind adds its symbols (`pieces`) and how a record's letters are cut into them (`cut`). Ids: the
specials, the single letters of the policy, the pieces, then what `extend` appended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from Bio.SeqRecord import SeqRecord
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError, nearest
from core.grammar import Grammar
from core.sequence import Array, Sequence, Symbols, TokenSpec
from core.vocabulary import SPECIALS, Vocabulary
from domains.dna.tokenizer.letters import COMPLEMENTS, LetterPolicy, letters_of, name_of, refuse
from domains.formats.seq_record import make_record

BAD = 255
Letters = NDArray[np.uint8]
"""(n,) per base the index of its letter in `DnaTokenizer.letters`; 0 to 3 are A C G T."""


@dataclass(frozen=True)
class DnaConfig:
    """What all DNA tokenizers can be told."""

    case: str = "upper"
    """"upper": lower case is read as upper case. "refuse": it is an error."""
    iupac: str = "keep"
    """"keep" the codes for ambiguous bases as symbols, read them all as "n", or "refuse" records with them."""
    reverse_complement: float = 0.5
    """Probability that a view of a window or record is its other strand; 0 turns it off."""
    extension: tuple[str, ...] = ()
    """Symbols appended by `extend`. One of a single character is a letter that encodes; a longer one is a mark that
    stands in no record and is left out by decode."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value, kind = getattr(self, f.name), type(f.default)
            fits = isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool)
            if f.default is not None and not fits:
                raise ConfigError(f"{f.name}={value!r} is not allowed: expected {kind.__name__}, like {f.default!r}")
        policy = self.policy
        if not 0 <= self.reverse_complement <= 1:
            raise ConfigError(f"reverse_complement={self.reverse_complement} is no probability (0 to 1)")
        for symbol in self.extension:
            if len(symbol) == 1 and (symbol in policy.readings or not symbol.isascii() or not symbol.isprintable()):
                raise ConfigError(f"extension: {symbol!r} is read as a base already, or is no printable ASCII letter")
            if not symbol or symbol.isspace():
                raise ConfigError("extension: a symbol is at least one character that is not white space")

    @property
    def policy(self) -> LetterPolicy:
        return LetterPolicy(self.case, self.iupac)


Config = TypeVar("Config", bound=DnaConfig)


class DnaTokenizer(Generic[Config]):
    """The half of the contract of `core.tokenizer.Tokenizer` that is the same for bases, k-mers and BPE pieces."""

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    natural_unit: ClassVar[str] = "base"
    config_class: ClassVar[type[DnaConfig]]

    def __init__(self, config: Config) -> None:
        self.config = config

    def pieces(self) -> tuple[str, ...]:
        """The symbols of several letters, in id order."""
        raise NotImplementedError

    def cut(self, letters: Letters) -> Array:
        """Tokens (T,) of a record's letters, which it may overwrite."""
        raise NotImplementedError

    @property
    def needs_fit(self) -> bool:
        return False

    def fit(self, train_records: Iterable[SeqRecord | str]) -> Self:
        """Itself: nothing is learned."""
        return self

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary((*self.config.policy.symbols, *self.pieces(), *self.config.extension))

    @cached_property
    def spec(self) -> TokenSpec:
        return Symbols(self.vocabulary)

    def encode(self, record: SeqRecord | str) -> Sequence:
        """Arrays in `letter_annotations` become token labels, each token with the value of its first base.

        Raises RecordError naming the record, the base and the reason where a letter has no reading.
        """
        tokens = self.cut(self._read(record))
        labels: dict[str, Array] = {}
        if isinstance(record, SeqRecord) and record.letter_annotations:
            sizes = self._spelling[2][tokens]
            starts = np.cumsum(sizes) - sizes
            annotations: dict[str, Any] = dict(record.letter_annotations)
            labels = {n: v[starts] for n, v in annotations.items() if isinstance(v, np.ndarray)}
        return Sequence({"tokens": tokens}, name_of(record), token_labels=labels)

    def decode(self, sequence: Sequence) -> SeqRecord:
        """Raises RecordError where a special stands among the tokens."""
        tokens = sequence.arrays["tokens"]
        if len(tokens) and tokens.min() < len(SPECIALS):
            position = int(np.argmax(tokens < len(SPECIALS)))
            raise RecordError(
                "special_symbol",
                f"sequence '{sequence.id}': token {position} is {SPECIALS[int(tokens[position])]}, no letter of DNA",
                record=sequence.id,
                position=position,
            )
        flat, starts, lengths = self._spelling
        if lengths.max() == 1 and lengths[len(SPECIALS) :].all():
            return make_record(flat[tokens - len(SPECIALS)].tobytes(), sequence.id)
        sizes = lengths[tokens]
        ends = np.cumsum(sizes)
        places = np.repeat(starts[tokens] - (ends - sizes), sizes) + np.arange(ends[-1] if len(ends) else 0)
        return make_record(flat[places].tobytes(), sequence.id)

    def canonical(self, record: SeqRecord | str) -> SeqRecord:
        """Letters as they are read (upper case, T for U, N under iupac=n) and the id; nothing else is kept."""
        spelled = np.frombuffer("".join(self.letters).encode("ascii"), np.uint8)
        return make_record(spelled[self._read(record)].tobytes(), name_of(record))

    def same(self, a: SeqRecord | str, b: SeqRecord | str) -> bool:
        """Whether ids and letters are equal."""
        return name_of(a) == name_of(b) and letters_of(a) == letters_of(b)

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        lengths, tokens = self._spelling[2], arrays["tokens"]
        if lengths.max() == 1 and lengths[len(SPECIALS) :].all() and tokens.min(initial=len(SPECIALS)) >= len(SPECIALS):
            return np.ones(len(tokens))  # one base each: no gather over a genome
        return lengths[tokens].astype(np.float64)

    def extend(self, symbols: Iterable[str]) -> Self:
        return type(self)(replace(self.config, extension=(*self.config.extension, *symbols)))

    def grammar(self, **limits: Any) -> Grammar | None:
        """None: every sequence of data symbols is DNA."""
        return None

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

    def reverse_complement(self, record: SeqRecord | str) -> SeqRecord:
        """The other strand of the canonical record; letters without a complement stay as they are."""
        complements = str.maketrans(COMPLEMENTS)
        turned = letters_of(self.canonical(record)).decode("ascii").translate(complements)[::-1]
        other = make_record(turned.encode("ascii"), name_of(record))
        if isinstance(record, SeqRecord):
            for name, values in record.letter_annotations.items():
                other.letter_annotations[name] = values[::-1]
        return other

    def to_config(self) -> dict[str, Any]:
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self.config).items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Raises ConfigError for an unknown key, with the nearest one, and for a value that is not allowed."""
        known = [f.name for f in fields(cls.config_class)]
        for key in config:
            if key not in known:
                raise ConfigError(
                    f"tokenizer {cls.kind} has no setting '{key}'{nearest(key, known)}",
                    hint=f"Known: {', '.join(known)}.",
                )
        values = {key: tuple(v) if isinstance(v, list | tuple) else v for key, v in config.items()}
        return cls(cls.config_class(**values))  # type: ignore[arg-type]

    @cached_property
    def letters(self) -> tuple[str, ...]:
        """The symbols of one letter: those of the policy, then those of `extend`."""
        return (*self.config.policy.symbols, *(s for s in self.config.extension if len(s) == 1))

    @cached_property
    def letter_ids(self) -> Array:
        """(len(letters),) their ids."""
        return self.vocabulary.encode(self.letters).astype(self.vocabulary.dtype)

    def _read(self, record: SeqRecord | str) -> Letters:
        """Raises RecordError."""
        letters, name = letters_of(record), name_of(record)
        if not letters:
            raise RecordError("empty_sequence", f"record '{name}' has no letters", record=name)
        read = bytearray(letters).translate(self._reading)
        if b"\xff" in read:
            refuse(name, letters, np.frombuffer(read, np.uint8) == BAD, self.config.policy)
        return np.frombuffer(read, np.uint8)

    @cached_property
    def _reading(self) -> bytes:
        """ASCII to the index of a letter in `letters`, BAD where there is no reading."""
        table = bytearray([BAD] * 256)
        for letter, read in (self.config.policy.readings | {s: s for s in self.letters}).items():
            table[ord(letter)] = self.letters.index(read)
        return bytes(table)

    @cached_property
    def _spelling(self) -> tuple[Letters, NDArray[np.int64], NDArray[np.int64]]:
        """All symbols' letters in one row, and where each symbol starts in it and how long it is (V,); marks have 0."""
        marks = {s for s in self.config.extension if len(s) > 1}
        spelled = [""] * len(SPECIALS) + ["" if s in marks else s for s in self.vocabulary.symbols]
        lengths = np.array([len(s) for s in spelled], np.int64)
        flat = np.frombuffer("".join(spelled).encode("ascii"), np.uint8)
        return flat, np.cumsum(lengths) - lengths, lengths

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
