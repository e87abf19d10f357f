"""The symbols that every SMILES can be written with, and SMILES to symbols at the speed of `bytes.translate`.

A bracket atom is one symbol where it is listed as a whole ("[nH]"), else it is taken apart: `[`, isotope digits, an
element, chirality, H, charge, atom class, `]`. So there is no SMILES without a spelling, and no unknown symbol.

Fast path: each symbol has a byte of its own. Symbols of several characters are replaced by their byte, in one text or
in a million of them with line ends between, then one table turns bytes into ids. `plain_cut` is the definition, a
regular expression whose matches must add up to the text; a test holds both equal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence as Many
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError
from core.sequence import Array
from core.vocabulary import SPECIALS

ORGANIC = ("C", "N", "O", "S", "F", "Cl", "Br", "I", "P", "B")
AROMATIC = ("c", "n", "o", "s", "p", "b")
ANY = "*"
BONDS = ("-", "=", "#", "$", ":", "/", "\\", "~", "->", "<-")
"""`->` and `<-` are dative bonds, `$` is a quadruple bond."""
DOT, OPEN, CLOSE, PERCENT = ".", "(", ")", "%"
DIGITS = tuple("1234567890")
BRACKET, END = "[", "]"
HYDROGENS, HYDROGEN_ATOM = "H", "<H>"
"""In a bracket: `H` counts hydrogens, `<H>` is a hydrogen that is the atom itself and is written H."""
CHIRAL = ("@", "@@")
CHIRAL_CLASSES = ("@TH", "@AL", "@SP", "@TB", "@OH")
PLUS = "+"
_NAMES = (
    "He Li Be Ne Na Mg Al Si Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In "
    "Sn Sb Te Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra "
    "Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
ELEMENTS = tuple(_NAMES.split())
"""All that do not stand without brackets; hydrogen is left out."""
AROMATIC_ELEMENTS = ("se", "as", "te", "si")
ATOMS = (*ORGANIC, *AROMATIC, ANY)
"""Atoms that stand without brackets."""
IN_BRACKETS = (*ATOMS, *ELEMENTS, *AROMATIC_ELEMENTS, HYDROGEN_ATOM)
SYMBOLS = (
    *ATOMS, *BONDS, DOT, OPEN, CLOSE, *DIGITS, PERCENT, BRACKET, END, HYDROGENS, HYDROGEN_ATOM, *CHIRAL,
    *CHIRAL_CLASSES, PLUS, *ELEMENTS, *AROMATIC_ELEMENTS,
)  # fmt: skip

COMMON_BRACKETS = (
    "[nH]", "[C@@H]", "[C@H]", "[C@]", "[C@@]", "[N+]", "[O-]", "[n+]", "[NH+]", "[NH2+]", "[NH3+]", "[N-]", "[n-]",
    "[S-]", "[S+]", "[S@]", "[S@@]", "[Cl-]", "[Br-]", "[I-]", "[Na+]", "[K+]", "[H]", "[H+]", "[2H]", "[3H]", "[CH]",
    "[CH2]", "[CH-]", "[C-]", "[B-]", "[Si]", "[Se]", "[se]", "[P+]", "[P@]", "[P@@]", "[o+]", "[s+]", "[O+]", "[OH-]",
    "[NH-]", "[N@+]", "[N@@+]", "[cH-]", "[nH+]", "[Li+]", "[Ca+2]",
)  # fmt: skip
"""Those of drug-like collections (ZINC, ChEMBL): chosen for what they mean, not counted on any data."""

LARGEST = 64
"""Whole bracket atoms at most: every symbol has a byte."""

_BAD, _LINE = 255, 10
_BARE = "".join((*ATOMS, *BONDS, DOT, OPEN, CLOSE, *DIGITS, PERCENT, "\n")).encode()
"""Characters that stand outside brackets."""
_LONGEST_FIRST = sorted(IN_BRACKETS, key=len, reverse=True)
_ELEMENT = "|".join(re.escape("H" if s == HYDROGEN_ATOM else s) for s in _LONGEST_FIRST)
_PARTS = re.compile(
    rf"\[(?P<isotope>\d*)(?P<element>{_ELEMENT})(?P<chiral>@(?:@|(?:TH|AL|SP|TB|OH)\d+)?)?(?P<hydrogens>H\d*)?"
    r"(?P<charge>[+-]\d*)?(?P<label>:\d+)?\]"
)
_CLASS = re.compile(r"(@TH|@AL|@SP|@TB|@OH)(\d+)")
_BRACKET = re.compile(rb"\[[^\[\]\n]*\]")
_PLAIN = re.compile(r"\[[^\[\]]*\]|Cl|Br|->|<-|[BCNOPSFIbcnops*]|[-=#$:/\\~.()%0-9]")


def parts_of_bracket(text: str) -> list[str] | None:
    """The symbols of a bracket atom taken apart, None where it is none."""
    found = _PARTS.fullmatch(text)
    if found is None:
        return None
    element = HYDROGEN_ATOM if found["element"] == "H" else found["element"]
    symbols = [BRACKET, *found["isotope"], element]
    if chiral := found["chiral"]:
        kind = _CLASS.fullmatch(chiral)
        symbols += [kind[1], *kind[2]] if kind else [chiral]
    return [*symbols, *(found["hydrogens"] or ""), *(found["charge"] or ""), *(found["label"] or ""), END]


class SmilesAlphabet:
    """`SYMBOLS`, then the bracket atoms that are one symbol each.

    Raises ConfigError where a bracket atom is none, stands twice, or there are more than `LARGEST`.
    """

    def __init__(self, whole: Many[str] = ()) -> None:
        self.whole = tuple(whole)
        if len(set(self.whole)) != len(self.whole) or len(self.whole) > LARGEST:
            raise ConfigError(f"brackets: expected at most {LARGEST} different bracket atoms, got {len(self.whole)}")
        for text in self.whole:
            if parts_of_bracket(text) is None:
                raise ConfigError(f"brackets: {text!r} is no bracket atom")
        self.symbols = (*SYMBOLS, *self.whole)
        self.spelled = tuple("H" if s == HYDROGEN_ATOM else s for s in self.symbols)
        self.first = len(SPECIALS)
        """The id of the first symbol."""

    @cached_property
    def codes(self) -> dict[str, int]:
        """Symbol to its byte: single characters stand for themselves."""
        single = {s: ord(s) for s in self.symbols if len(s) == 1}
        taken = {*single.values(), *b"\n\r\tlr<>[]", _BAD}
        free = iter([b for b in range(1, _BAD) if b not in taken])
        return {s: single[s] if s in single else next(free) for s in self.symbols}

    @cached_property
    def _table(self) -> bytes:
        table = bytearray([_BAD] * 256)
        table[_LINE] = 0
        for number, symbol in enumerate(self.symbols):
            table[self.codes[symbol]] = self.first + number
        return bytes(table)

    @cached_property
    def _brackets(self) -> dict[bytes, bytes]:
        """Bracket atoms met so far as bytes of symbols."""
        return {text.encode(): bytes([self.codes[text]]) for text in self.whole}

    def _coded_bracket(self, match: re.Match[bytes]) -> bytes:
        text = match[0]
        coded = self._brackets.get(text)
        if coded is None:
            parts = parts_of_bracket(text.decode("ascii", "replace"))
            coded = bytes([_BAD]) if parts is None else bytes(self.codes[s] for s in parts)
            self._brackets[text] = coded
        return coded

    @cached_property
    def _pairs(self) -> tuple[tuple[bytes, bytes], ...]:
        return tuple((s.encode(), bytes([self.codes[s]])) for s in ("Cl", "Br", "->", "<-"))

    def cut(self, smiles: str, name: str = "") -> NDArray[np.uint8]:
        """Ids (T,) of a SMILES, in a buffer of its own. Raises RecordError where something in it is no symbol."""
        ids = self._ids(smiles.encode("ascii", "replace"))
        if _BAD in ids or 0 in ids:
            self.plain_cut(smiles, name)
            raise RecordError("syntax", f"molecule '{name}': {smiles!r} holds a line end", record=name)
        return np.frombuffer(bytearray(ids), np.uint8)

    def cut_many(self, smiles: Many[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Ids of many SMILES one after the other, and offsets (N + 1,). Raises RecordError for the first bad one."""
        ids = self._ids("\n".join(smiles).encode("ascii", "replace"))
        found = np.frombuffer(ids, np.uint8)
        ends = np.flatnonzero(found == 0)
        if _BAD in ids or len(ends) != max(0, len(smiles) - 1):
            for text in smiles:
                self.cut(text)
        offsets = np.concatenate([[0], ends - np.arange(len(ends)), [len(found) - len(ends)]]).astype(np.int64)
        return found[found != 0], offsets if smiles else offsets[:1]

    def _ids(self, text: bytes) -> bytes:
        bare = text
        if b"[" in text:
            bare, text = _BRACKET.sub(b"", text), _BRACKET.sub(self._coded_bracket, text)
        if bare.translate(None, _BARE):
            return bytes([_BAD])
        for written, code in self._pairs:
            if written in text:
                text = text.replace(written, code)
        return text.translate(self._table)

    def plain_cut(self, smiles: str, name: str = "") -> list[str]:
        """The symbols of a SMILES by regular expression. Raises RecordError that says which part is none."""
        symbols: list[str] = []
        at = 0
        for match in _PLAIN.finditer(smiles):
            if match.start() != at:
                break
            text = match[0]
            parts = [text] if text[0] != BRACKET or text in self.whole else parts_of_bracket(text)
            if parts is None:
                break
            symbols += parts
            at = match.end()
        if at != len(smiles):
            part = smiles[at : at + 12]
            raise RecordError(
                "syntax",
                f"molecule '{name}': {part!r} at character {at + 1} is no part of a SMILES",
                record=name,
                position=at,
            )
        return symbols

    @cached_property
    def _atoms(self) -> NDArray[np.float64]:
        atoms = {*IN_BRACKETS, *self.whole}
        return np.array([0.0] * self.first + [float(s in atoms) for s in self.symbols])

    def atoms(self, ids: Array) -> NDArray[np.float64]:
        """(T,) atoms that each symbol stands for; an atom in brackets counts at its element."""
        return self._atoms[ids]
