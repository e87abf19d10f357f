"""Labels of a store's rows as arrays: classes, several classes, numbers; of whole records or of their single tokens.

What cannot be learned from is told at once, with its rows: missing labels are dropped and counted, equal sequences with
different labels are an error or counted, and so is a label that is one class only or says which part a record is in.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.engine import content_hash
from core.errors import ConfigError, InputError, nearest
from core.finetuning.cells import MOST_CLASSES, classes, numbers, yes_or_no
from core.finetuning.config import TASKS, SupervisedConfig
from core.store import SPLITS, TokenStore

Values = NDArray[np.float64]
_UNSPLIT = -1


@dataclass(frozen=True)
class Labels:
    """What is to be learned of `rows`.

    `values` (n, K): of classes a 1 at each that holds; of numbers themselves; NaN where it is not known. With
    `by_token` they are (tokens of these rows, K), end to end.
    """

    columns: tuple[str, ...]
    task: str
    """classify or regress."""
    names: tuple[str, ...]
    """(K,) the classes, or the columns of numbers or of yes and no."""
    exclusive: bool
    """Whether a record is of exactly one class."""
    rows: NDArray[np.int64]
    """(n,) rows of the store that have a label."""
    values: Values
    split: NDArray[np.int64]
    """(n,) index into SPLITS."""
    groups: NDArray[np.int64]
    """(n,) what moves together in folds: equal sequences, and the store's groups."""
    by_token: bool = False
    lengths: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(n,) tokens of each row, of labels by token."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Rows in all, without a label, copies, copies in conflict, dropped for a conflict."""

    @property
    def name(self) -> str:
        return "_".join(self.columns)

    def part(self, split: str) -> NDArray[np.int64]:
        """Positions among `rows` of one of SPLITS."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def where(self, chosen: NDArray[np.int64]) -> Values:
        """Values of the chosen positions: (m, K), or of their tokens end to end."""
        if not self.by_token:
            return self.values[chosen]
        ends = np.cumsum(self.lengths)
        pieces = [self.values[ends[i] - self.lengths[i] : ends[i]] for i in chosen.tolist()]
        return np.concatenate(pieces) if pieces else self.values[:0]

    def with_split(self, split: NDArray[np.int64]) -> Labels:
        return replace(self, split=split)

    def describe(self) -> list[str]:
        """Some lines on how many there are and how they are distributed."""
        told = self.counts
        lines = [
            f"labels      {', '.join(self.columns)}: {len(self.rows):,} of {told['rows']:,} records have one"
            + (f", {told['missing']:,} without were left out" if told["missing"] else "")
        ]
        if told["copies"]:
            lines.append(
                f"copies      {told['copies']:,} records equal another one; {told['conflicts']:,} of them disagree"
                + (f", {told['dropped']:,} were dropped" if told["dropped"] else "")
            )
        for split in SPLITS:
            values = self.where(self.part(split))
            lines.append(f"{split:<12}{len(self.part(split)):,}: {self._distribution(values)}")
        return lines

    def _distribution(self, values: Values) -> str:
        if not len(values):
            return "none"
        if self.task == "regress":
            known = [column[np.isfinite(column)] for column in values.T]
            texts = [
                f"{name} {c.min():.4g} to {c.max():.4g}, mean {c.mean():.4g}, deviation {c.std():.4g}"
                for name, c in zip(self.names, known, strict=True)
                if len(c)
            ]
            return "; ".join(texts)
        share = np.nanmean(values, axis=0)
        shown = np.argsort(-share, kind="stable")[:8].tolist()
        more = ", ..." if len(self.names) > len(shown) else ""
        return ", ".join(f"{self.names[i]} {100 * share[i]:.3g} %" for i in shown) + more


def read_labels(store: TokenStore, columns: Many[str], task: str, config: SupervisedConfig) -> Labels:
    """The labels of a store.

    Args:
        columns: one; or several of numbers (regress), or of 0 and 1 (classify), each of which may be missing.

    Raises ConfigError for an unknown column or one that cannot be of this task, InputError for labels that nothing can
    be learned from, and for records that the split has cut.
    """
    columns = tuple(columns)
    if task not in TASKS:
        raise ConfigError(f"task: got {task!r}{nearest(task, TASKS)}", hint=f"Allowed: {', '.join(TASKS)}.")
    by_token = _token_names(store)
    known = [*store.label_names, *by_token]
    if not columns:
        raise ConfigError(f"label= is required for task={task}", hint=f"Labels of {store.path}: {_listed(known)}.")
    for column in columns:
        if column not in known:
            raise ConfigError(
                f"label: {store.path} has no label '{column}'{nearest(column, known)}",
                hint=f"It has: {_listed(known)}. Labels of a table are kept by prepare with data.labels=[COLUMN].",
            )
    split, spans = _whole_records(store)
    if columns[0] in by_token:
        return _of_tokens(store, columns, task, split, spans)
    table = {name: np.asarray(store.labels(name)) for name in columns}
    if task == "regress":
        names, values = columns, np.stack([numbers(name, found) for name, found in table.items()], axis=1)
        exclusive = False
    elif len(columns) > 1:
        names, values = columns, np.stack([yes_or_no(name, found) for name, found in table.items()], axis=1)
        exclusive = False
    else:
        names, values = classes(columns[0], table[columns[0]], config.several)
        exclusive = not config.several
    there = np.isfinite(values).any(axis=1) & (split != _UNSPLIT)
    rows = np.flatnonzero(there)
    same = _copies(store, rows)
    labels = Labels(
        columns,
        task,
        tuple(names),
        exclusive,
        rows,
        values[rows],
        split[rows],
        _groups(store, rows, same),
        counts=_counts(store, rows),
    )
    labels = _without_conflicts(labels, same, store, config)
    _check(labels, store)
    return labels


def _counts(store: TokenStore, rows: NDArray[np.int64]) -> dict[str, int]:
    return {"rows": len(store), "missing": len(store) - len(rows), "copies": 0, "conflicts": 0, "dropped": 0}


def _token_names(store: TokenStore) -> list[str]:
    """Names of labels of single tokens."""
    return sorted(store.read(0, 0).token_labels)


def _listed(names: Many[str]) -> str:
    return ", ".join(names) or "none"


def _whole_records(store: TokenStore) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(N,) split of each row. Raises InputError where a record is cut."""
    spans, parts = store.spans(), store.span_split.astype(np.int64)
    split = np.full(len(store), _UNSPLIT, np.int64)
    lengths = np.diff(store.offsets)
    cut = (spans[:, 1] != 0) | (spans[:, 2] != lengths[spans[:, 0]])
    if cut.any():
        raise InputError(
            f"{store.path}: the split cuts records ('{store.ids[int(spans[cut][0, 0])]}' for one), so that a label "
            "would stand on both sides",
            hint="Prepare it with split.rule=random, cluster, group, time or given.",
        )
    split[spans[:, 0]] = parts
    return split, lengths


