"""What the protein tokenizers share: letters by policy, symbols to letters and back, both reading directions, configs.

A tokenizer of a kind adds its symbols (`pieces`) and how a record's letters are cut into them (`cut`). Ids: the
specials, the single letters of the policy, the pieces, the direction marks where both directions are read, then what
`extend` appended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from Bio.SeqRecord import SeqRecord
from numpy.typing import NDArray

from core.config_keys import from_keys
from core.errors import ConfigError, RecordError
from core.grammar import Grammar
from core.sequence import Array, Sequence, Symbols, TokenSpec
from core.vocabulary import SPECIALS, Vocabulary
from domains.formats.seq_record import make_record
from domains.proteins.tokenizer.letters import ResiduePolicy, letters_of, looks_like_dna, name_of, refuse

BAD = 255
Letters = NDArray[np.uint8]
"""(n,) per residue the index of its letter in `ProteinTokenizer.letters`; 0 to 19 are the twenty residues."""
FORWARD, BACKWARD = "<n>", "<c>"
"""Marks before the first token: what follows is read from the N terminus, or from the C terminus."""


@dataclass(frozen=True)
class ProteinConfig:
    """What both protein tokenizers can be told."""

    case: str = "upper"
    """"upper": lower case is read as upper case. "refuse": it is an error."""
    rare: str = "keep"
    """"keep" B Z X U O J as symbols, read them all as "x", or "refuse" records with them."""
    stop: str = "keep"
    """"keep" `*` as a symbol or "refuse" records with it."""
    directions: str = "forward"
    """"forward": from the N to the C terminus. "both": a mark at the start says from which end a record is read, and
    training reads half of them from the other end, as ProGen2 does (Nijkamp et al. 2023, Cell Syst. 14:968)."""
    extension: tuple[str, ...] = ()
    """Symbols appended by `extend`. One of a single character is a letter that encodes; a longer one is a mark that
    stands in no record and is left out by decode."""

    def __post_init__(self) -> None:
        policy = self.policy
        if self.directions not in ("forward", "both"):
            raise ConfigError(f"directions={self.directions!r} is not allowed", hint="Allowed: forward, both.")
        for symbol in self.extension:
            if len(symbol) == 1 and (symbol in policy.readings or not symbol.isascii() or not symbol.isprintable()):
                raise ConfigError(
                    f"extension: {symbol!r} is read as a residue already, or is no printable ASCII letter"
                )
            if not symbol or symbol.isspace():
                raise ConfigError("extension: a symbol is at least one character that is not white space")
            if symbol in (FORWARD, BACKWARD):
                raise ConfigError(f"extension: {symbol!r} is the mark of a reading direction")

    @property
    def policy(self) -> ResiduePolicy:
        return ResiduePolicy(self.case, self.rare, self.stop)

    @property
    def marks(self) -> tuple[str, ...]:
        return (FORWARD, BACKWARD) if self.directions == "both" else ()


Config = TypeVar("Config", bound=ProteinConfig)


class ProteinTokenizer(Generic[Config]):
    """The half of the contract of `core.tokenizer.Tokenizer` that is the same for residues and BPE pieces."""

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    natural_unit: ClassVar[str] = "residue"
    config_class: ClassVar[type[ProteinConfig]]

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
        config = self.config
        return Vocabulary((*config.policy.symbols, *self.pieces(), *config.marks, *config.extension))

    @cached_property
    def spec(self) -> TokenSpec:
        return Symbols(self.vocabulary)

    def encode(self, record: SeqRecord | str) -> Sequence:
        """Arrays in `letter_annotations` become token labels, each token with the value of its first residue.

        Raises RecordError naming the record, the residue and the reason where a letter has no reading.
        """
        return self._encode(record, self._read(record), reverse=False)

    def encode_reversed(self, record: SeqRecord | str) -> Sequence:
        """The record read from its C terminus. Raises ConfigError unless directions=both, RecordError as `encode`."""
        if not self.config.marks:
            raise ConfigError("this tokenizer reads forwards only", hint="Prepare with tokenizer.directions=both.")
        return self._encode(record, self._read(record), reverse=True)

    def decode(self, sequence: Sequence) -> SeqRecord:
        """In the order from N to C, whichever way it was read. Raises RecordError for a special among the tokens."""
        tokens = sequence.arrays["tokens"]
        if len(tokens) and tokens.min() < len(SPECIALS):
            position = int(np.argmax(tokens < len(SPECIALS)))
            raise RecordError(
                "special_symbol",
                f"sequence '{sequence.id}': token {position} is {SPECIALS[int(tokens[position])]}, no residue",
                record=sequence.id,
                position=position,
            )
        flat, starts, lengths = self._spelling
        sizes = lengths[tokens]
        ends = np.cumsum(sizes)
        places = np.repeat(starts[tokens] - (ends - sizes), sizes) + np.arange(ends[-1] if len(ends) else 0)
        letters = flat[places].tobytes()
        return make_record(letters[::-1] if self.is_reversed(tokens) else letters, sequence.id)

    def is_reversed(self, tokens: Array) -> bool:
        """Whether tokens (T,) start with the mark of the C terminus."""
        return bool(self.config.marks and len(tokens) and tokens[0] == self.vocabulary.ids[BACKWARD])

    def canonical(self, record: SeqRecord | str) -> SeqRecord:
        """Letters as they are read (upper case, X for rare ones under rare=x) and the id; nothing else is kept."""
        spelled = np.frombuffer("".join(self.letters).encode("ascii"), np.uint8)
        return make_record(spelled[self._read(record)].tobytes(), name_of(record))

    def same(self, a: SeqRecord | str, b: SeqRecord | str) -> bool:
        """Whether ids and letters are equal."""
        return name_of(a) == name_of(b) and letters_of(a) == letters_of(b)

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """Marks stand for no residue."""
        return self._spelling[2][arrays["tokens"]].astype(np.float64)

    def extend(self, symbols: Iterable[str]) -> Self:
        return type(self)(replace(self.config, extension=(*self.config.extension, *symbols)))

    def grammar(self, **limits: Any) -> Grammar | None:
        """None: every sequence of data symbols is a protein."""
        return None

    def view_record(self, record: SeqRecord | str, rng: np.random.Generator) -> Sequence:
        """With directions=both, the record from its other end with probability 1/2, token labels turned with it."""
        turned = bool(self.config.marks) and rng.random() < 0.5
        return self._encode(record, self._read(record), reverse=turned)

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """With directions=both, a window that starts with the mark is read from its other end with probability 1/2.

        A window from the middle of a long record has no mark and stays as it is.
        """
        tokens = arrays["tokens"]
        if not self.config.marks or not len(tokens) or tokens[0] != self.vocabulary.ids[FORWARD]:
            return arrays
        if rng.random() < 0.5 or not self._turns_by_token or self._holds_extensions(tokens):
            return arrays
        turned = {name: np.concatenate([array[:1], array[:0:-1]]) for name, array in arrays.items()}
        turned["tokens"][0] = self.vocabulary.ids[BACKWARD]
        return turned

    def to_config(self) -> dict[str, Any]:
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self.config).items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Raises ConfigError for an unknown key, with the nearest one, and for a value that is not allowed."""
        values = {key: tuple(v) if isinstance(v, list | tuple) else v for key, v in config.items()}
        return cls(from_keys(cls.config_class, values, f"tokenizer {cls.kind}"))  # type: ignore[arg-type]

    @cached_property
    def letters(self) -> tuple[str, ...]:
        """The symbols of one letter: those of the policy, then those of `extend`."""
        return (*self.config.policy.symbols, *(s for s in self.config.extension if len(s) == 1))

    @cached_property
    def letter_ids(self) -> Array:
        """(len(letters),) their ids."""
        return self.vocabulary.encode(self.letters).astype(self.vocabulary.dtype)

    @property
    def _turns_by_token(self) -> bool:
        """Whether a record read backwards has the same tokens in the other order."""
        return not self.pieces()

    def _holds_extensions(self, tokens: Array) -> bool:
        return bool(self.config.extension) and int(tokens.max()) >= len(self.vocabulary) - len(self.config.extension)

    def _encode(self, record: SeqRecord | str, letters: Letters, *, reverse: bool) -> Sequence:
        tokens = self.cut(letters[::-1].copy() if reverse else letters)
        labels: dict[str, Array] = {}
        if isinstance(record, SeqRecord) and record.letter_annotations:
            sizes = self._spelling[2][tokens]
            starts = np.cumsum(sizes) - sizes
            starts = len(letters) - 1 - starts if reverse else starts
            annotations: dict[str, Any] = dict(record.letter_annotations)
            labels = {n: v[starts] for n, v in annotations.items() if isinstance(v, np.ndarray)}
        if not self.config.marks:
            return Sequence({"tokens": tokens}, name_of(record), token_labels=labels)
        mark = self.vocabulary.ids[BACKWARD if reverse else FORWARD]
        tokens = np.concatenate([np.array([mark], tokens.dtype), tokens])
        counts = np.ones(len(tokens), bool)
        counts[0] = False
        # The mark has no label of its own: it repeats its neighbour's, and as a token that stands for no residue it is
        # counted nowhere.
        labels = {name: np.concatenate([values[:1], values]) for name, values in labels.items()}
        return Sequence({"tokens": tokens}, name_of(record), loss_mask={"tokens": counts}, token_labels=labels)

    def _read(self, record: SeqRecord | str) -> Letters:
        """Raises RecordError."""
        letters, name = letters_of(record), name_of(record)
        if not letters:
            raise RecordError("empty_sequence", f"record '{name}' has no letters", record=name)
        read = bytearray(letters).translate(self._reading)
        if b"\xff" in read:
            refuse(name, letters, np.frombuffer(read, np.uint8) == BAD, self.config.policy)
        if looks_like_dna(letters):
            raise RecordError(
                "looks_like_dna",
                f"record '{name}' looks like DNA or RNA: of its {len(letters):,} letters nearly all are A C G T U N",
                record=name,
                hint="Give a file of proteins; nucleotides are another domain.",
            )
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
        marks = {s for s in self.config.extension if len(s) > 1} | set(self.config.marks)
        spelled = [""] * len(SPECIALS) + ["" if s in marks else s for s in self.vocabulary.symbols]
        lengths = np.array([len(s) for s in spelled], np.int64)
        flat = np.frombuffer("".join(spelled).encode("ascii"), np.uint8)
        return flat, np.cumsum(lengths) - lengths, lengths
