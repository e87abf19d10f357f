"""The letters of proteins: the twenty, the rarer ones, the policy for both, and why a record is refused.

What a *file* may hold beside letters (gaps of an alignment, a stop at the end) is the source's business; here a letter
either has a reading or its record is refused. Works on whole records as bytes through tables of 256 entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from core.errors import RecordError
from domains.formats.letter_reading import check_choices, fault

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
"""The twenty standard amino acids, IUPAC-IUB 1984 (Eur. J. Biochem. 138:9)."""
RARE = "XBZJUO"
"""X any, B Asx, Z Glx, J Leu or Ile, U selenocysteine, O pyrrolysine."""
STOP = "*"
"""The end of translation; a real variant where the scan was of nonsense mutations too."""

CODES = np.full(256, 20, np.uint8)
"""(256,) ASCII to 0 ... 19 for the twenty residues in either case, 20 for anything else."""
for _code, _letter in enumerate(RESIDUES):
    CODES[[ord(_letter), ord(_letter.lower())]] = _code

_NUCLEOTIDES = b"ACGTUNacgtun"
_NUCLEOTIDE_LENGTH = 60
_GLANCE = 8
"""Letters of a record that are looked at first: of 2,500 proteins one passes."""
_IS_NUCLEOTIDE = np.isin(np.arange(256), np.frombuffer(_NUCLEOTIDES, np.uint8))
_OTHERS_SHARE = 0.02
"""A C G T N are 29 % of an average protein's letters (UniProt): 60 letters with 98 % of them are no protein."""


@dataclass(frozen=True)
class ResiduePolicy:
    """What becomes of letters other than the twenty in upper case."""

    case: str = "upper"
    """"upper": lower case is read as upper case. "refuse": a record with lower case is refused."""
    rare: str = "keep"
    """"keep": B Z X U O J are symbols of their own. "x": all of them become X. "refuse"."""
    stop: str = "keep"
    """"keep": `*` is a symbol of its own (the source drops it at a protein's end). "refuse"."""

    def __post_init__(self) -> None:
        check_choices(self, {"case": ("upper", "refuse"), "rare": ("keep", "x", "refuse"), "stop": ("keep", "refuse")})

    @property
    def symbols(self) -> str:
        """The letters of canonical records, in id order."""
        rare = {"keep": RARE, "x": "X", "refuse": ""}[self.rare]
        return RESIDUES + rare + (STOP if self.stop == "keep" else "")

    @cached_property
    def readings(self) -> dict[str, str]:
        """Letter as it may stand in a record to the letter it is read as."""
        readings = {letter: letter for letter in RESIDUES}
        if self.rare != "refuse":
            readings |= {letter: "X" if self.rare == "x" else letter for letter in RARE}
        if self.case == "upper":
            readings |= {letter.lower(): read for letter, read in readings.items()}
        if self.stop == "keep":
            readings[STOP] = STOP
        return readings


def looks_like_dna(letters: bytes) -> bool:
    """Whether letters that could all be residues are nucleotides in all likelihood."""
    # Nearly every protein is told by its first letters; only what passes there is counted to its end.
    for part in (letters[:_NUCLEOTIDE_LENGTH], letters):
        if len(part) < _NUCLEOTIDE_LENGTH or len(part.translate(None, _NUCLEOTIDES)) > _OTHERS_SHARE * len(part):
            return False
    return True


def may_look_like_dna(letters: NDArray[np.uint8], lengths: NDArray[np.int64]) -> bool:
    """Whether one of many records, end to end in ASCII, begins as `looks_like_dna` asks; so nearly none of proteins."""
    starts = (np.cumsum(lengths) - lengths)[lengths >= _NUCLEOTIDE_LENGTH]
    others = int(_OTHERS_SHARE * _NUCLEOTIDE_LENGTH)
    for reach in (_GLANCE, _NUCLEOTIDE_LENGTH):
        begun = _IS_NUCLEOTIDE[letters[starts[:, None] + np.arange(reach)]]
        starts = starts[np.count_nonzero(begun, axis=1) >= reach - others]
    return len(starts) > 0


def refuse(record: str, letters: bytes, bad: np.ndarray, policy: ResiduePolicy) -> NoReturn:
    """Raises the RecordError that says why `letters` cannot be read.

    Args:
        record: the record's id.
        letters: all of them.
        bad: (n,) bool, True where a letter has no reading.
    """
    position = int(np.argmax(bad))
    letter = chr(letters[position])
    where = f"record '{record}', residue {position + 1:,}"

    def error(reason: str, message: str, hint: str) -> RecordError:
        return RecordError(reason, message, record=record, position=position, hint=hint)

    if found := fault(letter, where, policy.readings, "data.gaps=drop takes the gaps out of aligned sequences."):
        raise error(*found)
    if letter == STOP:
        raise error("stop", f"{where}: '*' while stop=refuse", "stop=keep reads it as a symbol.")
    if letter.upper() in RARE:
        raise error(
            "rare_letter", f"{where}: {letter!r} while rare=refuse", "rare=keep reads it, rare=x takes it for X."
        )
    raise error(
        "bad_letter",
        f"{where}: {letter!r} is no letter of a protein",
        f"Letters are {RESIDUES} {RARE} and {STOP}, in either case.",
    )
