"""Labels of a store's rows, or of pairs of them, from its columns: classes, several classes, numbers.

What cannot be learned from is told at once, with its rows: missing labels are dropped and counted, equal sequences with
different labels are an error or counted, and so is a label that is one class only or says which part a record is in.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.engine import content_hash
from core.errors import ConfigError, InputError, nearest
from core.finetuning.cells import MOST_CLASSES, classes, numbers, yes_or_no
from core.finetuning.config import TASKS, SupervisedConfig
from core.finetuning.labels import Labels, Values
from core.finetuning.pairs import ORDERED, SYMMETRIC, PairTable, part_of
from core.store import SPLITS, TokenStore

_UNSPLIT = -1


def read_labels(store: TokenStore, columns: Many[str], task: str, config: SupervisedConfig) -> Labels:
    """The labels of a store.

    Args:
        columns: one; or several of numbers (regress), or of 0 and 1 (classify), each of which may be missing.

    Raises ConfigError for an unknown column or one that cannot be of this task, InputError for labels that nothing can
    be learned from, and for records that the split has cut.
    """
    columns = tuple(columns)
    _check_task(task)
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
    found = {name: np.asarray(store.labels(name)) for name in columns}
    names, values, exclusive = _values(columns, found, task, config)
    there = np.isfinite(values).any(axis=1) & (split != _UNSPLIT)
    rows = np.flatnonzero(there)
    same = _copies(store, rows)
    labels = Labels(
        columns,
        task,
        names,
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


def read_pair_labels(
    store: TokenStore, table: PairTable, columns: Many[str], task: str, config: SupervisedConfig
) -> Labels:
    """The labels of a table of pairs of a store's records; pairs of unknown records are counted.

    A pair is in the test part where either record is, else in validation where either is.

    Raises as `read_labels`.
    """
    columns = tuple(columns)
    _check_task(task)
    if not columns:
        raise ConfigError(
            f"label= is required for task={task}", hint=f"Columns of {table.name}: {_listed(list(table.labels))}."
        )
    cells = {name: table.column(name) for name in columns}
    names, values, exclusive = _values(columns, cells, task, config)
    both = table.rows(store.ids)
    split = np.where((both < 0).any(axis=1), _UNSPLIT, part_of(both, _whole_records(store)[0]))
    labelled = np.isfinite(values).any(axis=1)
    chosen = np.flatnonzero(labelled & (split != _UNSPLIT))
    kind = SYMMETRIC if config.symmetric else ORDERED
    members, halves = np.unique(both[chosen], return_inverse=True)
    same = _copies(store, members)
    halves = halves.reshape(-1, 2)
    alike = same[halves] if kind == ORDERED else np.sort(same[halves], axis=1)
    first: dict[tuple[int, int], int] = {}
    copies = np.array([first.setdefault((a, b), i) for i, (a, b) in enumerate(alike.tolist())], dtype=np.int64)
    labels = Labels(
        columns,
        task,
        names,
        exclusive,
        both[chosen, 0],
        values[chosen],
        split[chosen],
        _groups(store, members, same)[halves],
        counts={
            **_counts(store, chosen),
            "rows": len(table),
            "missing": int((~labelled).sum()),
            "unknown": int((labelled & (split == _UNSPLIT)).sum()),
        },
        partners=both[chosen, 1],
        pairs=kind,
    )
    labels = _without_conflicts(labels, copies, store, config)
    _check(labels, store)
    return labels


def labels_of(
    store: TokenStore, columns: Many[str], task: str, config: SupervisedConfig, pairs: PairTable | None
) -> Labels:
    """Those of a store's records, or of pairs of them."""
    if pairs is None:
        return read_labels(store, columns, task, config)
    return read_pair_labels(store, pairs, columns, task, config)


def _values(
    columns: tuple[str, ...], found: Mapping[str, NDArray[Any]], task: str, config: SupervisedConfig
) -> tuple[tuple[str, ...], Values, bool]:
    """What is learned, (N, K) of it, and whether exactly one of it holds."""
    if task == "regress":
        return columns, np.stack([numbers(name, cells) for name, cells in found.items()], axis=1), False
    if len(columns) > 1:
        return columns, np.stack([yes_or_no(name, cells) for name, cells in found.items()], axis=1), False
    names, values = classes(columns[0], found[columns[0]], config.several)
    return names, values, not config.several


def _check_task(task: str) -> None:
    if task not in TASKS:
        raise ConfigError(f"task: got {task!r}{nearest(task, TASKS)}", hint=f"Allowed: {', '.join(TASKS)}.")


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
        a, b = (labels.called(int(i), store) for i in (same[differ[0]], differ[0]))
        raise InputError(
            f"{len(differ):,} {labels.noun}s equal an earlier one and have another '{labels.name}': {a} and {b} "
            "for one",
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
        partners=labels.partners[keep] if labels.pairs else labels.partners,
        counts=counts,
    )


def _check(labels: Labels, store: TokenStore) -> None:
    """Raises InputError for labels that nothing can be learned from or judged on."""
    name = labels.name
    if not len(labels.rows):
        raise InputError(f"{store.path}: no {labels.noun} has a label '{name}'")
    if labels.task == "classify" and labels.exclusive and len(labels.names) < 2:
        raise InputError(
            f"label '{name}' is '{labels.names[0]}' in all {len(labels.rows):,} {labels.noun}s: there is nothing to "
            "tell apart"
        )
    for split in SPLITS:
        if not len(labels.part(split)):
            raise InputError(
                f"{store.path}: no {labels.noun} with a label '{name}' is in the {split} part",
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
            raise InputError(
                f"label '{always[0]}' holds for every training {labels.noun}: there is nothing to tell apart"
            )


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
