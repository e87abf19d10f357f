"""What `foretell prepare` tells of data: counts, letters, lengths, copies, split, leakage, labels, oddities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.amounts import percent
from core.label_distribution import label_lines, label_oddities

_BLOCK = 2**20
_COMPARED = 2**16
"""Letters that are compared at once: they stay in a core's cache."""
_QUESTIONS = "tasks"
"""The tokenizer whose rows are questions, several to a record."""
_NAMED = 3
"""Up to this many files are named one by one."""
_FEW = 8
"""Up to this many letters are counted by comparing [0.1 ns a letter each]; a table of pairs takes 0.8 ns a letter, one
of letters 1.3."""


class LetterCounts:
    """How often each byte occurs in the letters of all records."""

    def __init__(self) -> None:
        self.counts = np.zeros(256, np.int64)
        self._pending: list[NDArray[np.uint8]] = []
        self._waiting = 0

    def add(self, letters: NDArray[np.uint8]) -> None:
        self._pending.append(letters)
        self._waiting += len(letters)
        if self._waiting >= _BLOCK:
            self._flush()

    def by_letter(self) -> dict[str, int]:
        """Letter to number, the most frequent first; a byte that does not print is written as `\\x00`."""
        self._flush()
        order = np.argsort(-self.counts, kind="stable")
        names = {i: chr(i) if 32 < i < 127 else f"\\x{i:02x}" for i in order.tolist()}
        return {names[i]: int(self.counts[i]) for i in order.tolist() if self.counts[i]}

    def by_byte(self) -> NDArray[np.int64]:
        """(256,) how often each byte occurs."""
        self._flush()
        return self.counts

    def join(self, other: LetterCounts) -> None:
        """The letters of `other` as well."""
        self.counts += other.by_byte()

    def _flush(self) -> None:
        letters = (
            self._pending[0] if len(self._pending) == 1 else np.concatenate([*self._pending, np.empty(0, np.uint8)])
        )
        self._pending, self._waiting = [], 0
        for start in range(0, len(letters), _BLOCK):
            self._count(letters[start : start + _BLOCK])

    def _count(self, block: NDArray[np.uint8]) -> None:
        done = 0
        known = np.flatnonzero(self.counts).astype(np.uint8)  # of the block's type: compared without a cast
        while len(known) <= _FEW and done < len(block):
            part = block[done : done + _COMPARED]
            found = [np.count_nonzero(part == letter) for letter in known]
            if sum(found) < len(part):
                break
            self.counts[known] += found
            done += len(part)
        rest = block[done:]
        even = rest[: len(rest) // 2 * 2]
        pairs = np.bincount(even.view(np.uint16), minlength=2**16 if len(even) else 0).reshape(-1, 256)
        self.counts += pairs.sum(0) + np.bincount(rest[len(even) :], minlength=256)
        self.counts[: len(pairs)] += pairs.sum(1)


class ValueRanges:
    """Least, mean and greatest of each channel, and the share that is missing, over the values of all records."""

    def __init__(self) -> None:
        self._least, self._greatest, self._sum = (np.zeros(0) for _ in range(3))
        self._count = np.zeros(0, np.int64)
        self._total = 0

    def add(self, values: NDArray[np.floating]) -> None:
        """values (T, C), NaN where missing. Records may differ in C: channels are counted from the first."""
        self._widen(values.shape[1])
        there, c = ~np.isnan(values), values.shape[1]
        self._least[:c] = np.minimum(self._least[:c], np.min(values, axis=0, where=there, initial=np.inf))
        self._greatest[:c] = np.maximum(self._greatest[:c], np.max(values, axis=0, where=there, initial=-np.inf))
        self._sum[:c] += np.sum(values, axis=0, where=there)
        self._count[:c] += there.sum(0)
        self._total += values.size

    def join(self, other: ValueRanges) -> None:
        """The values of `other` as well."""
        c = len(other._count)
        self._widen(c)
        self._least[:c] = np.minimum(self._least[:c], other._least)
        self._greatest[:c] = np.maximum(self._greatest[:c], other._greatest)
        self._sum[:c] += other._sum
        self._count[:c] += other._count
        self._total += other._total

    def to_state(self) -> dict[str, Any]:
        """Plain values that `from_state` makes it again of."""
        arrays = {name: getattr(self, f"_{name}").tolist() for name in ("least", "greatest", "sum", "count")}
        return {**arrays, "total": self._total}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ValueRanges:
        self = cls()
        self._least, self._greatest, self._sum = (np.array(state[n], float) for n in ("least", "greatest", "sum"))
        self._count, self._total = np.array(state["count"], np.int64), state["total"]
        return self

    def _widen(self, channels: int) -> None:
        more = channels - len(self._count)
        if more > 0:
            self._least = np.append(self._least, np.full(more, np.inf))
            self._greatest = np.append(self._greatest, np.full(more, -np.inf))
            self._sum, self._count = np.append(self._sum, np.zeros(more)), np.append(self._count, np.zeros(more, int))

    def to_dict(self) -> dict[str, Any]:
        """`{"channels": [{"least", "mean", "greatest"}], "missing": share}`; empty where nothing was added."""
        if not self._total:
            return {}
        means = self._sum / np.maximum(self._count, 1)
        rows = zip(self._least, means, self._greatest, self._count, strict=True)
        channels = [
            dict(zip(("least", "mean", "greatest"), map(float, row[:3]), strict=True)) if row[3] else {} for row in rows
        ]
        return {"channels": channels, "missing": float(1 - self._count.sum() / self._total)}


@dataclass
class DataReport:
    """Plain values; `to_text` is what a person reads, `to_dict` what a program does."""

    store: str
    domain: str
    source: dict[str, Any]
    natural_unit: str
    """What lengths and the split's sizes count, in the singular."""
    tokenizer: str
    n_tokens: int
    counts: dict[str, Any]
    """in, ok, rejected by reason."""
    rejects: str
    """The file of rejects; empty where there are none."""
    letters: dict[str, int]
    """How often each occurs; empty for real values, and where letters are no text (of music they are intervals)."""
    lengths: dict[str, float]
    """min, median, max, total, in natural units."""
    split: dict[str, Any]
    """The split's report: rule, seed, records and units, duplicates, leakage."""
    renamed: int = 0
    """Records whose id was taken and got a number (`.2`, `.3`, ...)."""
    notes: dict[str, int] = field(default_factory=dict)
    """What the reader found unusual but readable, with how often."""
    warnings: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    """Of real values, as `ValueRanges.to_dict` has it."""
    values_name: str = "values"
    """What they are, in the plural, at most ten letters."""
    labels: dict[str, Any] = field(default_factory=dict)
    """Label to what `core.label_distribution.distribution` returned, with `own` where records have it by themselves."""
    asked: dict[str, int] = field(default_factory=dict)
    """Of rows that are questions: `records` that they are about and, where that is known, `copies` among these."""

    @property
    def duplicates(self) -> dict[str, int] | None:
        return self.split.get("duplicates")

    @property
    def leakage(self) -> dict[str, Any] | None:
        return self.split.get("leakage")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_text(self) -> str:
        """Some ten aligned lines, and four a label."""
        lines = [("store", self.store), ("source", _source_text(self.source)), ("records", self._records_text())]
        if self.notes:
            lines.append(("notes", ", ".join(f"{what}: {n:,}" for what, n in self.notes.items())))
        if self.renamed:
            lines.append(("ids", f"{self.renamed:,} repeated ids got a number (.2, .3, ...)"))
        if self.values:
            lines.append((self.values_name, self._values_text()))
        elif self.letters:
            lines.append(("letters", self._letters_text()))
        low, middle, high = (f"{self.lengths[key]:,.0f}" for key in ("min", "median", "max"))
        unit = self.natural_unit
        lines.append(
            ("lengths", f"min {low}, median {middle}, max {high}; {self.lengths['total']:,.0f} {unit}s in all")
        )
        lines.append(("tokens", f"{self.n_tokens:,} ({self.tokenizer})"))
        lines.append(("duplicates", self._duplicates_text()))
        lines.append(("split", self._split_text()))
        lines.append(("leakage", self._leakage_text()))
        lines += [("" if at else "labels", text) for at, text in enumerate(label_lines(self.labels))]
        lines += [("warning", text) for text in self.warnings]
        return "\n".join(f"{name:<11}{text}" for name, text in lines)

    def _records_text(self) -> str:
        rejected = self.counts["rejected"]
        what = " questions" if self.tokenizer == _QUESTIONS else ""
        text = f"{self.counts['in']:,}{what} read, {self.counts['ok']:,} kept, {sum(rejected.values()):,} rejected"
        if rejected:
            text += f" ({', '.join(f'{reason} {n:,}' for reason, n in rejected.items())}; see {self.rejects})"
        return text + (f"; about {self.asked['records']:,} records" if self.asked else "")

    def _letters_text(self) -> str:
        total = sum(self.letters.values())
        shares = [f"{letter} {percent(n / total)}" for letter, n in self.letters.items()]
        return "  ".join(shares[:24]) + ("  ..." if len(shares) > 24 else "")

    def _values_text(self) -> str:
        shown = [
            f"{c['least']:.4g} to {c['greatest']:.4g} (mean {c['mean']:.4g})" if c else "never observed"
            for c in self.values["channels"]
        ]
        several = "" if len(shown) == 1 else f"{len(shown)} channels: "
        return several + "; ".join(shown[:6]) + ("; ..." if len(shown) > 6 else "") + self._missing_text()

    def _missing_text(self) -> str:
        missing = self.values["missing"]
        return f"; {percent(missing)} missing" if missing else "; none missing"

    def _duplicates_text(self) -> str:
        found = self.duplicates
        if found is None:
            return "not looked for"
        text = f"{found['records']:,} records are copies of another ({found['sets']:,} sets)"
        if self.tokenizer == _QUESTIONS:
            text = f"{found['records']:,} questions are about the letters of another ({found['sets']:,} sets)"
        if "copies" in self.asked:
            text = f"{self.asked['copies']:,} of the {self.asked['records']:,} records are copies of another"
        return text + (f", {found['across_splits']:,} sets in more than one split" if found["across_splits"] else "")

    def _split_text(self) -> str:
        units, records = self.split["units"], self.split["records"]
        total = max(sum(units.values()), 1)
        parts = [f"{name} {percent(units[name] / total)} ({records[name]:,})" for name in units]
        return f"{self.split['rule']}, seed {self.split['seed']}: {', '.join(parts)}"

    def _leakage_text(self) -> str:
        found = self.leakage
        if found is None:
            return "not looked for"
        if found["test"] is None:
            return f"the test part has no {found['k']} {self.natural_unit}s in a row"
        what = f"stretches of {found['k']} {self.natural_unit}s" if self.values else f"{found['k']}-mers"
        text = f"{percent(found['test'])} of the test part's distinct {what} occur in train"
        if found["validation"] is not None:
            text += f", {percent(found['validation'])} of the validation part's"
        if "test_records_over_20" in found:
            text += f"; {percent(found['test_records_over_20'])} of the test records share over 20 %"
        return text


def look_for_oddities(
    letters: Mapping[str, int],
    canonical: str,
    split: Mapping[str, Any],
    notes: Mapping[str, int],
    labels: Mapping[str, Any] | None = None,
) -> list[str]:
    """Sentences about what a scientist would want to know before training on the data.

    Args:
        letters: letter to number, most frequent first.
        canonical: the letters that data of this domain always has; empty where none are known.
        labels: see `DataReport.labels`.
    """
    found = []
    absent = [letter for letter in canonical if letter not in letters]
    if absent:
        found.append(f"{', '.join(absent)} never occur{'s' if len(absent) == 1 else ''}: is the file whole?")
    given = split["rule"] == "given"  # what is only to be scored is all one part, because its records say so
    one_part = given and sum(n > 0 for n in split["units"].values()) == 1
    for name, n in split["units"].items():
        if n == 0 and not one_part and split["requested"].get(name, 1) > 0:
            found.append(f"the {name} part is empty: there are too few records for split.rule={split['rule']}")
    duplicates, leakage = split["duplicates"], split["leakage"]
    if duplicates and duplicates["across_splits"]:
        found.append(f"{duplicates['across_splits']:,} sets of identical records stand in more than one split")
    if leakage and (leakage["test"] or 0) > 0.1:
        found.append(
            f"{percent(leakage['test'])} of the test part's {leakage['k']}-mers occur in train: its scores flatter; "
            f"split.rule=cluster or group separates families"
        )
    if split["rule"] == "last" and split["records"]["train"] > 100:
        found.append("split.rule=last cuts every record; for many short records take random or cluster")
    return found + label_oddities(labels or {})


def in_short(where: Any) -> str:
    """Where data come from, for a line: of more than three files how many, with the first and the last."""
    if not isinstance(where, list):
        return str(where or "")
    if len(where) <= _NAMED:
        return ", ".join(map(str, where))
    return f"{len(where):,} files ({where[0]} to {where[-1]})"


def _source_text(source: Mapping[str, Any]) -> str:
    text = str(source.get("what") or in_short(source.get("where")) or "unknown")
    licence = source.get("licence") or source.get("license")
    return f"{text} ({licence})" if licence else text
