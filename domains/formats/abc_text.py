"""The text of one tune in ABC (standard 2.1): cut into symbols, brought to one spelling, and read as notes.

The spelling keeps what is played: `M:`, `L:`, `K:`, then notes, rests, chords, ties, broken rhythms, tuplets, bars with
their repeats and endings, changes of key, metre and unit. It leaves out what is said about it: titles, words, chord
symbols, annotations, decorations, slurs and grace notes, each counted. Knows one tune, no files.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn

import numpy as np

from core.errors import RecordError
from domains.formats.abc_spelling import (
    MAX_LENGTH,
    sharps_of,
    signature,
    spelled_key,
    spelled_length,
    spelled_metre,
    spelled_unit,
)
from domains.formats.score import VELOCITY_USUAL, Rows, in_order, no_rows

BARS = ("|", "||", "|]", "[|", "|:", ":|", "::")
ACCIDENTALS = {"": None, "^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}
TUPLETS = range(2, 10)
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_NOTE = r"(?P<acc>\^\^|\^/?|__|_/?|=)?(?P<let>[A-Ga-g])(?P<oct>[',]*)(?P<len>\d*(?:/+\d*)*)"
_PIECES = re.compile(
    "|".join(
        (
            r"(?P<quoted>\"[^\"\n]*\"?)",
            r"(?P<deco>![^!\n|]*!|\+[a-z.()<>^]+\+)",
            r"(?P<field>\[[A-Za-z]:[^\]\n]*\])",
            r"(?P<grace>\{[^}\n]*\}?)",
            r"(?P<chord>\[(?!\d)(?=[^\[\]|\n]*[A-Ga-g])[^\[\]|\n]*\](?P<clen>\d*(?:/+\d*)*))",
            r"(?P<bar>\.?(?:\[\|\]|\[\||:*\|[\]|]*:*|::+)(?P<end>\[?\d[\d,\-]*)?)",
            r"(?P<lone>:)",
            r"(?P<ending>\[\d[\d,\-]*)",
            r"(?P<tuplet>\(\d(?::\d(?::\d)?|::\d)?)",
            rf"(?P<note>{_NOTE})",
            r"(?P<rest>[zx](?P<rlen>\d*(?:/+\d*)*))",
            r"(?P<broken>>+|<+)",
            r"(?P<tie>-)",
            r"(?P<newline>\n)",
            r"(?P<space>[ \t]+)",
            r"(?P<slur>[()])",
            r"(?P<mark>[.~HIJKLMOPRSTUVWhijklmnopqrstuvw])",
            r"(?P<filler>[y`$*;?@#!]+\d*|\\)",
        )
    )
)
_LEFT_OUT = {
    "quoted": "chord symbols and annotations left out",
    "deco": "decorations left out",
    "mark": "decorations left out",
    "grace": "grace notes left out",
    "slur": "slurs left out",
    "filler": "spacers left out",
}


@dataclass(frozen=True)
class Tune:
    """A tune in its one spelling."""

    text: str
    """`M:`, `L:` and `K:` lines, then the body."""
    notes: Rows
    """As in Score."""
    tpq: int
    metre: tuple[int, int] | None
    sharps: int
    minor: bool
    full_bars: int
    """Bars between two plain bar lines that are as long as the metre says."""
    inner_bars: int
    """All bars between two plain bar lines."""


def read_tune(header: dict[str, str], body: str, name: str, counted: Counter[str] | None = None) -> Tune:
    """The tune of header fields and a body.

    Raises RecordError: no_key, unsupported_key, unsupported_metre, bad_unit, unknown_symbol, bad_length, no_notes.
    """
    left = Counter[str]()
    if "K" not in header:
        raise RecordError("no_key", f"'{name}' has no K: field, which ends a tune's header", record=name)
    metre = spelled_metre(header.get("M", "none"), name)
    usual = "1/8" if metre == "none" or Fraction(metre) >= Fraction(3, 4) else "1/16"
    unit = spelled_unit(header.get("L", usual), name)
    key = spelled_key(header["K"], name)
    walk = _Walk(name, metre, unit, key, left)
    walk.read(body)
    if counted is not None:
        counted.update(left)
    return walk.tune()


def read_text(text: str, name: str, counted: Counter[str] | None = None) -> Tune:
    """The tune of a text in which `K:` ends the header. Raises as `read_tune`."""
    header: dict[str, str] = {}
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines):
        if len(line) > 1 and line[1] == ":" and line[0].isalpha():
            header.setdefault(line[0], line[2:].partition("%")[0].strip())
            if line[0] == "K":
                return read_tune(header, "\n".join(lines[number + 1 :]), name, counted)
    return read_tune(header, "", name, counted)


class _Walk:
    """One pass over a body: its spelling and its notes, in whole notes."""

    def __init__(self, name: str, metre: str, unit: str, key: str, left: Counter[str]) -> None:
        self.name, self.left = name, left
        self.metre, self.unit, self.key = metre, Fraction(unit), key
        self.first = (metre, key)
        self.out = [f"M:{metre}\nL:{unit}\nK:{key}\n"]
        self.altered: dict[str, int] = {}
        self.now = Fraction(0)
        self.bar_start = Fraction(0)
        self.plain = False  # whether the bar began with a plain bar line
        self.full = self.inner = 0
        self.notes: list[tuple[Fraction, Fraction, int]] = []
        self.held: dict[int, int] = {}
        self.tied: dict[int, int] = {}
        self.before: list[tuple[int, int]] = []
        """(first, last) of self.notes that the item before, which a broken rhythm lengthens, made."""
        self.last_length = Fraction(0)
        self.factor = Fraction(1)
        self.tuplet: tuple[Fraction, int] = (Fraction(1), 0)
        self.line = 0

    def read(self, body: str) -> None:
        body = body.replace("\r\n", "\n").replace("\r", "\n")
        for number, line in enumerate(body.split("\n"), 1):
            self.line = number
            bare = re.sub(r"(?<!\\)%.*", "", line).rstrip()
            # `A:|` is a note before a bar line; no field has a value that begins so.
            if bare[:1].isalpha() and bare[1:2] == ":" and bare[2:3] not in ("|", ":"):
                self._field(bare[0], bare[2:].strip(), own_line=True)
                continue
            if not bare.strip():
                continue
            if bare.endswith(("=", "=20")):  # no natural ends a line: what mail once made of it
                self.left["line ends of quoted-printable text undone"] += 1
                bare = bare.removesuffix("20")[:-1] + ("" if bare.endswith("=20") else "\\")
            joined = bare.endswith("\\")
            self._symbols(bare.removesuffix("\\").strip())
            if not joined:
                self._write("\n")

    def _symbols(self, text: str) -> None:
        at = 0
        while at < len(text):
            match = _PIECES.match(text, at)
            if match is None:
                self._refuse("unknown_symbol", f"{text[at]!r} means nothing here")
            at = match.end()
            kind = match.lastgroup or ""
            kind = {"clen": "chord", "end": "bar", "acc": "note", "let": "note", "oct": "note", "len": "note",
                    "rlen": "rest"}.get(kind, kind)  # fmt: skip
            if kind in _LEFT_OUT:
                self.left[_LEFT_OUT[kind]] += 1
            elif kind == "space":
                self._write(" ")
            elif kind == "note":
                self._note(match["acc"] or "", match["let"], match["oct"], match["len"])
            elif kind == "rest":
                self._rest(match["rlen"])
            elif kind == "chord":
                self._chord(match["chord"], match["clen"])
            elif kind == "bar":
                self._bar(match["bar"].removesuffix(match["end"] or ""), match["end"] or "")
            elif kind == "lone":  # a repeat whose bar line is on the line before, or was left out
                self._bar("|:" if match.start() == 0 else ":|", "")
            elif kind == "ending":
                self._ending(match["ending"])
            elif kind == "tuplet":
                self._tuplet(match["tuplet"])
            elif kind == "broken":
                self._broken(match["broken"])
            elif kind == "tie":
                self._tie()
            elif kind == "field":
                self._field(match["field"][1], match["field"][3:-1].strip(), own_line=False)

    def _write(self, text: str) -> None:
        """Spaces stand between notes only, line ends once."""
        last = self.out[-1]
        number = last[-1:].isdigit() and (last[0] == "(" or (last[0] == "[" and len(last) == 2))
        if text == " " and (number or last in BARS or last.endswith((" ", "\n", "]", ">", "<", "-"))):
            return
        if last == " " and (text in BARS or text == "\n" or (text[0] == "[" and text[1:].isdigit())):
            self.out.pop()
            last = self.out[-1]
        if text == "\n" and last.endswith(("\n", ">", "<")):
            return
        self.out.append(text)

    def _pitch(self, accidental: str, letter: str, octaves: str) -> tuple[int, str]:
        """MIDI pitch and the spelling."""
        if accidental.endswith("/"):
            self._refuse("unsupported_accidental", "quarter tones cannot be read")
        octave = int(letter.islower()) + octaves.count("'") - octaves.count(",")
        name = letter.upper()
        if accidental:
            self.altered[name] = int(ACCIDENTALS[accidental] or 0)
        shift = self.altered.get(name, signature(self.key).get(name, 0))
        pitch = 60 + 12 * octave + _LETTERS[name] + shift
        if not 0 <= pitch <= 127 or not -4 <= octave <= 4:
            self._refuse("pitch_range", f"{letter}{octaves} is outside of MIDI's 0 to 127")
        return pitch, accidental + (name.lower() + "'" * (octave - 1) if octave > 0 else name + "," * -octave)

    def _note(self, accidental: str, letter: str, octaves: str, long: str) -> None:
        length, spelled = self._length(long)
        pitch, name = self._pitch(accidental, letter, octaves)
        self._write(name + spelled)
        self._sound([pitch], length)

    def _rest(self, text: str) -> None:
        length, spelled = self._length(text)
        self._write("z" + spelled)
        self._sound([], length)

    def _chord(self, text: str, after: str) -> None:
        inside = text[1 : text.rindex("]")]
        found = list(re.finditer(_NOTE, inside))
        rest = re.sub(_NOTE, "", re.sub(r'"[^"]*"|![^!]*!|[ .~uvTHM()-]', "", inside))
        if rest or not found:
            self._refuse("unknown_symbol", f"{text!r} is no chord")
        # All notes of a chord are as long as its first one (2.1, section 4.17).
        length = self._length(found[0]["len"])[0] * self._length(after)[0]
        spelled = spelled_length(f"{length.numerator}/{length.denominator}")
        if spelled is None:
            self._refuse("bad_length", f"{text!r} has a length that cannot be read")
        # In the order written: an accidental counts for the notes after it, inside a chord as well.
        pitched = [self._pitch(m["acc"] or "", m["let"], m["oct"]) for m in found]
        names = "".join(name for _, name in pitched)
        self._write((f"[{names}]" if len(pitched) > 1 else names) + spelled[1])
        self._sound(sorted({pitch for pitch, _ in pitched}), length)

    def _length(self, text: str) -> tuple[Fraction, str]:
        found = spelled_length(text)
        if found is None:
            self._refuse("bad_length", f"{text!r} is no length up to {MAX_LENGTH}")
        return found

    def _sound(self, pitches: list[int], units: Fraction) -> None:
        length = units * self.unit * self.factor
        self.factor = Fraction(1)
        ratio, count = self.tuplet
        if count:
            length *= ratio
            self.tuplet = (ratio, count - 1)
        first = len(self.notes)
        for pitch in pitches:
            begun = self.tied.pop(pitch, None)
            if begun is not None and sum(self.notes[begun][:2]) == self.now:
                onset, so_far, _ = self.notes[begun]
                self.notes[begun] = (onset, so_far + length, pitch)
                self.held[pitch] = begun
            else:
                self.notes.append((self.now, length, pitch))
                self.held[pitch] = len(self.notes) - 1
        self.tied = {}
        self.held = {pitch: self.held[pitch] for pitch in pitches}
        self.before = [(first, len(self.notes))]
        self.last_length = length
        self.now += length

    def _broken(self, text: str) -> None:
        """`A>B`: the first is half as long again, the second half as long; `<` the other way round."""
        n = min(len(text), 3)
        if not self.before or self.out[-1][-1:] in "\n|:<>":
            self.left["broken rhythms without two notes left out"] += 1
            return
        longer, shorter = 2 - Fraction(1, 2**n), Fraction(1, 2**n)
        mine, following = (longer, shorter) if text[0] == ">" else (shorter, longer)
        change = self.last_length * (mine - 1)
        for pitch, index in self.held.items():
            onset, length, _ = self.notes[index]
            self.notes[index] = (onset, length + change, pitch)
        self.now += change
        self.factor = following
        self._write(text[:n])

    def _tie(self) -> None:
        if not self.held or self.out[-1][-1:] in "\n|:<>-":
            self.left["ties without a note left out"] += 1
            return
        self.tied = dict(self.held)
        self._write("-")

    def _tuplet(self, text: str) -> None:
        parts = text[1:].split(":")
        p = int(parts[0])
        if p not in TUPLETS:
            self._refuse("unsupported_tuplet", f"{text!r}: expected (2 to (9")
        compound = self.metre != "none" and int(self.metre.split("/")[0]) % 3 == 0 and self.metre != "3/4"
        usual = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(p, 3 if compound else 2)
        q = int(parts[1]) if len(parts) > 1 and parts[1] else usual
        r = int(parts[2]) if len(parts) > 2 and parts[2] else p
        if q == 0 or r == 0:
            self._refuse("unsupported_tuplet", f"{text!r} has a 0")
        self.tuplet = (Fraction(q, p), r)
        self._write(f"({p}" if (q, r) == (usual, p) else f"({p}:{q}:{r}")

    def _bar(self, text: str, ending: str) -> None:
        text = text.removeprefix(".")
        left, right = text.startswith(":"), text.endswith(":")
        if left and right and len(text) > 1:
            bar = "::"
        elif left:
            bar = ":|"
        elif right:
            bar = "|:"
        elif "]" in text:
            bar = "|]"
        elif text.startswith("["):
            bar = "[|"
        else:
            bar = "||" if len(text) > 1 else "|"
        if self.plain and bar == "|" and self.metre != "none" and self.now > self.bar_start:
            self.inner += 1
            self.full += self.now - self.bar_start == Fraction(self.metre)
        self.plain, self.bar_start = bar == "|" and not ending, self.now
        self.altered, self.factor = {}, Fraction(1)
        last = self.out[-1]
        if last in BARS and last != " ":  # two bar lines in a row are one; the first of them says less
            bar = _merged(last, bar)
            self.out.pop()
        self._write(bar)
        if ending:
            self._ending(ending if ending.startswith("[") else f"[{ending}")

    def _ending(self, text: str) -> None:
        digit = text[1]
        if digit == "0":
            self._refuse("unknown_symbol", f"{text!r} is no ending")
        self._write(f"[{digit}")

    def _field(self, kind: str, value: str, *, own_line: bool) -> None:
        if kind == "V":
            self._refuse("several_voices", "V: begins another voice; expected a tune of one voice")
        if kind not in "KML":
            if kind == "X":
                self._refuse("unknown_symbol", "X: inside a tune")
            self.left["fields of a body left out"] += 1
            return
        if kind == "K":
            value = self.key = spelled_key(value, self.name)
            self.altered = {}
        elif kind == "M":
            value = self.metre = spelled_metre(value, self.name)
            self.plain = False
        else:
            value = spelled_unit(value, self.name)
            self.unit = Fraction(value)
        # On a line of its own or inside brackets, a change is the same: it is spelled inside.
        self._write(f"[{kind}:{value}]")

    def tune(self) -> Tune:
        text = "".join(self.out).rstrip(" \n")
        if not self.notes:
            self._refuse("no_notes", "has no notes")
        lcm = int(np.lcm.reduce([f.denominator for note in self.notes for f in (note[0] * 4, note[1] * 4)]))
        tpq = lcm if lcm <= 32_767 else 10_080
        rows = [
            (round(onset * 4 * tpq), max(1, round(length * 4 * tpq)), pitch, VELOCITY_USUAL, 0, 0, 0)
            for onset, length, pitch in self.notes
        ]
        metre, key = self.first
        beats = None if metre == "none" else (int(metre.split("/")[0]), int(metre.split("/")[1]))
        tonic, mode = re.fullmatch(r"([A-G][#b]?)(.*)", key).groups()  # type: ignore[union-attr]
        notes = in_order(rows) if rows else no_rows(7)
        return Tune(text, notes, tpq, beats, sharps_of(tonic, mode), mode == "m", self.full, self.inner)

    def _refuse(self, reason: str, message: str) -> NoReturn:
        raise RecordError(
            reason, f"'{self.name}', line {self.line} of its body: {message}", record=self.name, position=self.line
        )


def _merged(first: str, second: str) -> str:
    """Two bar lines in a row as one."""
    if (first == ":|" and second == "|:") or "::" in (first, second):
        return "::"
    for strong in (":|", "|:", "|]", "[|", "||"):
        if strong in (first, second):
            return strong
    return "||"
