"""The half of a tokenizer's contract that is the same for every tokenizer of music.

A kind adds its symbols, how a score becomes tokens and back, and its canonical form. Ids: the specials, the symbols,
then what `extend` appended; an appended symbol stands in no record and is left out by decode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.configured_tokenizer import ConfiguredTokenizer
from core.errors import ConfigError, RecordError
from core.grammar import Grammar
from core.sequence import Array, Sequence, Symbols, TokenSpec
from core.vocabulary import SPECIALS, Vocabulary
from domains.formats.score import Score

KEYS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
_OTHER_NAMES = {"C#": 1, "D#": 3, "F#": 6, "G#": 8, "A#": 10, "Cb": 11, "E#": 5, "Fb": 4, "B#": 0}
_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 9, 10, 11)
"""Steps above the tonic; a minor key has both forms of its sixth and seventh."""


@dataclass(frozen=True)
class MusicConfig:
    """What all of them can be told."""

    extension: tuple[str, ...] = ()
    """Symbols appended by `extend`: marks that stand in no record."""


Config = TypeVar("Config", bound=MusicConfig)


class MusicTokenizer(ConfiguredTokenizer[Score, Config]):
    """Symbols of one field called `tokens`."""

    natural_unit: ClassVar[str] = "note"
    config_class: ClassVar[type[MusicConfig]]

    def symbols(self) -> tuple[str, ...]:
        """The symbols of records, in id order."""
        raise NotImplementedError

    def tokens(self, record: Score) -> Array:
        """(T,) ids of a record. Raises RecordError where it is refused."""
        raise NotImplementedError

    def score(self, tokens: NDArray[np.int64], name: str) -> Score:
        """The record of ids (T,) without marks, called `name`. Raises RecordError where they are none."""
        raise NotImplementedError

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary((*self.symbols(), *self.config.extension))

    @cached_property
    def spec(self) -> TokenSpec:
        return Symbols(self.vocabulary)

    @property
    def size(self) -> int:
        """Ids of specials and records, without the extension."""
        return len(self.vocabulary) - len(self.config.extension)

    def encode(self, record: Score) -> Sequence:
        """Raises RecordError naming the record and the reason where it is refused."""
        return Sequence({"tokens": self.tokens(record).astype(self.vocabulary.dtype, copy=False)}, record.id)

    def decode(self, sequence: Sequence) -> Score:
        """Raises RecordError where the tokens are not those of a record: a special, or what the grammar forbids."""
        tokens = np.asarray(sequence.arrays["tokens"]).astype(np.int64)
        special = tokens < len(SPECIALS)
        if special.any():
            at = int(np.argmax(special))
            raise RecordError(
                "special_symbol",
                f"sequence '{sequence.id}': token {at} is {SPECIALS[int(tokens[at])]}, which stands in no music",
                record=sequence.id,
                position=at,
            )
        return self.score(tokens[tokens < self.size], sequence.id)

    def same(self, a: Score, b: Score) -> bool:
        """Whether ids, notes, tempi, metres, text and bytes are equal."""
        if (a.id, a.tpq, a.text, a.data) != (b.id, b.tpq, b.text, b.data):
            return False
        return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in ("notes", "tempos", "metres", "keys"))

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """(T,) natural units of each token."""
        return self._units_of[arrays["tokens"]]

    @cached_property
    def _units_of(self) -> NDArray[np.float64]:
        """(V,) natural units of each id."""
        units = np.zeros(len(self.vocabulary))
        units[self.counted_ids()] = 1.0
        return units

    def counted_ids(self) -> NDArray[np.int64]:
        """The ids that stand for one natural unit each; all others for none."""
        raise NotImplementedError

    def grammar(self, **limits: Any) -> Grammar[Any] | None:
        raise NotImplementedError


def pitch_classes_of(key: str) -> frozenset[int]:
    """The pitch classes of a key: "G", "F#m", "Bb minor". Raises ConfigError for a name that is none."""
    if not isinstance(key, str):
        raise ConfigError(f"key={key!r} is no key", hint="Examples: C, F#, Bb, Am, C#m.")
    name = key.strip().removesuffix(" major")
    minor = name.endswith(("m", " minor"))
    name = name.removesuffix(" minor").removesuffix("m")
    tonic = KEYS.index(name) if name in KEYS else _OTHER_NAMES.get(name)
    if tonic is None:
        raise ConfigError(f"key={key!r} is no key", hint="Examples: C, F#, Bb, Am, C#m.")
    return frozenset((tonic + step) % 12 for step in (_MINOR if minor else _MAJOR))
