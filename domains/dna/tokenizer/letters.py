"""The letters of DNA: IUPAC codes, complements, the policy for case, U and ambiguity, and why a record is refused.

Everything here works on whole records as bytes through tables of 256 entries; nothing loops over bases.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import numpy as np

from core.errors import RecordError
from domains.formats.letter_reading import check_choices, fault

BASES = "ACGT"
AMBIGUOUS = "NRYKMSWBDHV"
"""N and the codes for two or three bases, IUPAC-IUB 1984 (Cornish-Bowden 1985, Nucleic Acids Res. 13:3021)."""
COMPLEMENTS = dict(zip("ACGTNRYKMSWBDHV", "TGCANYRMKSWVHDB", strict=True))

CODES = np.full(256, 4, np.uint8)
"""(256,) ASCII to 0 A, 1 C, 2 G, 3 T or U, 4 anything else; in either case. The complement of a base is 3 - code."""
for _code, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    CODES[list(_letters)] = _code

_PROTEIN_ONLY = b"EFILPQZefilpqz"
_PROTEIN_SHARE = 0.05
"""Letters that no DNA has make up 35 % of an average protein (UniProt) and none of a genome with typing errors."""


@dataclass(frozen=True)
class LetterPolicy:
    """What becomes of letters other than upper-case A C G T. U is read as T always; gaps and `*` are refused always."""

    case: str = "upper"
    """"upper": lower case (soft masking) is read as upper case. "refuse": a record with lower case is refused."""
    iupac: str = "keep"
    """"keep": the codes N R Y K M S W B D H V are symbols of their own. "n": all of them become N. "refuse"."""

    def __post_init__(self) -> None:
        check_choices(self, {"case": ("upper", "refuse"), "iupac": ("keep", "n", "refuse")})

    @property
    def symbols(self) -> str:
        """The letters of canonical records, in id order."""
        return BASES + {"keep": AMBIGUOUS, "n": "N", "refuse": ""}[self.iupac]

    @cached_property
    def readings(self) -> dict[str, str]:
        """Letter as it may stand in a file to the letter it is read as."""
        readings = {letter: letter for letter in BASES} | {"U": "T"}
        if self.iupac != "refuse":
            readings |= {letter: "N" if self.iupac == "n" else letter for letter in AMBIGUOUS}
        if self.case == "upper":
            readings |= {letter.lower(): read for letter, read in readings.items()}
        return readings


def refuse(record: str, letters: bytes, bad: np.ndarray, policy: LetterPolicy) -> NoReturn:
    """Raises the RecordError that says why `letters` cannot be read.

    Args:
        record: the record's id.
        letters: all of them.
        bad: (n,) bool, True where a letter has no reading.
    """
    position = int(np.argmax(bad))
    letter = chr(letters[position])
    where = f"record '{record}', base {position + 1:,}"

    def error(reason: str, message: str, hint: str) -> RecordError:
        return RecordError(reason, message, record=record, position=position, hint=hint)

    protein = len(letters) - len(letters.translate(None, _PROTEIN_ONLY))
    if protein >= _PROTEIN_SHARE * len(letters):
        share = 100 * protein / len(letters)
        raise error(
            "looks_like_protein",
            f"record '{record}' looks like protein: {share:.0f} % of its letters (first: {letter!r}) stand for no base",
            "Give a file of nucleotides; proteins are another domain.",
        )
    if found := fault(letter, where, policy.readings, "Take the gaps out of aligned sequences first."):
        raise error(*found)
    if letter.upper() in AMBIGUOUS:
        raise error(
            "ambiguous", f"{where}: {letter!r} while iupac=refuse", "iupac=keep reads it, iupac=n takes it for N."
        )
    raise error(
        "bad_letter",
        f"{where}: {letter!r} is no letter of DNA",
        f"Letters are {BASES} U and {AMBIGUOUS}, in either case.",
    )
