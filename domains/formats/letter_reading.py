"""Letters of a record for the tokenizers of DNA and of proteins: as bytes, and what is wrong with one in either.

Which letters there are, and what else may be wrong with them, each domain knows itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError, RecordError, nearest
from domains.formats import seq_record

GAPS = "-.~"


def name_of(record: SeqRecord | str) -> str:
    """A record's id, "" for bare letters."""
    return seq_record.name_of(record) if isinstance(record, SeqRecord) else ""


def letters_of(record: SeqRecord | str, unit: str, what: str) -> bytes:
    """A record's letters as they stand.

    Args:
        unit: what a letter stands for ("base").
        what: of which they are letters ("DNA").

    Raises RecordError where it has none or they are not ASCII.
    """
    if isinstance(record, SeqRecord):
        return seq_record.letters_of(record)
    try:
        return record.encode("ascii")
    except UnicodeEncodeError as error:
        message = f"{record[error.start]!r} at {unit} {error.start + 1:,} is no letter of {what}"
        raise RecordError("bad_letter", message, position=error.start) from None


def check_choices(policy: object, choices: Mapping[str, tuple[str, ...]]) -> None:
    """Raises ConfigError where a field of `policy` has none of the values allowed, with the nearest of them."""
    for key, allowed in choices.items():
        value = getattr(policy, key)
        if value not in allowed:
            raise ConfigError(
                f"{key}={value!r} is not allowed{nearest(str(value), allowed)}", hint=f"Allowed: {', '.join(allowed)}."
            )


def fault(letter: str, where: str, readings: Mapping[str, str], gaps: str) -> tuple[str, str, str] | None:
    """What is wrong with a letter in any alphabet: (reason, message, hint); None where only the alphabet can say.

    Args:
        where: record and position, in words.
        readings: of the policy, letter to the letter it is read as.
        gaps: what to do about a gap.
    """
    if letter in GAPS:
        return "gap", f"{where}: {letter!r} is a gap", gaps
    if letter == "\0":
        return "nul", f"{where}: a NUL byte", "The file is damaged here; copy or download it again."
    if letter.isdigit():
        return "digit", f"{where}: the digit {letter!r}", "Remove position numbers from the sequence."
    if letter.isspace():
        return "white_space", f"{where}: white space inside the sequence", "Remove it."
    if letter.islower() and letter.upper() in readings:
        return "lower_case", f"{where}: lower case {letter!r} while case=refuse", "case=upper reads it."
    return None
