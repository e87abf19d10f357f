"""Frequent runs of symbols as tokens, learned from the training split by byte-pair encoding: `music_abc_bpe` over the
characters of a tune, `music_remi_bpe` and `music_tracks_bpe` over events (Fradet et al. 2023, arXiv 2301.11975).

A record is what it is without pieces, cut by the longest piece from the left. No piece reaches over the line of a bar
of events, so a bar begins with a token of its own. A window has no views: a transposed one is cut otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.sequence import Array, Sequence
from core.vocabulary import SPECIALS
from domains.formats.bpe_learning import learn_pieces, sample_codes
from domains.formats.bpe_pieces import LARGEST_VOCABULARY, PieceTree
from domains.formats.score import Score
from domains.music.tokenizer.abc import AbcTokenizer
from domains.music.tokenizer.remi import BAR, LENGTH, RemiConfig, RemiTokenizer, TracksTokenizer
from domains.music.tokenizer.shared import MusicConfig, MusicTokenizer

if TYPE_CHECKING:
    from domains.music.tokenizer.piece_grammar import PieceGrammar

_FIRST = 0x4E00
"""Symbols are learned as characters: symbol number n is character 0x4E00 + n."""


@dataclass(frozen=True)
class PiecesConfig(MusicConfig):
    """How many pieces, and of what."""

    pieces: int = 512
    """Learned pieces at most, single symbols not counted."""
    max_length: int = 8
    """Symbols of the longest piece: two notes of events."""
    sample_symbols: int = 1_000_000
    """How many symbols of the training split are looked at: all of the collections of tunes."""
    seed: int = 0
    """Which symbols."""
    learned: tuple[tuple[int, ...], ...] | None = None
    """The pieces, once learned, each as the places of its symbols among the single ones."""

    def __post_init__(self) -> None:
        bounds = {"pieces": (0, LARGEST_VOCABULARY), "max_length": (2, 64), "sample_symbols": (1000, 2**28)}
        for key, (low, high) in bounds.items():
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"tokenizer.{key}: got {value!r}, allowed: {low:,} to {high:,}")
        for piece in self.learned or ():
            if not 2 <= len(piece) <= self.max_length or min(piece) < 0:
                raise ConfigError(f"tokenizer.learned: {piece!r} is no piece of 2 to {self.max_length} symbols")


@dataclass(frozen=True)
class EventPiecesConfig(PiecesConfig, RemiConfig):
    """The same, and how fine time is."""

    def __post_init__(self) -> None:
        PiecesConfig.__post_init__(self)
        RemiConfig.__post_init__(self)


Config = TypeVar("Config", bound=PiecesConfig)


class PieceTokenizer(MusicTokenizer[Config]):
    """Single symbols, then the learned pieces; a kind says which tokenizer makes the single ones."""

    between: ClassVar[str] = " "
    """What stands between the names of a piece's symbols in its own name."""

    @cached_property
    def single(self) -> MusicTokenizer[Any]:
        """The tokenizer of single symbols."""
        raise NotImplementedError

    @cached_property
    def letters(self) -> tuple[str, ...]:
        """The single symbols."""
        return self.single.symbols()

    def in_no_piece(self) -> Iterable[int]:
        """Places of symbols that stand alone."""
        return ()

    @property
    def needs_fit(self) -> bool:
        return self.config.learned is None

    def fit(self, train_records: Iterable[Score]) -> Self:
        """A tokenizer with pieces learned from a sample of the records. Raises RecordError."""
        if not self.needs_fit:
            return self
        config, size = self.config, len(self.letters)
        alone = sorted(self.in_no_piece())

        def codes() -> Iterator[NDArray[np.uint16]]:
            for record in train_records:
                found = (self.single.tokens(record) - len(SPECIALS)).astype(np.uint16)
                found[np.isin(found, alone)] = size  # a break
                yield found

        sampled = sample_codes(codes(), config.sample_symbols, size, self.kind, config.seed)
        found = learn_pieces(sampled, _spelled(range(size)), config.pieces, config.max_length)
        return type(self)(replace(config, learned=tuple(tuple(ord(c) - _FIRST for c in piece) for piece in found)))

    @property
    def learned(self) -> tuple[tuple[int, ...], ...]:
        """Raises ConfigError before `fit`."""
        if self.config.learned is None:
            raise ConfigError(
                f"tokenizer {self.kind} has not learned its pieces yet", hint="Call fit(train_records) first."
            )
        return self.config.learned

    def symbols(self) -> tuple[str, ...]:
        letters = self.letters
        if any(max(piece) >= len(letters) for piece in self.learned):
            raise ConfigError(f"tokenizer.learned: a piece of {self.kind} has a symbol that there is not")
        return (*letters, *(self.between.join(letters[i] for i in piece) for piece in self.learned))

    @cached_property
    def spellings(self) -> tuple[tuple[int, ...], ...]:
        """Ids of the single symbols of each id behind the specials."""
        first = len(SPECIALS)
        singles = tuple((first + i,) for i in range(len(self.letters)))
        return (*singles, *(tuple(first + i for i in piece) for piece in self.learned))

    def tokens(self, record: Score) -> Array:
        singles = self.single.tokens(record)
        return self._tree.cut((singles - len(SPECIALS)).astype(np.uint16), singles)

    def score(self, tokens: NDArray[np.int64], name: str) -> Score:
        return self.single.score(self.taken_apart(tokens), name)

    def taken_apart(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """The single symbols (S,) of tokens (T,)."""
        spelled = [self.spellings[i] for i in (tokens - len(SPECIALS)).tolist()]
        return np.array([i for piece in spelled for i in piece], np.int64)

    def canonical(self, record: Score) -> Score:
        return self.single.canonical(record)

    @cached_property
    def _units_of(self) -> NDArray[np.float64]:
        units = np.zeros(len(self.vocabulary))
        counted = set(self.single.counted_ids().tolist())
        for number, piece in enumerate(self.spellings, len(SPECIALS)):
            units[number] = sum(i in counted for i in piece)
        return units

    @cached_property
    def _tree(self) -> PieceTree:
        first = len(SPECIALS)
        pieces = [_spelled(i - first for i in piece) for piece in self.spellings]
        return PieceTree(
            _spelled(range(len(self.letters))),
            pieces[len(self.letters) :],
            {piece: first + i for i, piece in enumerate(pieces)},
        )

    def _pieced(self, grammar: Any) -> PieceGrammar:
        from domains.music.tokenizer.piece_grammar import PieceGrammar

        return PieceGrammar(grammar, self.spellings, len(self.vocabulary))


class AbcPieceTokenizer(PieceTokenizer[PiecesConfig]):
    """Of characters. Natural unit: a character."""

    kind: ClassVar[str] = "music_abc_bpe"
    natural_unit: ClassVar[str] = "character"
    config_class = PiecesConfig
    between: ClassVar[str] = ""

    @cached_property
    def single(self) -> AbcTokenizer:
        return AbcTokenizer()

    def grammar(  # type: ignore[override]
        self, *, max_length: int | None = None, key: str | None = None, metre: str | None = None
    ) -> PieceGrammar:
        """As of AbcTokenizer; `max_length` counts characters."""
        return self._pieced(self.single.grammar(max_length=max_length, key=key, metre=metre))


class RemiPieceTokenizer(PieceTokenizer[EventPiecesConfig]):
    """Of events, by time."""

    kind: ClassVar[str] = "music_remi_bpe"
    config_class = EventPiecesConfig
    single_class: ClassVar[type[RemiTokenizer]] = RemiTokenizer

    @cached_property
    def single(self) -> RemiTokenizer:
        return self.single_class(RemiConfig(steps=self.config.steps))

    def in_no_piece(self) -> Iterable[int]:
        return (int(self.single.first[BAR]) - len(SPECIALS),)

    def whole(self, sequence: Sequence, length: int) -> int:
        """How many of the first `length` tokens end with a whole note; at least those of the first one."""
        tokens = sequence.arrays["tokens"].astype(np.int64)
        last = np.array([self.spellings[i][-1] for i in (tokens - len(SPECIALS)).tolist()], np.int64)
        ends = np.flatnonzero(self.single.kinds[last] == LENGTH) + 1
        fitting = ends[ends <= length]
        return int(fitting[-1]) if len(fitting) else int(ends[0]) if len(ends) else length

    def grammar(  # type: ignore[override]
        self,
        *,
        max_length: int | None = None,
        programs: tuple[int, ...] | None = None,
        key: str | None = None,
        low: int = 0,
        high: int = 127,
        metres: tuple[str, ...] | None = None,
    ) -> PieceGrammar:
        """As of RemiTokenizer; `max_length` counts single symbols."""
        limits = {"programs": programs, "key": key, "low": low, "high": high, "metres": metres}
        return self._pieced(self.single.grammar(max_length=max_length, **limits))  # type: ignore[arg-type]


class TracksPieceTokenizer(RemiPieceTokenizer):
    """Of events, bar by bar one program after the other."""

    kind: ClassVar[str] = "music_tracks_bpe"
    single_class: ClassVar[type[RemiTokenizer]] = TracksTokenizer


def _spelled(places: Iterable[int]) -> str:
    return "".join(chr(_FIRST + i) for i in places)
