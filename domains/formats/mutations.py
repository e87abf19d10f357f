"""Mutations as deep mutational scans write them: `A24G`, several joined by `:`; positions count from 1.

ProteinGym's form (Notin et al. 2023, NeurIPS Datasets and Benchmarks). A mutation names the letter that it replaces, so
a table that belongs to another reference is noticed at the first row, and the reference can be had back from a variant.
"""

from __future__ import annotations

import re

import numpy as np

from core.errors import RecordError

_MUTATION = re.compile(r"([A-Z*])(\d+)([A-Z*])")
_SEPARATORS = re.compile(r"[:;,/ ]+")
WILD_TYPE = ("", "WT", "WILD_TYPE", "WILDTYPE", "_WT")


def parse_mutations(text: str, record: str = "") -> list[tuple[str, int, str]]:
    """(letter before, position from 0, letter after) of each mutation; none for the wild type.

    Raises RecordError ("bad_mutant") where a part is no mutation or a position stands twice.
    """
    text = text.strip()
    if text.upper() in WILD_TYPE:
        return []
    found = []
    for part in _SEPARATORS.split(text):
        match = _MUTATION.fullmatch(part.upper().removeprefix("P."))
        if match is None or int(match[2]) < 1:
            raise RecordError(
                "bad_mutant",
                f"'{record or text}': {part!r} is no mutation",
                record=record,
                hint="Mutations are written A24G (letter, position from 1, letter), several as A24G:K30R.",
            )
        found.append((match[1], int(match[2]) - 1, match[3]))
    places = [place for _, place, _ in found]
    if len(set(places)) != len(places):
        raise RecordError("bad_mutant", f"'{record or text}': a position is mutated twice in {text!r}", record=record)
    return found


def mutate(reference: bytes, text: str, record: str = "", reference_name: str = "the reference") -> bytes:
    """The reference with the mutations in `text`.

    Raises RecordError: "mutant_out_of_range" for a position beyond the reference, "wild_type_mismatch" where the letter
    before is not the reference's (both are named).
    """
    letters = bytearray(reference)
    for before, place, after in parse_mutations(text, record):
        if place >= len(letters):
            raise RecordError(
                "mutant_out_of_range",
                f"'{record or text}': position {place + 1} is beyond {reference_name} of {len(letters)} letters",
                record=record,
                position=place,
            )
        there = chr(letters[place]).upper()
        if there != before:
            raise RecordError(
                "wild_type_mismatch",
                f"'{record or text}': {before}{place + 1}{after} says {before} at position {place + 1}, "
                f"{reference_name} has {there}",
                record=record,
                position=place,
                hint="Is it numbered from another first residue, or of another reference?",
            )
        letters[place] = ord(after)
    return bytes(letters)


def reference_of(variant: bytes, text: str, record: str = "") -> bytes:
    """The wild type that a variant with the mutations in `text` was made from.

    Raises RecordError ("mutated_sequence_mismatch") where the variant does not have the letters after.
    """
    letters = bytearray(variant)
    for before, place, after in parse_mutations(text, record):
        there = chr(letters[place]).upper() if place < len(letters) else "nothing"
        if there != after:
            raise RecordError(
                "mutated_sequence_mismatch",
                f"'{record or text}': {before}{place + 1}{after} says {after} at position {place + 1}, "
                f"the mutated sequence has {there}",
                record=record,
                position=place,
            )
        letters[place] = ord(before)
    return bytes(letters)


def mutations_between(reference: bytes, variant: bytes) -> str:
    """`A24G:K30R` of two sequences of one length, "WT" where they are equal."""
    a, b = np.frombuffer(reference, np.uint8), np.frombuffer(variant, np.uint8)
    places = np.flatnonzero(a != b).tolist()
    return ":".join(f"{chr(a[i])}{i + 1}{chr(b[i])}" for i in places) or "WT"
