"""How keys, metres, units and lengths of ABC (standard 2.1) are spelled: one way for each, or a refusal."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from core.errors import RecordError

MODES = {"": 0, "m": -3, "dor": -2, "phr": -4, "lyd": 1, "mix": -1, "loc": -5}
"""Sharps that a mode has more than the major key of its tonic."""
_MODE_OF = {"maj": "", "ion": "", "min": "m", "aeo": "m", "dor": "dor", "phr": "phr", "lyd": "lyd", "mix": "mix",
            "loc": "loc"}  # fmt: skip
METRES = (*(f"{n}/{d}" for d in (2, 4, 8, 16) for n in range(1, 13)), "none")
UNITS = ("1/1", "1/2", "1/4", "1/8", "1/16", "1/32")
MAX_LENGTH = 64
"""The largest numerator and denominator of a length."""
_SHARPS = "FCGDAEB"
_LENGTH = re.compile(r"(\d*)((?:/+\d*)*)$")


def spelled_key(text: str, name: str) -> str:
    """A key as tonic and mode: "D", "Em", "Ador". Raises RecordError for bagpipe keys and those with accidentals."""
    words = text.replace("=", " = ").split()
    said = "".join(words[:1])
    match = re.fullmatch(r"([A-G])([#b]?)([A-Za-z]*)", said)
    if said.lower() == "none" or not said:
        return "C"
    if match is None:
        raise RecordError("unsupported_key", f"'{name}': the key '{text}' is none that can be read", record=name)
    mode = match[3]
    if not mode and len(words) > 1 and words[1][:3].lower() in {*_MODE_OF, "m"}:
        mode = words[1]
    mode = "m" if mode == "m" else _MODE_OF.get(mode[:3].lower(), mode) if mode else ""
    rest = [w for w in words[1:] if re.fullmatch(r"[_^=]+[A-Ga-g]?", w)]
    if mode not in MODES or rest or not -7 <= sharps_of(match[1] + match[2], mode) <= 7:
        raise RecordError("unsupported_key", f"'{name}': the key '{text}' is none that can be read", record=name)
    return match[1] + match[2] + mode


def sharps_of(tonic: str, mode: str) -> int:
    """Sharps of a key, flats below 0; 99 for one that would have more than seven."""
    base = _SHARPS.index(tonic[0]) - 1 + 7 * (tonic.count("#") - tonic.count("b"))
    found = base + MODES[mode]
    return found if -7 <= found <= 7 else 99


def spelled_metre(text: str, name: str) -> str:
    said = text.split("%")[0].strip().split(" ")[0] if text.strip() else "none"
    said = {"C": "4/4", "C|": "2/2", "c": "4/4", "c|": "2/2", "": "none"}.get(said, said)
    if "+" in said:
        numerators, _, kind = said.strip("()").partition("/")
        parts = numerators.strip("()").split("+")
        said = f"{sum(int(p) for p in parts)}/{kind}" if all(p.isdigit() for p in parts) else said
    if said not in METRES:
        raise RecordError("unsupported_metre", f"'{name}': the metre '{text}' is none that can be read", record=name)
    return said


def spelled_unit(text: str, name: str) -> str:
    said = text.split("%")[0].strip()
    said = "1/1" if said == "1" else said
    if said not in UNITS:
        raise RecordError("bad_unit", f"'{name}': the unit length '{text}' is none of {' '.join(UNITS)}", record=name)
    return said


@lru_cache(maxsize=4096)
def spelled_length(text: str) -> tuple[Fraction, str] | None:
    """A length in units and its one spelling; None for one that means nothing or is beyond MAX_LENGTH."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        return None
    length = Fraction(int(match[1] or 1))
    for slashes, number in re.findall(r"(/+)(\d*)", match[2]):
        by = int(number) if number else 2
        if by == 0:
            return None
        length /= by * 2 ** (len(slashes) - 1)
    n, d = length.numerator, length.denominator
    if not 0 < n <= MAX_LENGTH or d > MAX_LENGTH:
        return None
    spelled = "" if n == 1 else str(n)
    return length, spelled + ("" if d == 1 else "/" if d == 2 else f"/{d}")


@lru_cache
def signature(key: str) -> dict[str, int]:
    """Letter to +1 or -1 for the sharps and flats of a key."""
    tonic = key[:2] if key[1:2] in ("#", "b") else key[:1]
    sharps = sharps_of(tonic, key[len(tonic) :])
    if sharps > 0:
        return dict.fromkeys(_SHARPS[:sharps], 1)
    return dict.fromkeys(_SHARPS[::-1][:-sharps], -1) if sharps < 0 else {}
