"""One law for every reader: records_in = ok + rejected. Each rejected record is a line of a .jsonl file.

The ledger counts, writes the lines, and decides when bad records are too many. It knows nothing of formats or stores.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from core.durable import resources_named
from core.errors import ConfigError, InputError

POLICIES = ("reject", "fail")
_EARLY = 1000
"""Records that must have been seen before a run is given up as hopeless."""


@dataclass(frozen=True)
class Reject:
    """One record that was refused."""

    file: str
    index: int
    """0-based, in its file or in the stream of records."""
    id: str
    line: int | None
    """1-based line of the file where the record begins, where that is known."""
    offset: int | None
    """Byte of the file where the record begins, where that is known."""
    reason: str
    """A short code that rejects are counted by."""
    message: str

    def __str__(self) -> str:
        place = f"line {self.line:,}" if self.line is not None else f"record {self.index + 1:,}"
        return f"{self.file}, {place}: {self.message}" if self.file else f"{place}: {self.message}"


def remedies_of(*owners: object) -> dict[str, str]:
    """Reason code to what helps, of a source and a tokenizer that know some (their `remedies`)."""
    return {reason: text for owner in owners for reason, text in getattr(owner, "remedies", {}).items()}


def what_helps(reasons: Iterable[str], remedies: Mapping[str, str]) -> str:
    """The remedies of these reasons, each said once, with a space behind each; empty where none is known."""
    return "".join(f"{text} " for text in dict.fromkeys(remedies[r] for r in reasons if r in remedies))


class Ledger:
    """Counts records and keeps the rejected ones. Use as a context manager: leaving it closes the file.

    Args:
        path: the .jsonl file; one that lies there is replaced. It is made with the first reject.
        max_bad: share of all records that may be rejected.
        on_bad: "reject": count and go on; "fail": stop at the first.
        remedies: reason code to a sentence on what helps; told where records of that reason end the work.

    Raises ConfigError for a value that is not allowed, ResourceError where the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bad: float = 0.01,
        on_bad: str = "reject",
        remedies: Mapping[str, str] | None = None,
    ) -> None:
        if on_bad not in POLICIES:
            raise ConfigError(f"on_bad={on_bad!r}: expected one of {', '.join(POLICIES)}")
        if not 0 <= max_bad <= 1:
            raise ConfigError(f"max_bad={max_bad}: expected a share from 0 to 1")
        self.path, self.max_bad, self.on_bad = path, max_bad, on_bad
        self.remedies = dict(remedies or {})
        self.ok = 0
        self.rejected: Counter[str] = Counter()
        self.first: Reject | None = None
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        with resources_named(self.path):
            self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with resources_named(self.path):
                self._file.close()

    @property
    def n_rejected(self) -> int:
        return self.rejected.total()

    @property
    def records_in(self) -> int:
        return self.ok + self.n_rejected

    def counts(self) -> dict[str, Any]:
        """`{in, ok, rejected: {reason: n}}`, as stores keep it."""
        return {"in": self.records_in, "ok": self.ok, "rejected": dict(sorted(self.rejected.items()))}

    def accept(self, records: int = 1) -> None:
        self.ok += records

    def reject(self, reject: Reject, share_read: float | None = None) -> None:
        """Counts and writes one.

        Args:
            share_read: how much of the input has been read, where that is known.

        Raises InputError under on_bad=fail, and early where twice `max_bad` would be passed even if all the rest were
        good.
        """
        self.first = self.first or reject
        self.rejected[reject.reason] += 1
        with resources_named(self.path):
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
            self._file.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")
        if self.on_bad == "fail":
            helps = what_helps([reject.reason], self.remedies)
            raise InputError(str(reject), hint=f"{helps}on_bad=reject goes on without such records and counts them.")
        if share_read and self.records_in >= _EARLY:
            expected = self.records_in / min(share_read, 1)
            if self.n_rejected > 2 * self.max_bad * expected:
                raise self._too_many(f"after {100 * share_read:.0f} % of the input ")

    def check(self, expected: int | None = None) -> None:
        """To be called when all records have been seen.

        Args:
            expected: how many the reader's own splitter counted, where it counts.

        Raises InputError where too many were rejected, where there were none at all, or where a record was lost.
        """
        if self.records_in == 0 and not expected:
            raise InputError("no records were found", hint="Is the file empty, or of another format?")
        if self.ok == 0 or self.n_rejected > self.max_bad * self.records_in:
            raise self._too_many("")
        if expected is not None and expected != self.records_in:
            raise InputError(
                f"{expected:,} records are in the input, {self.ok:,} were kept and {self.n_rejected:,} rejected: "
                f"{abs(expected - self.records_in):,} do not add up",
                hint="This is a defect of the reader; please report it with the file.",
            )
        if self._file is not None:
            with resources_named(self.path):
                self._file.flush()
                with self.path.open("rb") as lines:
                    written = sum(1 for _ in lines)
            if written != self.n_rejected:
                raise InputError(f"{self.path} has {written:,} lines for {self.n_rejected:,} rejected records")

    def _too_many(self, when: str) -> InputError:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in self.rejected.most_common())
        share = 100 * self.n_rejected / self.records_in
        helps = what_helps((reason for reason, _ in self.rejected.most_common()), self.remedies)
        return InputError(
            f"{when}{self.n_rejected:,} of {self.records_in:,} records ({share:.3g} %) were rejected ({reasons}); "
            f"max_bad={self.max_bad:g} allows {100 * self.max_bad:g} %\n  First: {self.first}",
            hint=f"{helps}All are listed in {self.path}. Repair the input, or allow more with max_bad=.",
        )