def _of_tokens(
    store: TokenStore, columns: tuple[str, ...], task: str, split: NDArray[np.int64], lengths: NDArray[np.int64]
) -> Labels:
    if len(columns) > 1:
        raise ConfigError(f"label: of single tokens one label is learned at a time, got {', '.join(columns)}")
    name = columns[0]
    found = np.asarray(store.read(0, store.n_tokens).token_labels[name])
    if task == "regress":
        names, values = columns, found.astype(np.float64)[:, None]
    else:
        known = found[np.isfinite(found)] if found.dtype.kind == "f" else found
        kinds = np.unique(known)
        if len(kinds) > MOST_CLASSES:
            raise InputError(f"token label '{name}' has {len(kinds):,} different values; is it for task=regress?")
        names = tuple(f"{kind:g}" for kind in kinds.tolist())
        values = (found[:, None] == kinds).astype(np.float64)
        if found.dtype.kind == "f":
            values[~np.isfinite(found)] = np.nan
    any_known = np.isfinite(values).any(axis=1)
    seen = np.concatenate([[0], np.cumsum(any_known)])
    there = (seen[store.offsets[1:]] > seen[store.offsets[:-1]]) & (split != _UNSPLIT)
    rows = np.flatnonzero(there)
    inside = np.repeat(there, lengths)
    labels = Labels(
        columns,
        task,
        names,
        task == "classify",
        rows,
        values[inside],
        split[rows],
        _groups(store, rows, _copies(store, rows)),
        True,
        lengths[rows],
        _counts(store, rows),
    )
    _check(labels, store)
    return labels


