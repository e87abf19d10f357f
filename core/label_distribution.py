"""How a label is distributed over train, validation and test: counted block by block, told in lines, looked at for
what makes a score worth little.

What is kept of a column is a counter of its different values, which ends at a limit, and running sums of its numbers,
however many rows there are. Knows no store and no domain: values come in pieces, parts as masks of rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.amounts import percent
from core.missing import is_unknown

Array = NDArray[Any]
Parts = Mapping[str, NDArray[np.bool_]]
"""Part to (N,) whether each row stands in it. A row may stand in several: a record that the split cuts."""

MOST_CLASSES = 50
"""Numbers with more different values are no classes; of more no warnings are made, and no more are kept."""
_COUNTED = 1000
"""Different values that are counted at most."""
_BLOCK = 2**16
"""Rows that are counted at once. Fixed, so that sums do not depend on the pieces that values come in."""
_ALL = ""
"""The mask of all rows, beside those of the parts."""
_FEW, _FREQUENT = 5, 20
"""A class that occurs fewer than 5 times in test cannot be judged; of one with 20 in train that is a surprise."""
_WIDTH = 116
"""Characters of a line; the name of the report's row stands before it."""
_NAME = 20
"""Characters of a name or a class."""
_DETAILED, _SHOWN, _NAMED, _WARNINGS = 8, 8, 3, 5
"""Labels with a line for each part, classes in a line, classes in a warning, warnings."""


@dataclass
class _Sums:
    """Of numbers that come in blocks: least, greatest, mean and deviation (Chan, Golub and LeVeque 1983)."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Of the distances from the mean."""
    least: float = math.inf
    greatest: float = -math.inf

    def add(self, values: Array) -> None:
        """values (n,) float64."""
        if not len(values):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            mean, both = float(values.mean()), self.n + len(values)
            squares = float(np.square(values - mean).sum())
        apart = mean - self.mean
        self.squares += squares + apart * apart * self.n * len(values) / both
        self.mean += apart * len(values) / both
        self.n = both
        self.least, self.greatest = min(self.least, float(values.min())), max(self.greatest, float(values.max()))

    def facts(self) -> dict[str, float]:
        """Without those that are too large for a float64."""
        if not self.n:
            return {}
        deviation = math.sqrt(self.squares / self.n)
        found = {"least": self.least, "greatest": self.greatest, "mean": self.mean, "deviation": deviation}
        return {name: value for name, value in found.items() if math.isfinite(value)}


