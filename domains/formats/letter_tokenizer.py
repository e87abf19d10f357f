"""What tokenizers of DNA and of proteins share: letters by policy, symbols to letters and back, configs.

A domain adds its policy and its views; a kind adds its symbols (`pieces`) and how a record's letters are cut into them
(`cut`). Ids: the specials, the single letters of the policy, the pieces, marks, then what `extend` appended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NoReturn, Protocol, TypeVar

import numpy as np
from Bio.SeqRecord import SeqRecord
from numpy.typing import NDArray

from core.configured_tokenizer import ConfiguredTokenizer
from core.errors import ConfigError, RecordError
from core.sequence import Array, Sequence, Symbols, TokenSpec
from core.vocabulary import SPECIALS, Vocabulary
from domains.formats.letter_reading import letters_of, name_of
from domains.formats.seq_record import make_record

BAD = 255
Letters = NDArray[np.uint8]
"""(n,) per letter of a record its index in `LetterTokenizer.letters`; those of the plain alphabet come first."""


class Policy(Protocol):
    """What becomes of the letters that stand in files."""

    @property
    def symbols(self) -> str:
        """The letters of canonical records, in id order."""
        ...

    @property
    def readings(self) -> dict[str, str]:
        """Letter as it may stand in a record to the letter it is read as."""
        ...


@dataclass(frozen=True)
class LetterConfig:
    """What all of them can be told."""

    unit: ClassVar[str]
    """What a letter stands for: "base"."""

    case: str = "upper"
    """"upper": lower case is read as upper case. "refuse": it is an error."""
    extension: tuple[str, ...] = ()
    """Symbols appended by `extend`. One of a single character is a letter that encodes; a longer one is a mark that
    stands in no record and is left out by decode."""

    def __post_init__(self) -> None:
        policy = self.policy
        for symbol in self.extension:
            if len(symbol) == 1 and (symbol in policy.readings or not symbol.isascii() or not symbol.isprintable()):
                raise ConfigError(
                    f"extension: {symbol!r} is read as a {self.unit} already, or is no printable ASCII letter"
                )
            if not symbol or symbol.isspace():
                raise ConfigError("extension: a symbol is at least one character that is not white space")

    @property
    def policy(self) -> Policy:
        raise NotImplementedError

    @property
    def marks(self) -> tuple[str, ...]:
        """Symbols that stand for no letter, between the pieces and the extension."""
        return ()


Config = TypeVar("Config", bound=LetterConfig)


class LetterTokenizer(ConfiguredTokenizer[SeqRecord | str, Config]):
    """The half of the contract of `core.tokenizer.Tokenizer` that is the same for letters and for pieces of them."""

    what: ClassVar[str]
    """Of which a record's letters are: "DNA"."""
    config_class: ClassVar[type[LetterConfig]]

    def pieces(self) -> tuple[str, ...]:
        """The symbols of several letters, in id order."""
        raise NotImplementedError

    def cut(self, letters: Letters) -> Array:
        """Tokens (T,) of a record's letters, which it may overwrite."""
        raise NotImplementedError

    def refuse(self, record: str, letters: bytes, bad: NDArray[np.bool_]) -> NoReturn:
        """Raises the RecordError that says why a record cannot be read; `bad` (n,) tells letters without a reading."""
        raise NotImplementedError

    def check(self, record: str, letters: bytes) -> None:
        """Raises RecordError for letters that all have a reading and still are not what they are given as."""

    @cached_property
    def vocabulary(self) -> Vocabulary:
        config = self.config
        return Vocabulary((*config.policy.symbols, *self.pieces(), *config.marks, *config.extension))

    @cached_property
    def spec(self) -> TokenSpec:
        return Symbols(self.vocabulary)

    def encode(self, record: SeqRecord | str) -> Sequence:
        """Arrays in `letter_annotations` become token labels, each token with the value of its first letter.

        Raises RecordError naming the record, the position and the reason where a letter has no reading.
        """
        tokens = self.cut(self._read(record))
        return Sequence({"tokens": tokens}, name_of(record), token_labels=self._labels(record, tokens))

    def decode(self, sequence: Sequence) -> SeqRecord:
        """Raises RecordError where a special stands among the tokens."""
        tokens = sequence.arrays["tokens"]
        if len(tokens) and tokens.min() < len(SPECIALS):
            position = int(np.argmax(tokens < len(SPECIALS)))
            raise RecordError(
                "special_symbol",
                f"sequence '{sequence.id}': token {position} is {SPECIALS[int(tokens[position])]}, "
                f"no letter of {self.what}",
                record=sequence.id,
                position=position,
            )
        return make_record(self._spelled(tokens), sequence.id)

    def canonical(self, record: SeqRecord | str) -> SeqRecord:
        """Letters as the policy reads them, and the id; nothing else is kept."""
        spelled = np.frombuffer("".join(self.letters).encode("ascii"), np.uint8)
        return make_record(spelled[self._read(record)].tobytes(), name_of(record))

    def same(self, a: SeqRecord | str, b: SeqRecord | str) -> bool:
        """Whether ids and letters are equal."""
        return name_of(a) == name_of(b) and self._as_they_stand(a) == self._as_they_stand(b)

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """Letters of each token; marks have none."""
        tokens = arrays["tokens"]
        if self._one_each and tokens.min(initial=len(SPECIALS)) >= len(SPECIALS):
            return np.ones(len(tokens))  # no gather over a genome
        return self._spelling[2][tokens].astype(np.float64)

    @cached_property
    def letters(self) -> tuple[str, ...]:
        """The symbols of one letter: those of the policy, then those of `extend`."""
        return (*self.config.policy.symbols, *(s for s in self.config.extension if len(s) == 1))

    @cached_property
    def letter_ids(self) -> Array:
        """(len(letters),) their ids."""
        return self.vocabulary.encode(self.letters).astype(self.vocabulary.dtype)

    def _as_they_stand(self, record: SeqRecord | str) -> bytes:
        return letters_of(record, self.natural_unit, self.what)

    def _read(self, record: SeqRecord | str) -> Letters:
        """Raises RecordError."""
        letters, name = self._as_they_stand(record), name_of(record)
        if not letters:
            raise RecordError("empty_sequence", f"record '{name}' has no letters", record=name)
        read = bytearray(letters).translate(self._reading)
        if b"\xff" in read:
            self.refuse(name, letters, np.frombuffer(read, np.uint8) == BAD)
        self.check(name, letters)
        return np.frombuffer(read, np.uint8)

    def _starts(self, tokens: Array) -> NDArray[np.int64]:
        """(T,) which letter of the record each token begins with."""
        sizes = self._spelling[2][tokens]
        return np.cumsum(sizes) - sizes

    def _labels(self, record: SeqRecord | str, tokens: Array, *, reverse: bool = False) -> dict[str, Array]:
        """A record's letter annotations, those of the letters that its tokens begin with; `reverse` where the tokens
        are those of the record read from its end.
        """
        annotations: dict[str, Any] = dict(record.letter_annotations) if isinstance(record, SeqRecord) else {}
        if not annotations:
            return {}
        places = self._starts(tokens)
        if reverse:
            places = len(record) - 1 - places
        return {name: values[places] for name, values in annotations.items() if isinstance(values, np.ndarray)}

    def _spelled(self, tokens: Array) -> bytes:
        """The letters that data symbols stand for."""
        flat, starts, lengths = self._spelling
        if self._one_each:
            return bytes(flat[tokens - len(SPECIALS)])
        sizes = lengths[tokens]
        ends = np.cumsum(sizes)
        places = np.repeat(starts[tokens] - (ends - sizes), sizes) + np.arange(ends[-1] if len(ends) else 0)
        return bytes(flat[places])

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
        marks = {s for s in self.config.extension if len(s) > 1} | set(self.config.marks)
        spelled = [""] * len(SPECIALS) + ["" if s in marks else s for s in self.vocabulary.symbols]
        lengths = np.array([len(s) for s in spelled], np.int64)
        flat = np.frombuffer("".join(spelled).encode("ascii"), np.uint8)
        return flat, np.cumsum(lengths) - lengths, lengths

    @cached_property
    def _one_each(self) -> bool:
        """Whether every data symbol is one letter."""
        lengths = self._spelling[2]
        return bool(lengths.max() == 1 and lengths[len(SPECIALS) :].all())


