"""What the protein tokenizers share beyond those of any letters: the policy for residues, both reading directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NoReturn, TypeVar

import numpy as np
from Bio.SeqRecord import SeqRecord
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError
from core.sequence import Array, Sequence
from domains.formats.letter_reading import name_of
from domains.formats.letter_tokenizer import LetterConfig, LetterTokenizer
from domains.formats.seq_record import letters_of, make_record
from domains.proteins.tokenizer.letters import ResiduePolicy, looks_like_dna, refuse

FORWARD, BACKWARD = "<n>", "<c>"
"""Marks before the first token: what follows is read from the N terminus, or from the C terminus."""


@dataclass(frozen=True)
class ProteinConfig(LetterConfig):
    """What both protein tokenizers can be told."""

    unit: ClassVar[str] = "residue"

    rare: str = "keep"
    """"keep" B Z X U O J as symbols, read them all as "x", or "refuse" records with them."""
    stop: str = "keep"
    """"keep" `*` as a symbol or "refuse" records with it."""
    directions: str = "forward"
    """"forward": from the N to the C terminus. "both": a mark at the start says from which end a record is read, and
    training reads half of them from the other end, as ProGen2 does (Nijkamp et al. 2023, Cell Syst. 14:968)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.directions not in ("forward", "both"):
            raise ConfigError(f"directions={self.directions!r} is not allowed", hint="Allowed: forward, both.")
        for symbol in self.extension:
            if symbol in (FORWARD, BACKWARD):
                raise ConfigError(f"extension: {symbol!r} is the mark of a reading direction")

    @property
    def policy(self) -> ResiduePolicy:
        return ResiduePolicy(self.case, self.rare, self.stop)

    @property
    def marks(self) -> tuple[str, ...]:
        return (FORWARD, BACKWARD) if self.directions == "both" else ()


@dataclass(frozen=True)
class OtherEnd:
    """Reads whole records, each a mark and its residues, from their other end.

    What lies end to end comes in the other order: the last record first.
    """

    forward: int
    backward: int
    """Ids of the marks."""
    stays: ClassVar[int] = 1
    """Tokens that are not turned: the mark is the first from either end."""

    def __call__(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Arrays (T, ...) by name; a mark says where a record begins."""
        tokens = arrays["tokens"][::-1]
        marked = (tokens == self.forward) | (tokens == self.backward)  # each record's last, read from this side
        begins = np.flatnonzero(np.concatenate([[True], marked[:-1]])) if len(tokens) else np.zeros(0, np.int64)
        order = np.arange(len(tokens)) - 1
        order[begins] = np.append(begins[1:], len(tokens)) - 1  # the mark goes before its residues
        turned = {name: array[::-1][order] for name, array in arrays.items()}
        mark = turned["tokens"][begins]
        turned["tokens"][begins] = np.where(mark == self.forward, self.backward, self.forward)
        return turned


Config = TypeVar("Config", bound=ProteinConfig)


class ProteinTokenizer(LetterTokenizer[Config]):
    """The half of the contract that is the same for residues and BPE pieces."""

    natural_unit: ClassVar[str] = "residue"
    what: ClassVar[str] = "a protein"

    def refuse(self, record: str, letters: bytes, bad: NDArray[np.bool_]) -> NoReturn:
        refuse(record, letters, bad, self.config.policy)

    def check(self, record: str, letters: bytes) -> None:
        if looks_like_dna(letters):
            raise RecordError(
                "looks_like_dna",
                f"record '{record}' looks like DNA or RNA: of its {len(letters):,} letters nearly all are A C G T U N",
                record=record,
                hint="Give a file of proteins; nucleotides are another domain.",
            )

    def encode(self, record: SeqRecord | str) -> Sequence:
        """Arrays in `letter_annotations` become token labels, each token with the value of its first residue.

        Raises RecordError naming the record, the residue and the reason where a letter has no reading.
        """
        return self._directed(record, reverse=False)

    def encode_reversed(self, record: SeqRecord | str) -> Sequence:
        """The record read from its C terminus. Raises ConfigError unless directions=both, RecordError as `encode`."""
        if not self.config.marks:
            raise ConfigError("this tokenizer reads forwards only", hint="Prepare with tokenizer.directions=both.")
        return self._directed(record, reverse=True)

    def decode(self, sequence: Sequence) -> SeqRecord:
        """In the order from N to C, whichever way it was read. Raises RecordError for a special among the tokens."""
        record = super().decode(sequence)
        if not self.is_reversed(sequence.arrays["tokens"]):
            return record
        return make_record(letters_of(record)[::-1], sequence.id)

    def is_reversed(self, tokens: Array) -> bool:
        """Whether tokens (T,) start with the mark of the C terminus."""
        return bool(self.config.marks and len(tokens) and tokens[0] == self.vocabulary.ids[BACKWARD])

    def view_record(self, record: SeqRecord | str, rng: np.random.Generator) -> Sequence:
        """With directions=both, the record from its other end with probability 1/2, token labels turned with it."""
        return self._directed(record, reverse=bool(self.config.marks) and rng.random() < 0.5)

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

    @property
    def other_strand(self) -> OtherEnd | None:
        """Reads records from their other end; None where they are read from one end only, or cut into other pieces."""
        if not self.config.marks or not self._turns_by_token:
            return None
        return OtherEnd(self.vocabulary.ids[FORWARD], self.vocabulary.ids[BACKWARD])

    @property
    def _turns_by_token(self) -> bool:
        """Whether a record read backwards has the same tokens in the other order."""
        return not self.pieces()

    def _holds_extensions(self, tokens: Array) -> bool:
        return bool(self.config.extension) and int(tokens.max()) >= len(self.vocabulary) - len(self.config.extension)

    def _directed(self, record: SeqRecord | str, *, reverse: bool) -> Sequence:
        letters = self._read(record)
        tokens = self.cut(letters[::-1].copy() if reverse else letters)
        labels = self._labels(record, tokens, reverse=reverse)
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
