"""Which part of the data is trained on, which is validated, which is tested: made before anything is fitted.

Records stream by once (`SplitKeys.add`); then a rule deals them out (`assign`). Exact duplicates stay on one side, and
a leakage score says how many of the test part's k-mers occur in the training part. Everything counts in natural units
(bases, residues, steps); records are known by their index alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, InputError, nearest
from core.kmers import KmerSample, Letters, among, containment_pairs, distinct, shared
from core.rows import Rows
from core.store.layout import SPLITS

RULES = ("last", "random", "cluster", "group", "time", "given")
TRAIN, VALIDATION, TEST = range(3)
_CLUSTER_SAMPLE = 2**23
"""k-mers held while clusters are looked for: about 300 MB at the peak; all of 20,000 proteins or 8 Mb of DNA."""
_LEAKAGE_SAMPLE = 2**20
"""k-mers held where only the leakage score needs them: its standard error is below 0.2 % [binomial]."""


@dataclass(frozen=True)
class SplitConfig:
    """How the data is divided."""

    rule: str = "random"
    """last: the last part of every record (one genome, a series); random: records; cluster: families of records that
    share k-mers; group: the records' groups; time: the latest records; given: as the records say."""
    validation: float = 0.05
    """Share of all natural units that is validated on."""
    test: float = 0.1
    """Share of all natural units that is tested on."""
    seed: int = 0
    k: int = 24
    # 24 bases do not recur by chance in any genome: 4^24 = 3e14.
    """Symbols in a row, a k-mer, by which records are found to be alike, for clusters and for the leakage score: so
    many that none recurs by chance. 24 of 4 bases, 8 of 20 residues."""
    containment: float = 0.2
    # Of a random split of UniProt 62 % share more than a fifth of their 8-mers: what lower similarity leaks.
    """Two records are of one family where the smaller shares at least this much of its k-mers with the larger; a
    smaller share finds more distant relatives."""
    complement: bool = False
    """A record and its reverse complement are the same; the source of the records says which letters pair."""
    whole_groups: bool = False
    """Records of one group stay on one side under the other rules too; `last` cuts records and knows no groups."""
    leakage: bool = True
    """Look for exact duplicates and shared k-mers even where the rule needs neither [about 40 ns a base]."""

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigError(
                f"split.rule={self.rule!r}: expected one of {', '.join(RULES)}{nearest(str(self.rule), RULES)}"
            )
        for name in ("validation", "test"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"split.{name}={getattr(self, name)}: expected a share from 0 to below 1")
        if self.validation + self.test >= 1:
            raise ConfigError(
                f"split.validation + split.test = {self.validation + self.test}: nothing is left to train"
            )
        if self.k < 1:
            raise ConfigError(f"split.k={self.k}: expected at least 1")
        if not 0 < self.containment <= 1:
            raise ConfigError(f"split.containment={self.containment}: expected a share above 0, up to 1")

    @property
    def needs_digests(self) -> bool:
        return self.leakage or self.rule in ("random", "cluster", "group", "time")

    @property
    def needs_kmers(self) -> bool:
        return self.leakage or self.rule == "cluster"


class SplitKeys:
    """What the split must know of each record, collected while they stream by.

    Args:
        complement: (256,) letter to letter, where `config.complement` asks for it.
    """

    def __init__(self, config: SplitConfig, complement: Letters | None = None) -> None:
        if config.complement and complement is None:
            raise ConfigError("split.complement=true: the letters of these records have no complement")
        self.config = config
        self.complement = complement if config.complement else None
        limit = _CLUSTER_SAMPLE if config.rule == "cluster" else _LEAKAGE_SAMPLE
        self.sample = KmerSample(config.k, limit, self.complement, positions=config.rule == "last")
        self.lengths: list[int] = []
        self.digests: list[bytes] = []
        self.groups: list[str | None] = []
        self.stamps: list[Any] = []
        self.splits: list[str | None] = []

    def __len__(self) -> int:
        return len(self.lengths)

    def add(self, letters: Letters, *, group: str | None = None, stamp: Any = None, split: str | None = None) -> None:
        """The next record: its letters (n,), one a natural unit."""
        self.lengths.append(len(letters))
        self.groups.append(group)
        self.stamps.append(stamp)
        self.splits.append(split)
        if self.config.needs_digests:
            self.digests.append(self._digest(letters))
        if self.config.needs_kmers:
            self.sample.add(letters)

    def extend(self, rows: Rows) -> None:
        """The next records, plain ones: as `add` of each."""
        self.lengths += rows.lengths.tolist()
        for column in (self.groups, self.stamps, self.splits):
            column += [None] * len(rows.names)
        if self.config.needs_digests:
            self.digests += map(self._digest, rows.each())
        if self.config.needs_kmers:
            for letters in rows.each():
                self.sample.add(letters)

    def join(self, other: SplitKeys) -> None:
        """The records of `other` behind those there are."""
        for name in ("lengths", "digests", "groups", "stamps", "splits"):
            getattr(self, name).extend(getattr(other, name))
        self.sample.join(other.sample.to_arrays())

    def _digest(self, letters: Letters) -> bytes:
        text = letters.tobytes()
        if self.complement is not None:
            text = min(text, self.complement[letters][::-1].tobytes())
        return hashlib.blake2b(text, digest_size=16).digest()


