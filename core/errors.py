"""Errors that speak to a scientist, each with the exit code that the command line gives it.

An error says what was expected, what came, where (file, record, position) and what to do next. The process's exit code
is a property of the error's class, so that a Python caller and a batch job see the same taxonomy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class ForetellError(Exception):
    """Anything foretell refuses or fails at knowingly.

    Args:
        message: what was expected and what came.
        hint: what to do next, in a sentence of its own; printed on a line of its own.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class ConfigError(ForetellError):
    """Usage or configuration: an unknown key, a value that is not allowed, two that contradict each other."""

    exit_code = 2


class InputError(ForetellError):
    """Bad input data: a damaged file, a record that cannot be read, too many rejects."""

    exit_code = 3


class RecordError(InputError):
    """One record is refused. Readers and tokenizers raise it; counted ingestion turns it into a line of rejects.jsonl.

    Args:
        reason: a short code that rejects are counted by ("empty_sequence", "looks_like_protein").
        record: the record's id, where it has one.
        position: 0-based position inside the record, where the trouble has one.
    """

    def __init__(
        self, reason: str, message: str, *, record: str = "", position: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.record = record
        self.position = position


class IntegrityError(ForetellError):
    """A checksum, a fingerprint or a plan does not match: what lies on disk is not what was asked for."""

    exit_code = 4


class ResourceError(ForetellError):
    """The machine cannot: no space, no permission, no memory, nothing to be reached."""

    exit_code = 5


class DivergedError(ForetellError):
    """Training met a loss or gradient that is not finite."""

    exit_code = 6


class StoppedError(ForetellError):
    """A signal ended the work at a safe place; the same command goes on from there."""

    def __init__(self, signum: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.signum = signum
        self.exit_code = 128 + signum


def nearest(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"`, or an empty string where nothing known is close to `name`.

    Capitals don't count, nor whether words are joined by - or _.
    """
    found = _closest(name, known)
    return f"; did you mean '{found}'?" if found else ""


def nearest_path(path: Path) -> str:
    """The same for a file or folder that is not there: the first of its parts that is missing is looked for in its
    folder; a store's list of rejects is nobody's input. An empty string for a path that exists and for a URL.
    """
    if not isinstance(path, Path) or path.exists():
        return ""
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    try:
        beside = (entry.name for entry in missing.parent.iterdir() if not entry.name.endswith(".rejects.jsonl"))
        found = _closest(missing.name, sorted(beside))
    except OSError:
        return ""
    if not found:
        return ""
    whole = missing.with_name(found) / path.relative_to(missing)
    return f"; did you mean '{whole if whole.exists() else missing.with_name(found)}'?"


def _closest(name: str, known: Iterable[str]) -> str:
    def plain(text: str) -> str:
        return text.casefold().replace("-", "_")

    by_text: dict[str, str] = {}
    for one in known:
        by_text.setdefault(plain(one), one)
    close = difflib.get_close_matches(plain(name), by_text, n=1, cutoff=_ALIKE)
    begun = [text for text in by_text if len(name) >= _BEGINNING and text.startswith(plain(name))]
    return next((by_text[text] for text in (*close, *begun)), "")


_BEGINNING = 3
"""Letters from which on the beginning of a name stands for it."""
_ALIKE = 0.6
"""2 x letters in common / letters of both: at 0.5, `metric` is like `device`; at 0.7, `dan` is not like `dna`."""
