"""Does a model give what it is asked for? Samples for each bin of each condition, measured by RDKit, and for the outer
bins of every two conditions at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from core.evaluation import MODEL, MetricTable, Totals
from core.evaluation_options import Drawing
from domains.molecules.descriptors import PROPERTIES, property_of
from domains.molecules.evaluation.generation import drawn_samples
from domains.molecules.evaluation.likelihood import Scorer
from domains.molecules.evaluation.moses import Valid, read_valid
from domains.molecules.evaluation.stored import smiles_of

UNASKED = "unasked"


@dataclass(frozen=True)
class Asking:
    """Who is asked, how, and what comes of asking for nothing."""

    engine: Scorer
    tokenizer: Any
    unasked: Valid
    """Samples that were asked for nothing: by how much asking helps."""
    label: str
    n: int
    """Samples for each bin; the other conditions are drawn as training has them beside it."""
    length: int
    drawing: Drawing
    seed: int
    resamples: int
    say: Callable[[str], None]

    def drawn(self, wanted: dict[str, float]) -> Valid:
        """What of `n` samples with these properties asked for is a molecule."""
        samples = drawn_samples(self.engine, self.tokenizer, self.n, self.length, self.seed, self.drawing, wanted)
        return read_valid([smiles_of(s.sequence, self.tokenizer) for s in samples])

    def measure(self, table: MetricTable, metric: str, hits: NDArray[np.float64]) -> None:
        """Adds the share of hits, with an interval."""
        totals = {MODEL: Totals(hits, np.ones(len(hits)))}
        table.measure(metric, totals, split=self.label, seed=self.seed, resamples=self.resamples)


@dataclass(frozen=True)
class Achieved:
    """One condition: the bin that each valid sample was asked for, and what it has."""

    name: str
    bins: NDArray[np.int64]
    values: NDArray[np.float64]
    edges: tuple[float, ...]


def measure_conditions(asking: Asking, table: MetricTable) -> list[Achieved]:
    """Adds per condition the share of samples in the bin asked for (what is no molecule counts against it), and the
    rank correlation of asked and achieved."""
    found, n, unasked = [], asking.n, asking.unasked
    for condition in asking.tokenizer.conditions:
        if condition.name not in PROPERTIES:
            continue
        bins = len(condition.edges) + 1
        asking.say(f"asking for {bins} bins of {condition.name}, {n} samples each")
        asked, values, hits = [], [], []
        for number in range(bins):
            valid = asking.drawn({condition.name: inside(condition.edges, number)})
            got = np.array([property_of(mol, condition.name) for mol in valid.mols], np.float64)
            asked += [number] * len(got)
            values.append(got)
            hit = np.zeros(n)
            hit[: len(got)] = np.searchsorted(condition.edges, got, side="right") == number
            hits.append(hit)
        achieved = Achieved(condition.name, np.array(asked, np.int64), np.concatenate(values), condition.edges)
        found.append(achieved)
        joined, name = np.concatenate(hits), f"recall_of_asked_{condition.name}"
        asking.measure(table, name, joined)
        free = np.array([property_of(mol, condition.name) for mol in unasked.mols], np.float64)
        by_chance = np.bincount(np.searchsorted(condition.edges, free, side="right"), minlength=bins)
        chance = float((by_chance / max(1, unasked.total)).mean())
        table.add(name, chance, split=asking.label, model=UNASKED, n=len(free))
        if len(achieved.values) > 2 and len(set(asked)) > 1 and np.ptp(achieved.values) > 0:
            rank = spearmanr(achieved.bins, achieved.values)[0]
            table.add(f"spearman_asked_{condition.name}", float(rank), split=asking.label, n=len(achieved.values))
    return found


@dataclass(frozen=True)
class Together:
    """Two conditions at once: what the valid samples of each combination have."""

    names: tuple[str, str]
    asked: dict[str, tuple[NDArray[np.float64], tuple[float, float, float, float]]]
    """"low logp, high qed" to (n, 2) values, and what was asked: left, right, bottom, top."""


def measure_together(asking: Asking, table: MetricTable) -> list[Together]:
    """Adds for every two conditions the share of samples that have both of what they were asked for, over the four
    combinations of the outer bins."""
    found, n, unasked = [], asking.n, asking.unasked
    known = [condition for condition in asking.tokenizer.conditions if condition.name in PROPERTIES and condition.edges]
    for first, second in combinations(known, 2):
        names = (first.name, second.name)
        asking.say(f"asking for {first.name} and {second.name} at once, four combinations of {n} samples")
        free = _both(unasked, names)
        hits, chances, asked = [], [], {}
        for high in product((False, True), repeat=2):
            numbers = [len(c.edges) * up for c, up in zip((first, second), high, strict=True)]
            wanted = {c.name: inside(c.edges, at) for c, at in zip((first, second), numbers, strict=True)}
            values = _both(asking.drawn(wanted), names)
            box = (*_borders(first.edges, numbers[0]), *_borders(second.edges, numbers[1]))
            hit = np.zeros(n)
            hit[: len(values)] = _within(values, box)
            hits.append(hit)
            chances.append(_within(free, box).sum() / max(1, unasked.total))
            words = [f"{'high' if up else 'low'} {name}" for up, name in zip(high, names, strict=True)]
            asked[", ".join(words)] = (values, box)
        joined, metric = np.concatenate(hits), f"recall_of_asked_{first.name}_and_{second.name}"
        asking.measure(table, metric, joined)
        table.add(metric, float(np.mean(chances)), split=asking.label, model=UNASKED, n=len(free))
        found.append(Together(names, asked))
    return found


def _both(valid: Valid, names: tuple[str, str]) -> NDArray[np.float64]:
    """(n, 2) properties of molecules."""
    return np.array([[property_of(mol, name) for name in names] for mol in valid.mols], np.float64).reshape(-1, 2)


def _borders(edges: tuple[float, ...], number: int) -> tuple[float, float]:
    """Of a bin; the outer ones are open."""
    all_edges = (-np.inf, *edges, np.inf)
    return all_edges[number], all_edges[number + 1]


def _within(values: NDArray[np.float64], box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    x, y = values[:, 0], values[:, 1]
    found: NDArray[np.bool_] = (x >= box[0]) & (x < box[1]) & (y >= box[2]) & (y < box[3])
    return found


def inside(edges: tuple[float, ...], number: int) -> float:
    """A value in a bin: half-way between its borders, or just outside the outermost one."""
    if not edges:
        return 0.0
    if number == 0:
        return edges[0] - 1
    if number == len(edges):
        return edges[-1] + 1
    return (edges[number - 1] + edges[number]) / 2