@dataclass(frozen=True)
class SplitPlan:
    """The spans of every record in natural units; each unit of each record is in exactly one."""

    spans: NDArray[np.int64]
    """(S, 3) record, start, stop; ordered by record and start."""
    split: NDArray[np.uint8]
    """(S,) index into SPLITS."""
    report: dict[str, Any]
    """Rule, seed, sizes, duplicates, clusters, leakage: plain JSON values."""

    def of(self, record: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """(s, 3) spans and (s,) splits of one record."""
        first, last = np.searchsorted(self.spans[:, 0], [record, record + 1])
        return self.spans[first:last], self.split[first:last]


def last_part(length: int, config: SplitConfig) -> list[tuple[int, int, int]]:
    """Rule "last" for one record of `length` units: (start, stop, split), validation just before the test part."""
    test = length - round(length * config.test)
    validation = test - round(length * config.validation)
    borders = ((0, validation, TRAIN), (validation, test, VALIDATION), (test, length, TEST))
    return [part for part in borders if part[0] < part[1]] or [(0, 0, TRAIN)]


def assign(keys: SplitKeys) -> SplitPlan:
    """Deals the records out by the rule of `keys.config`.

    "random", "cluster" and "group" depend on the records' content and the seed, not on their order. A unit that moves
    together (copies, a family, a group) and is too large for its share goes to training.

    Raises InputError where the rule asks for what the records do not have.
    """
    config = keys.config
    n = len(keys)
    lengths = np.array(keys.lengths, dtype=np.int64)
    report: dict[str, Any] = {"rule": config.rule, "seed": config.seed, "requested": _shares(config)}
    copies = _same(keys.digests) if keys.digests else np.arange(n)
    if config.rule == "last":
        parts = [(record, *part) for record, length in enumerate(keys.lengths) for part in last_part(length, config)]
        table = np.array(parts, dtype=np.int64).reshape(-1, 4)
        spans, split = table[:, :3], table[:, 3].astype(np.uint8)
    else:
        deal = {"time": _by_time, "given": _as_given}.get(config.rule, _by_unit)
        split = deal(keys, copies, lengths, report)
        spans = np.stack([np.arange(n), np.zeros(n, np.int64), lengths], axis=1)
    report["records"] = {name: int(np.sum(split == i)) for i, name in enumerate(SPLITS)}
    units = spans[:, 2] - spans[:, 1]
    report["units"] = {name: int(units[split == i].sum()) for i, name in enumerate(SPLITS)}
    report["duplicates"] = _count_copies(copies, split if config.rule != "last" else None) if keys.digests else None
    report["leakage"] = _leakage_report(keys, spans, split) if config.leakage else None
    return SplitPlan(spans, split, report)


def leakage(
    test: Iterable[Letters],
    train: Iterable[Letters],
    k: int,
    complement: Letters | None = None,
    *,
    limit: int = _LEAKAGE_SAMPLE,
) -> float | None:
    """The share of distinct k-mers of `test` that occur in `train`, from a sample of at most `limit` of all of them.

    None where no test record has k letters.
    """
    sample = KmerSample(k, limit, complement)
    n = 0
    for letters in test:
        sample.add(letters)
        n += 1
    for letters in train:
        sample.add(letters)
    hashes, records, _ = sample.entries()
    return shared(hashes[records < n], hashes[records >= n])


def _shares(config: SplitConfig) -> dict[str, float]:
    return {"validation": config.validation, "test": config.test}


def _same(keys: list[Any]) -> NDArray[np.int64]:
    """(N,) the index of the first record with an equal key."""
    first: dict[Any, int] = {}
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], dtype=np.int64)


