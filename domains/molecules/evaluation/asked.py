"""Does a model give what it is asked for? Samples for each bin of each condition, measured by RDKit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
class Achieved:
    """One condition: the bin that each valid sample was asked for, and what it has."""

    name: str
    bins: NDArray[np.int64]
    values: NDArray[np.float64]
    edges: tuple[float, ...]


def measure_conditions(
    engine: Scorer,
    tokenizer: Any,
    unasked: Valid,
    table: MetricTable,
    *,
    label: str,
    n: int,
    length: int,
    drawing: Drawing,
    seed: int,
    resamples: int,
    say: Callable[[str], None],
) -> list[Achieved]:
    """Adds per condition the share of samples in the bin asked for (what is no molecule counts against it), and the
    rank correlation of asked and achieved.

    Args:
        unasked: samples that were asked for nothing: by how much asking helps.
        n: samples for each bin; the other conditions are drawn as training has them beside it.
    """
    found = []
    options: dict[str, Any] = {"split": label, "seed": seed, "resamples": resamples}
    for condition in tokenizer.conditions:
        if condition.name not in PROPERTIES:
            continue
        bins = len(condition.edges) + 1
        say(f"asking for {bins} bins of {condition.name}, {n} samples each")
        asked, values, hits = [], [], []
        for number in range(bins):
            samples = drawn_samples(
                engine, tokenizer, n, length, seed, drawing, {condition.name: inside(condition.edges, number)}
            )
            valid = read_valid([smiles_of(s.sequence, tokenizer) for s in samples])
            got = np.array([property_of(mol, condition.name) for mol in valid.mols], np.float64)
            asked += [number] * len(got)
            values.append(got)
            hit = np.zeros(n)
            hit[: len(got)] = np.searchsorted(condition.edges, got, side="right") == number
            hits.append(hit)
        achieved = Achieved(condition.name, np.array(asked, np.int64), np.concatenate(values), condition.edges)
        found.append(achieved)
        joined = np.concatenate(hits)
        table.measure(f"recall_of_asked_{condition.name}", {MODEL: Totals(joined, np.ones(len(joined)))}, **options)
        free = np.array([property_of(mol, condition.name) for mol in unasked.mols], np.float64)
        chance = np.bincount(np.searchsorted(condition.edges, free, side="right"), minlength=bins) / max(
            1, unasked.total
        )
        table.add(f"recall_of_asked_{condition.name}", float(chance.mean()), split=label, model=UNASKED, n=len(free))
        if len(achieved.values) > 2 and len(set(asked)) > 1 and np.ptp(achieved.values) > 0:
            rank = spearmanr(achieved.bins, achieved.values)[0]
            table.add(f"spearman_asked_{condition.name}", float(rank), split=label, n=len(achieved.values))
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