def distribution(
    pieces: Iterable[Array], parts: Parts, counted_rows: NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    """How one label is distributed.

    Args:
        pieces: (n,) values of the rows in order, numbers (NaN where missing), bool or texts ("" where missing).
        counted_rows: (N,) which rows are counted, where several are of one record; None: all.

    Returns plain values:
        kind: classes (texts or whole numbers that occur again and again), numbers, or texts (any others).
        records, missing: rows with a value, and without.
        different: how many different values there are; None where they were not counted to the end.
        classes: of that kind, value to part to number of records, the most frequent first, 50 at most.
        parts: part to its records and missing, and of numbers its least, greatest, mean and deviation.
        least, greatest, mean, deviation: of the numbers of all rows.
    """
    rows = next((len(mask) for mask in parts.values()), 0)
    chosen = np.ones(rows, bool) if counted_rows is None else counted_rows
    masks = {_ALL: chosen, **{part: mask & chosen for part, mask in parts.items()}}
    counts: dict[str, Counter[Any]] = {part: Counter() for part in masks}
    sums = {part: _Sums() for part in masks}
    known = dict.fromkeys(masks, 0)
    counted, numeric, start = True, True, 0
    for block in _blocks(pieces):
        numeric = block.dtype.kind in "fiu"
        cells, there = _numbers(block) if numeric else _texts(block)
        counted = counted and (not numeric or bool((cells[there] == np.floor(cells[there])).all()))
        for part, mask in masks.items():
            here = there & mask[start : start + len(block)]
            known[part] += int(here.sum())
            if numeric:
                sums[part].add(cells[here])
            if counted:
                counts[part].update(_count(cells, here))
        counted = counted and len(counts[_ALL]) <= _COUNTED
        start += len(block)
    records, different = known[_ALL], len(counts[_ALL]) if counted else None
    found: dict[str, Any] = {
        "kind": _kind(numeric, records, different),
        "records": records,
        "missing": int(chosen.sum()) - records,
        "different": different,
        **sums[_ALL].facts(),
    }
    if found["kind"] == "classes":
        order = sorted(counts[_ALL], key=lambda value: (-counts[_ALL][value], value))[:MOST_CLASSES]
        names = {value: str(int(value)) if numeric else value for value in order}
        found["classes"] = {names[value]: {part: counts[part][value] for part in parts} for value in order}
    found["parts"] = {
        part: {"records": known[part], "missing": int(masks[part].sum()) - known[part], **sums[part].facts()}
        for part in parts
    }
    return found


def _kind(numeric: bool, records: int, different: int | None) -> str:
    repeated = different is not None and 0 < different <= max(2, records / 2)
    if numeric:
        return "classes" if repeated and different is not None and different <= MOST_CLASSES else "numbers"
    return "classes" if repeated else "texts"


def _blocks(pieces: Iterable[Array]) -> Iterator[Array]:
    """The same values in blocks of one size, the last one shorter."""
    held: list[Array] = []
    waiting = 0
    for piece in pieces:
        rest = piece
        while len(rest):
            taken, rest = rest[: _BLOCK - waiting], rest[_BLOCK - waiting :]
            held.append(taken)
            waiting += len(taken)
            if waiting == _BLOCK:
                yield np.concatenate(held)
                held, waiting = [], 0
    if held:
        yield np.concatenate(held)


def _numbers(block: Array) -> tuple[Array, NDArray[np.bool_]]:
    """As float64, and which are known."""
    values = block.astype(np.float64)
    return values, np.isfinite(values)


def _texts(block: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Without spaces around them, and which are known."""
    cells = [str(cell).strip() for cell in block.tolist()]
    return np.array(cells, object), np.array([not is_unknown(cell) for cell in cells], bool)


def _count(cells: Array, here: NDArray[np.bool_]) -> Mapping[Any, int]:
    if cells.dtype == object:
        return Counter(compress(cells, here))
    values, numbers = np.unique(cells[here], return_counts=True)
    return dict(zip(values.tolist(), numbers.tolist(), strict=True))


def label_lines(labels: Mapping[str, Any]) -> list[str]:
    """Lines of up to 116 characters: each label with a line a part; in short those after the eighth, and a record's own
    where they differ between records.

    Args:
        labels: name to what `distribution` returned, with `own` where the label is a record's own.
    """
    asked = [name for name, found in labels.items() if not found.get("own")]
    lines: list[str] = []
    for name in asked[:_DETAILED]:
        lines.append(f"{_short(name)}: {_summary(labels[name])}")
        lines += [f"  {line}" for line in _part_lines(labels[name])]
    rest = asked[_DETAILED:] + [name for name, found in labels.items() if found.get("own") and _differs(found)]
    return lines + _wrapped([f"{_short(name)}: {_in_short(labels[name])}" for name in rest])


def _differs(found: Mapping[str, Any]) -> bool:
    """Whether classes or numbers are not the same in every record."""
    constant = found["different"] == 1 or found.get("least") == found.get("greatest", math.nan)
    return found["kind"] != "texts" and found["records"] > 0 and not constant


def _wrapped(items: Many[str]) -> list[str]:
    """Items one after another, in lines that end between two of them."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) + 2 <= _WIDTH:
            lines[-1] += f"; {item}"
        else:
            lines.append(item)
    return lines


def _summary(found: Mapping[str, Any]) -> str:
    records, missing, different = found["records"], found["missing"], found["different"]
    if not records:
        return "no record has one"
    if different == 1 and found["kind"] == "classes":
        what = f"{_short(next(iter(found['classes'])))} in all {records:,} records that have one"
        return what if missing else f"{_short(next(iter(found['classes'])))} in all {records:,} records"
    what = found["kind"]
    if found["kind"] == "texts":
        what = f"{_how_many(found)} different texts"
    elif found["kind"] == "classes":
        what = f"{different:,} classes"
        if different > _SHOWN and "least" in found:
            what = f"{different:,} whole numbers, {_range(found)}, {_said(found, 'mean')}"
    lacking = f"missing in {missing:,} of {records + missing:,} records" if missing else "none missing"
    return f"{what}; {lacking}"


def _part_lines(found: Mapping[str, Any]) -> list[str]:
    """A line a part, in columns; none where the summary says all."""
    if found["kind"] == "texts" or not found["records"] or found["different"] == 1:
        return []
    parts = {part: facts for part, facts in found["parts"].items() if facts["records"] + facts["missing"]}
    rows = [[part, f"{facts['records']:,}"] for part, facts in parts.items()]
    columns = [_column(rows, 0), _column(rows, 1, right=True)]
    if found["kind"] == "numbers":
        told = [
            [_range(f), _said(f, "mean"), _said(f, "deviation")] if f["records"] else [""] * 3 for f in parts.values()
        ]
        columns += [_column(told, at) for at in range(3)]
    else:
        for name, numbers in list(found["classes"].items())[:_SHOWN]:
            cells = [[_share(name, numbers[part], facts["records"])] for part, facts in parts.items()]
            column = _column(cells, 0)
            used = sum(len(c[0]) + 3 for c in columns)
            if len(columns) > 2 and used + len(column[0]) + len("  ...") > _WIDTH - 2:
                break
            columns.append(column)
        if len(columns) - 2 < found["different"]:
            columns.append(["..."] * len(parts))
    return ["   ".join(cells).rstrip() for cells in zip(*columns, strict=True)]


def _column(rows: Many[Many[str]], at: int, *, right: bool = False) -> list[str]:
    width = max((len(row[at]) for row in rows), default=0)
    return [row[at].rjust(width) if right else row[at].ljust(width) for row in rows]


def _share(name: str, n: int, records: int) -> str:
    return f"{_short(name)}: {percent(n / records)} ({n:,})" if records else ""


def _in_short(found: Mapping[str, Any]) -> str:
    """Some words on all parts together."""
    records = found["records"]
    if not records:
        return "in no record"
    if found["kind"] == "texts":
        return f"{_how_many(found)} different texts"
    if found["kind"] == "numbers":
        return f"{_range(found)}, {_said(found, 'mean')}"
    shown = list(found["classes"])[:_NAMED]
    if found["different"] == 1:
        return f"{_short(shown[0])} in all"
    if found["different"] > _SHOWN and "least" in found:
        return f"{found['different']:,} whole numbers, {_range(found)}, {_said(found, 'mean')}"
    more = ", ..." if len(shown) < found["different"] else ""
    total = sum(part["records"] for part in found["parts"].values())
    shares = {name: sum(found["classes"][name].values()) / max(total, 1) for name in shown}
    return ", ".join(f"{_short(name)} in {percent(share)}" for name, share in shares.items()) + more


def _range(facts: Mapping[str, Any]) -> str:
    return f"{facts['least']:.4g} to {facts['greatest']:.4g}"


def _said(facts: Mapping[str, float], name: str) -> str:
    return f"{name} {facts[name]:.4g}" if name in facts else f"{name} too large"


def _how_many(found: Mapping[str, Any]) -> str:
    return f"more than {_COUNTED:,}" if found["different"] is None else f"{found['different']:,}"


def _short(name: str) -> str:
    """On one line, of at most 20 characters."""
    plain = " ".join(name.split())
    return plain if len(plain) <= _NAME else f"{plain[: _NAME - 3]}..."


def label_oddities(labels: Mapping[str, Any]) -> list[str]:
    """Up to six sentences on classes that cannot be learned or judged. A record's own labels are left out.

    Args:
        labels: see `label_lines`.
    """
    found = [
        warning
        for name, label in labels.items()
        if not label.get("own") and label["kind"] == "classes" and label["different"] <= MOST_CLASSES
        for warning in _oddities(_short(name), label)
    ]
    left = len(found) - _WARNINGS
    return found[:_WARNINGS] + ([f"and {left:,} more of this kind, on other labels"] if left > 0 else [])


def _oddities(name: str, label: Mapping[str, Any]) -> list[str]:
    classes, parts = label["classes"], label["parts"]
    if label["different"] == 1:
        records = label["records"]
        told = f"label '{name}' is '{_short(next(iter(classes)))}' in all {records:,} records: nothing to tell apart"
        return [told] if records > 1 else []
    train, test = (parts.get(part, {}).get("records", 0) for part in ("train", "test"))
    found = []
    absent = {c: sum(n.values()) for c, n in classes.items() if train and not n["train"]}
    if absent:
        verb = "occurs" if len(absent) == 1 else "occur"
        found.append(f"label '{name}': {_named(absent, '{} ({:,} elsewhere)')} never {verb} in train")
    rare = {c: n["test"] for c, n in classes.items() if test and n["test"] < _FEW and n["train"] >= _FREQUENT}
    if rare:
        verb = "is" if len(rare) == 1 else "are"
        found.append(
            f"label '{name}': {_named(rare, '{} ({:,})')} {verb} rare in test, though frequent in train: "
            f"scores say little of {'it' if len(rare) == 1 else 'them'}"
        )
    return found


def _named(classes: Mapping[str, int], form: str) -> str:
    """The first classes with their number, and how many more."""
    told = [form.format(f"'{_short(name)}'", n) for name, n in list(classes.items())[:_NAMED]]
    more = len(classes) - len(told)
    return ", ".join(told) + (f" and {more:,} more" if more else "")
