"""`music_abc`: a tune as the characters of its ABC text, in the one spelling of `domains.formats.abc_text`.

What a tune has beside what is played (titles, words, chord symbols, ornaments) is not kept. Natural unit: a character.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError, nearest
from core.sequence import Array
from core.vocabulary import SPECIALS
from domains.formats.abc import score_of
from domains.formats.abc_spelling import METRES, MODES, UNITS, sharps_of, spelled_key
from domains.formats.abc_text import read_text
from domains.formats.score import Score
from domains.music.tokenizer.automaton import Automaton, Table
from domains.music.tokenizer.shared import MusicConfig, MusicTokenizer
from domains.music.tokenizer.written import tune_of

CHARACTERS = " \n|:[]()<>-/,'^_=#0123456789ABCDEFGabcdefgzKLMmhiloprnxy"
"""All that the spelling has: notes, bars, lengths, and the letters of the three fields and of modes."""
KEYS = tuple(
    tonic + accidental + mode
    for tonic in "CDEFGAB"
    for accidental in ("", "#", "b")
    for mode in MODES
    if sharps_of(tonic + accidental, mode) != 99
)
_UPPER, _LOWER = "ABCDEFG", "abcdefg"


class AbcTokenizer(MusicTokenizer[MusicConfig]):
    """See the head of this file."""

    kind: ClassVar[str] = "music_abc"
    natural_unit: ClassVar[str] = "character"
    config_class = MusicConfig

    def symbols(self) -> tuple[str, ...]:
        return tuple(CHARACTERS)

    def counted_ids(self) -> NDArray[np.int64]:
        return np.arange(len(SPECIALS), self.size)

    def tokens(self, record: Score) -> Array:
        text = record.text if record.spelled and record.text else self.canonical(record).text
        return self._ids[np.frombuffer(text.encode("ascii"), np.uint8)]

    def score(self, tokens: NDArray[np.int64], name: str) -> Score:
        text = "".join(CHARACTERS[i] for i in (tokens - len(SPECIALS)).tolist())
        return score_of(read_text(text, name), name)

    def canonical(self, record: Score) -> Score:
        """The tune in its one spelling, with the notes that it says. Raises RecordError for a record without text."""
        return tune_of(record, self.kind)

    def grammar(  # type: ignore[override]
        self, *, max_length: int | None = None, key: str | None = None, metre: str | None = None
    ) -> Automaton:
        """The automaton of texts that are read as a tune with at least one note.

        Args:
            max_length: characters at most.
            key, metre: what the header says ("Em", "6/8"); None for any.

        Raises ConfigError for a key or metre that is none.
        """
        if metre is not None and metre not in METRES:
            raise ConfigError(f"metre={metre!r} is none that can be written{nearest(metre, METRES)}")
        if key is not None:
            try:
                key = spelled_key(key, "key")
            except RecordError as error:
                raise ConfigError(f"key={key!r} is none that can be written", hint="Examples: G, Em, Ddor.") from error
        table = Table(self.vocabulary.ids, len(self.vocabulary))
        _header(table, METRES if metre is None else (metre,), KEYS if key is None else (key,))
        for sung in (False, True):
            _body(table, sung)
        return Automaton(*table.made(), max_length)

    @cached_property
    def _ids(self) -> NDArray[np.int64]:
        """(128,) character to id."""
        ids = np.zeros(128, np.int64)
        for symbol in CHARACTERS:
            ids[ord(symbol)] = self.vocabulary.ids[symbol]
        return ids


def _header(table: Table, metres: tuple[str, ...], keys: tuple[str, ...]) -> None:
    table.words("start", ("M:",), metres[0][0], ("metre", metres[0][:1]))
    for metre in metres:  # the first letter of a word is reached from the field's name
        table.rule(("start", "M:"), metre[0], ("metre", metre[:1]))
        for n in range(1, len(metre)):
            table.rule(("metre", metre[:n]), metre[n], ("metre", metre[: n + 1]))
        table.rule(("metre", metre), "\n", "unit field")
    table.rule("unit field", "L", "unit colon")
    table.rule("unit colon", ":", "unit")
    table.words("unit", UNITS, "\n", "key field")
    table.rule("key field", "K", "key colon")
    table.rule("key colon", ":", "key")
    table.words("key", keys, "\n", ("open", False))


def _body(table: Table, sung: bool) -> None:
    """States of a body, before (`sung` False) and after its first note."""
    here = ("open", sung)
    _start_items(table, here, sung)
    table.rule(here, " \n", here)
    table.rule(here, "|", ("bar", sung))
    _start_items(table, ("bar", sung), sung)
    table.rule(("bar", sung), " \n", here)
    table.rule(("bar", sung), "|]:", ("closed bar", sung))
    _start_items(table, ("closed bar", sung), sung)
    table.rule(("closed bar", sung), " \n", here)
    table.rule(here, ":", ("colon", sung))
    table.rule(("colon", sung), "|:", ("closed bar", sung))
    for place in (here, ("bar", sung), ("closed bar", sung)):
        table.rule(place, "[", ("bracket", sung))
        table.rule(place, "(", ("tuplet", sung))
    table.rule(("bracket", sung), "123456789", here)
    table.rule(("bracket", sung), "|", ("closed bar", sung))
    for letter, words in (("K", KEYS), ("M", METRES), ("L", UNITS)):
        table.rule(("bracket", sung), letter, ("field", letter, sung))
        table.rule(("field", letter, sung), ":", ("value", letter, sung))
        table.words(("value", letter, sung), words, "]", here)
    _chord(table, sung)
    table.rule(("tuplet", sung), "23456789", ("number", sung))
    _like(table, ("number", sung), here)
    table.rule(("number", sung), ":", ("number colon", sung))  # of a ratio, or of a bar line
    table.rule(("number colon", sung), "|:", ("closed bar", sung))
    table.rule(("number colon", sung), "123456789", ("ratio", sung))
    table.rule(("ratio", sung), ":", ("ratio colon", sung))
    table.rule(("ratio colon", sung), "123456789", here)
    _after_item(table, "note", True)
    _after_item(table, "rest", sung)
    if sung:
        for name in ("open", "bar", "closed bar"):
            table.ends((name, True))


def _start_items(table: Table, place: tuple[str, bool], sung: bool) -> None:
    """A note or a rest may begin at `place`."""
    for sign in "^_":
        table.rule(place, sign, ("accidental", sign))
        table.rule(("accidental", sign), sign, ("natural",))
        _letters(table, ("accidental", sign), "note")
    table.rule(place, "=", ("natural",))
    _letters(table, ("natural",), "note")
    _letters(table, place, "note")
    table.rule(place, "z", ("rest", 0, sung))


def _letters(table: Table, place: tuple[object, ...], kind: str) -> None:
    """A letter with its octave marks, after which a note (or a note of a chord) has been written."""
    after = ("note", 0, True) if kind == "note" else (kind, "in")
    for letters, mark, most in ((_UPPER, ",", 3), (_LOWER, "'", 3)):
        table.rule(place, letters, (kind, mark, 0))
        for n in range(most):
            table.rule((kind, mark, n), mark, (kind, mark, n + 1))
        for n in range(most + 1):
            _like(table, (kind, mark, n), after)


def _like(table: Table, place: tuple[object, ...], other: tuple[object, ...]) -> None:
    """`place` goes on as `other` does; remembered until all rules are known."""
    table.alike(place, other)


def _chord(table: Table, sung: bool) -> None:
    _chord_notes(table, ("bracket", sung))
    inside = ("chord", "in")
    _chord_notes(table, inside)
    table.rule(inside, "]", ("note", 0, True))


def _chord_notes(table: Table, place: tuple[object, ...]) -> None:
    for sign in "^_":
        table.rule(place, sign, ("chord accidental", sign))
        table.rule(("chord accidental", sign), sign, ("chord natural",))
        _letters(table, ("chord accidental", sign), "chord")
    table.rule(place, "=", ("chord natural",))
    _letters(table, ("chord natural",), "chord")
    _letters(table, place, "chord")


def _after_item(table: Table, kind: str, sung: bool) -> None:
    """What may follow a note or rest: a length, then a broken rhythm, a tie, or what may stand anywhere."""
    stages: list[tuple[object, ...]] = [(kind, 0, sung)]
    _number(table, (kind, 0, sung), (kind, "n", sung), stages)
    for place in list(stages):
        table.rule(place, "/", (kind, "slash", sung))
    stages.append((kind, "slash", sung))
    _number(table, (kind, "slash", sung), (kind, "d", sung), stages)
    for place in dict.fromkeys(stages):
        _like(table, place, ("open", sung))
        for sign in "<>":
            table.rule(place, sign, (kind, sign, 1, sung))
        if kind == "note":
            table.rule(place, "-", ("tie", sung))
        if sung:
            table.ends(place)
    for sign in "<>":
        for n in (1, 2):
            table.rule((kind, sign, n, sung), sign, (kind, sign, n + 1, sung))
        for n in (1, 2, 3):
            _like(table, (kind, sign, n, sung), ("open", sung))
    if kind == "note":
        _like(table, ("tie", sung), ("open", sung))
        for sign in "<>":
            table.rule(("tie", sung), sign, (kind, sign, 1, sung))


def _number(
    table: Table, place: tuple[object, ...], stop: tuple[object, ...], stages: list[tuple[object, ...]]
) -> None:
    """1 to 64 after `place`."""
    whole, few, six = (*stop, "whole"), (*stop, "few"), (*stop, "six")
    table.rule(place, "12345", few)
    table.rule(place, "6", six)
    table.rule(place, "789", whole)
    table.rule(few, "0123456789", whole)
    table.rule(six, "01234", whole)
    stages += [whole, few, six]