def _join(n: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the component of each of n records that `pairs` (P, 2) connect."""
    from scipy.sparse import coo_array  # here, because --help reads SplitConfig
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _of_groups(keys: SplitKeys) -> NDArray[np.int64]:
    """(N, 2) each record and the first one of its group."""
    named = [group or (i,) for i, group in enumerate(keys.groups)]
    return np.stack([np.arange(len(named)), _same(named)], axis=1)


def _tied(keys: SplitKeys, copies: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the unit of each record, whose records move together: copies, and groups where they stay whole."""
    if not keys.config.whole_groups:
        return copies
    return _join(len(keys), np.concatenate([np.stack([np.arange(len(keys)), copies], axis=1), _of_groups(keys)]))


def _by_unit(
    keys: SplitKeys, copies: NDArray[np.int64], lengths: NDArray[np.int64], report: dict[str, Any]
) -> NDArray[np.uint8]:
    """Rules random, cluster and group: (N,) split; records of one unit stay together."""
    n, config = len(keys), keys.config
    pairs = [np.stack([np.arange(n), copies], axis=1)]
    if config.rule == "cluster":
        hashes, records, _ = keys.sample.entries()
        single = copies[records] == records
        pairs.append(containment_pairs(hashes[single], records[single], n, config.containment))
    if config.rule == "group" and not any(keys.groups):
        raise InputError("split.rule=group: none of the records has a group", hint="Use split.rule=random.")
    if config.rule == "group" or config.whole_groups:
        pairs.append(_of_groups(keys))
    unit = _join(n, np.concatenate(pairs))
    n_units = int(unit.max()) + 1 if n else 0
    weights = np.bincount(unit, np.maximum(lengths, 1), minlength=n_units).astype(np.float64)
    name = [b"\xff" * 17] * n_units
    for u, digest in zip(unit.tolist(), keys.digests, strict=True):
        name[u] = min(name[u], digest)
    seed = config.seed.to_bytes(16, "little", signed=True)
    order = sorted(range(n_units), key=lambda u: hashlib.blake2b(name[u], digest_size=16, key=seed).digest())
    report["clusters"] = {
        "n": n_units,
        "largest": int(np.bincount(unit).max()) if n else 0,
        **({"k": config.k, "containment": config.containment} if config.rule == "cluster" else {}),
    }
    return _deal(weights, order, config)[unit]


def _deal(weights: NDArray[np.float64], order: list[int], config: SplitConfig) -> NDArray[np.uint8]:
    """(U,) split of each unit: along `order`, each into the first part that it overfills by at most half of itself."""
    total = weights.sum()
    room = {TEST: config.test * total, VALIDATION: config.validation * total}
    split = np.full(len(weights), TRAIN, np.uint8)
    for u in order:
        for part, left in room.items():
            if left > 0 and weights[u] / 2 <= left:
                split[u] = part
                room[part] -= weights[u]
                break
    for part, share in ((TEST, config.test), (VALIDATION, config.validation)):
        training = [u for u in order if split[u] == TRAIN]
        if share > 0 and not (split == part).any() and len(training) > 1:
            split[min(training, key=lambda u: weights[u])] = part
    return split


def _by_time(
    keys: SplitKeys, copies: NDArray[np.int64], lengths: NDArray[np.int64], report: dict[str, Any]
) -> NDArray[np.uint8]:
    """(N,) split: the latest records are tested on; those of one moment, and copies of an earlier one, go with it."""
    config = keys.config
    for i, stamp in enumerate(keys.stamps):
        if stamp is None:
            raise InputError(f"split.rule=time: record {i} has no time stamp", hint="Use another rule.")
    order = sorted(range(len(keys)), key=lambda i: keys.stamps[i])
    split = np.full(len(keys), TRAIN, np.uint8)
    done, total, before = 0.0, float(np.maximum(lengths, 1).sum()), None
    part = TRAIN
    for i in order:
        if keys.stamps[i] != before:
            left = (total - done) / total - 1e-9  # sums of tenths are not exact
            part = TEST if left <= config.test else part
            part = VALIDATION if part == TRAIN and left <= config.test + config.validation else part
        split[i], before = part, keys.stamps[i]
        done += max(int(lengths[i]), 1)
    earliest: dict[int, int] = {}
    tied = _tied(keys, copies).tolist()
    for i in order:
        earliest.setdefault(tied[i], int(split[i]))
    moved = np.array([earliest[unit] for unit in tied], dtype=np.uint8)
    report["moved_copies"] = int(np.sum(moved != split))
    return moved


def _as_given(
    keys: SplitKeys, copies: NDArray[np.int64], lengths: NDArray[np.int64], report: dict[str, Any]
) -> NDArray[np.uint8]:
    """(N,) split as the records say. Where none is for validation, that share is dealt out of the training records."""
    for i, name in enumerate(keys.splits):
        if name not in SPLITS:
            raise InputError(f"split.rule=given: record {i} says {name!r}, expected one of {', '.join(SPLITS)}")
    split = np.array([SPLITS.index(str(name)) for name in keys.splits], dtype=np.uint8)
    train = np.flatnonzero(split == TRAIN)
    if keys.config.validation and not (split == VALIDATION).any() and len(train) > 1:
        seed = keys.config.seed.to_bytes(16, "little", signed=True)
        names = keys.digests or [int(i).to_bytes(8, "little") for i in range(len(keys))]
        unit = np.unique(_tied(keys, copies)[train], return_inverse=True)[1]
        first = {int(u): int(i) for u, i in zip(unit[::-1], train[::-1], strict=True)}
        weights = np.bincount(unit, np.maximum(lengths[train], 1)).astype(np.float64)
        order = sorted(first, key=lambda u: hashlib.blake2b(names[first[u]], key=seed, digest_size=16).digest())
        share = SplitConfig(test=0, validation=keys.config.validation)
        split[train] = _deal(weights, order, share)[unit]
        report["validation_from_train"] = True
    return split


def _count_copies(copies: NDArray[np.int64], split: NDArray[np.uint8] | None) -> dict[str, int]:
    """Records that equal an earlier one, sets of equal ones, and sets that stand in more than one split."""
    sets, sizes = np.unique(copies, return_counts=True)
    across = 0
    if split is not None and len(copies):
        low, high = np.full(len(copies), 255), np.zeros(len(copies), np.int64)
        np.minimum.at(low, copies, split)
        np.maximum.at(high, copies, split)
        across = int(np.sum(low[sets] != high[sets]))
    return {"records": int(len(copies) - len(sets)), "sets": int(np.sum(sizes > 1)), "across_splits": across}


def _leakage_report(keys: SplitKeys, spans: NDArray[np.int64], split: NDArray[np.uint8]) -> dict[str, Any]:
    """k, the sampled share, and per part the share of its distinct k-mers, and of its records, that training shares."""
    hashes, records, positions = keys.sample.entries()
    k = keys.config.k
    if keys.config.rule == "last":
        begins = np.cumsum([0, *keys.lengths])[:-1]  # of each record, where all stand end to end
        row = np.searchsorted(begins[spans[:, 0]] + spans[:, 1], begins[records] + positions, side="right") - 1
        inside = positions + k <= spans[row, 2]
        hashes, records, part = hashes[inside], records[inside], split[row[inside]]
    else:
        part = split[records]
    result: dict[str, Any] = {"k": k, "sampled": keys.sample.fraction}
    train = distinct(hashes[part == TRAIN])
    for index, name in ((VALIDATION, "validation"), (TEST, "test")):
        chosen = part == index
        result[name] = shared(hashes[chosen], train)
        known = among(hashes[chosen], train)
        of = np.unique(records[chosen], return_inverse=True)[1]
        enough = len(of) > 0 and len(of) >= 8 * (of.max() + 1)  # fewer k-mers say little of one record
        if keys.config.rule != "last" and enough:
            per_record = np.bincount(of, known) / np.bincount(of)
            result[f"{name}_records_over_20"] = float(np.mean(per_record > 0.2))
    return result