class SingleLetters:
    """The half of a LetterTokenizer with a token a letter; stands before it among the bases.

    Encodes about 1 GB/s: one `bytes.translate`, one addition.
    """

    config: Any
    vocabulary: Any
    letters: Any
    letter_ids: Any
    _reading: Any

    def pieces(self) -> tuple[str, ...]:
        return ()

    def encode_rows(self, letters: NDArray[np.uint8], lengths: NDArray[np.int64]) -> Array | None:
        """Tokens of the letters (n,), in ASCII, of many records end to end, `lengths` of each.

        None where `encode` would refuse one of them or do anything else than look its letters up.
        """
        if self.config.marks or self.unsure(letters, lengths):
            return None
        read = bytearray(letters.tobytes()).translate(self._reading)
        return None if b"\xff" in read else self.cut(np.frombuffer(read, np.uint8))

    def unsure(self, letters: NDArray[np.uint8], lengths: NDArray[np.int64]) -> bool:
        """Whether `check` may refuse one of these records."""
        return False

    def cut(self, letters: Letters) -> Array:
        if self._ids_follow_letters:
            letters += len(SPECIALS)
            return letters.astype(self.vocabulary.dtype, copy=False)
        tokens: Array = self.letter_ids[letters]
        return tokens

    @cached_property
    def _ids_follow_letters(self) -> bool:
        """Whether id = index of the letter + number of specials, in a byte: unless letters came after marks."""
        return len(self.letters) + len(SPECIALS) < 256 and bool(
            np.array_equal(self.letter_ids, np.arange(len(self.letters)) + len(SPECIALS))
        )