def _copies(store: TokenStore, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the first position with an equal sequence."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(content_hash(store[int(r)]), i) for i, r in enumerate(rows)], dtype=np.int64)


def _groups(store: TokenStore, rows: NDArray[np.int64], same: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) numbers of what must stay on one side of every split."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(rows)
    links = [(i, int(s)) for i, s in enumerate(same)]
    if store.groups is not None:
        first: dict[str, int] = {}
        names = [store.groups[int(row)] for row in rows]
        links += [(i, first.setdefault(name, i)) for i, name in enumerate(names) if name]
    if not n:
        return np.zeros(0, np.int64)
    a, b = np.array(links).T
    found = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)[1]
    return np.asarray(found, np.int64)


def _without_conflicts(labels: Labels, same: NDArray[np.int64], store: TokenStore, config: SupervisedConfig) -> Labels:
    values = np.where(np.isfinite(labels.values), labels.values, np.inf)
    copies = np.flatnonzero(same != np.arange(len(same)))
    differ = copies[(values[copies] != values[same[copies]]).any(axis=1)]
    counts = {**labels.counts, "copies": len(copies), "conflicts": len(differ)}
    policy = config.conflicts if config.conflicts != "auto" else "keep" if labels.task == "regress" else "fail"
    if not len(differ) or policy == "keep":
        return replace(labels, counts=counts)
    if policy == "fail":
        a, b = (store.ids[int(labels.rows[i])] for i in (int(same[differ[0]]), int(differ[0])))
        raise InputError(
            f"{len(differ):,} records equal an earlier one and have another '{labels.name}': '{a}' and '{b}' for one",
            hint="Clean them, or say supervised.conflicts=drop (all of them) or keep.",
        )
    bad = np.isin(same, same[differ])
    keep = np.flatnonzero(~bad)
    counts["dropped"] = int(bad.sum())
    return replace(
        labels,
        rows=labels.rows[keep],
        values=labels.values[keep],
        split=labels.split[keep],
        groups=labels.groups[keep],
        counts=counts,
    )


def _check(labels: Labels, store: TokenStore) -> None:
    """Raises InputError for labels that nothing can be learned from or judged on."""
    name = labels.name
    if not len(labels.rows):
        raise InputError(f"{store.path}: no record has a label '{name}'")
    if labels.task == "classify" and labels.exclusive and len(labels.names) < 2:
        raise InputError(
            f"label '{name}' is '{labels.names[0]}' in all {len(labels.rows):,} records: there is nothing to tell apart"
        )
    for split in SPLITS:
        if not len(labels.part(split)):
            raise InputError(
                f"{store.path}: no record with a label '{name}' is in the {split} part",
                hint="Prepare it with larger split.validation and split.test, or with another split.rule.",
            )
    train = labels.where(labels.part("train"))
    if labels.task == "regress":
        flat = [n for n, column in zip(labels.names, train.T, strict=True) if _spread(column) == 0]
        if flat:
            raise InputError(f"label '{flat[0]}' is the same number in the whole training part")
        return
    _check_sides(labels, store)
    absent = [n for n, column in zip(labels.names, train.T, strict=True) if not np.nansum(column)]
    if absent:
        raise InputError(
            f"label '{name}': {_listed(absent[:8])} does not occur in the training part, and so cannot be learned",
            hint="Prepare with another split.seed or split.rule, or leave these records out.",
        )
    if not labels.exclusive:
        always = [n for n, column in zip(labels.names, train.T, strict=True) if np.nanmean(column) == 1]
        if always:
            raise InputError(f"label '{always[0]}' holds for every training record: there is nothing to tell apart")


def _spread(column: Values) -> float:
    known = column[np.isfinite(column)]
    return float(np.ptp(known)) if len(known) else 0.0


def _check_sides(labels: Labels, store: TokenStore) -> None:
    """A label that says which part a record is in was made from the split, or the split from it."""
    if labels.by_token or not labels.exclusive:
        return
    kind = labels.values.argmax(axis=1)
    parts = [set(labels.split[kind == k].tolist()) for k in np.unique(kind)]
    used = set(labels.split.tolist())
    if len(used) > 1 and all(len(found) == 1 for found in parts):
        raise InputError(
            f"label '{labels.name}' tells which part of the split a record is in: each class lies in one part only",
            hint="Is it the column of the split itself, or was the file sorted and split by it? Prepare it anew with "
            "split.rule=random.",
        )
