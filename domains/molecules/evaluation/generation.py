"""Samples beside real molecules: MOSES' metrics of the model, of training molecules and of a Markov table's samples.

All samples count: what RDKit does not read is not valid, and the other metrics are of the valid ones, as MOSES defines
them. Training molecules of the same number show what a perfect model would reach.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation import MODEL, MetricTable, Totals
from core.evaluation_options import Drawing
from core.order import rng
from core.sequence import Sequence as Tokens
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.molecules.evaluation import chemnet
from domains.molecules.evaluation.filters import passes
from domains.molecules.evaluation.fingerprints import fingerprints, nearest
from domains.molecules.evaluation.likelihood import Markov, Scorer
from domains.molecules.evaluation.moses import (
    PROPERTIES,
    Statistics,
    Valid,
    compared,
    internal_diversity,
    nearest_similarity,
    read_valid,
    statistics,
)
from domains.molecules.evaluation.reference import cached_statistics, reference_smiles
from domains.molecules.evaluation.stored import smiles_of, some_spans, stored_smiles

TRAIN = "train"
UNIQUE = (1000, 10_000)
SHOWN = 12
"""Samples that are drawn as pictures, with their nearest training molecules."""


@dataclass(frozen=True)
class Generation:
    """What figures are drawn from."""

    valid: dict[str, Valid]
    statistics: dict[str, Statistics]
    reference: Statistics
    reference_name: str
    shown: list[str]
    """SMILES of samples."""
    neighbours: list[str]
    """Of each the most similar training molecule among those looked at."""
    similarities: NDArray[np.float64]
    to_train: dict[str, NDArray[np.float64]]
    """Similarity of each molecule to the nearest training molecule looked at, by model and for the test part."""
    looked_at: int


def measure_generation(
    engine: Scorer,
    store: TokenStore,
    tokenizer: Tokenizer[Any],
    markov: Markov,
    table: MetricTable,
    *,
    label: str,
    split: str,
    n: int,
    length: int,
    reference: int,
    whole: bool,
    fcd: bool,
    published: bool,
    neighbours: int,
    drawing: Drawing,
    seed: int,
    resamples: int,
    say: Callable[[str], None],
) -> Generation:
    """Draws samples, measures them and adds the rows to `table`.

    Args:
        n, length: how many molecules, and of how many tokens at most.
        reference, whole: see EvaluationConfig.
        published: whether filters and synthetic accessibility are measured, whose tables are fetched.
        neighbours: training molecules among which the nearest of some samples are looked for.
    """
    began = perf_counter()
    drawn = drawn_samples(engine, tokenizer, n, length, seed, drawing)
    texts = {MODEL: [smiles_of(sample.sequence, tokenizer) for sample in drawn]}
    say(f"{n:,} samples in {perf_counter() - began:.0f} s")
    trained = store.spans(TRAIN)
    texts[markov.name] = [
        smiles_of(Tokens({"tokens": tokens}), tokenizer) for tokens in markov.sample(n, rng("markov", seed))
    ]
    texts[TRAIN] = list(stored_smiles(store, tokenizer, some_spans(trained, n, seed, TRAIN)))
    called, smiles = reference_smiles(store, tokenizer, split, whole=whole)
    say(f"reference: {called}, {len(smiles):,} molecules")
    names = PROPERTIES if published else tuple(name for name in PROPERTIES if name != "sa")
    known = cached_statistics(smiles, fcd=fcd, costly=reference, names=names, say=say)
    training = set(stored_smiles(store, tokenizer, trained))
    valid: dict[str, Valid] = {}
    measured: dict[str, Statistics] = {}
    for model, drawn in texts.items():
        began = perf_counter()
        say(f"{model}: {len(drawn):,} molecules")
        valid[model] = found = read_valid(drawn)
        if model == TRAIN:
            measured[model] = cached_statistics(drawn, fcd=fcd, costly=0, names=names)
        else:
            measured[model] = statistics(found.smiles, found.mols, fcd=fcd, names=names)
        options: dict[str, Any] = {"split": label, "seed": seed, "resamples": resamples}
        _add_simple(table, model, found, training, options)
        _add_compared(table, model, measured[model], known, options)
        if published and found.mols:
            passed = np.array([passes(mol) for mol in found.mols], np.float64)
            table.measure("filters", {model: Totals(passed, np.ones(len(passed)))}, **options)
        say(f"{model}: measured in {perf_counter() - began:.0f} s")
    return _with_neighbours(valid, measured, known, called, store, tokenizer, smiles, neighbours, seed)


def drawn_samples(
    engine: Scorer,
    tokenizer: Any,
    n: int,
    length: int,
    seed: int,
    drawing: Drawing,
    asked: dict[str, float] | None = None,
) -> list[Any]:
    """`n` samples; of a tokenizer with conditions they are asked for `asked`, and for the rest as training has it."""
    if not tokenizer.conditions:
        return engine.sample(n, max_length=length, seed=seed, **drawing)
    starts = tokenizer.prompts(n, asked=asked or {}, seed=seed)
    return engine.sample(starts, max_length=length + len(tokenizer.conditions), seed=seed, **drawing)


def _add_simple(table: MetricTable, model: str, found: Valid, training: set[str], options: dict[str, Any]) -> None:
    """Valid, unique, novelty: shares, with intervals over samples or over different molecules."""
    readable = np.zeros(found.total)
    readable[found.places] = 1
    table.measure("valid", {model: Totals(readable, np.ones(found.total))}, **options)
    for k in UNIQUE:
        first = found.smiles[:k]
        if len(first) == k or (k == UNIQUE[0] and first):
            name = f"unique_{k // 1000}k"
            table.add(name, len(set(first)) / len(first), split=options["split"], model=model, n=len(first))
    different = sorted(set(found.smiles))
    if different and model != TRAIN:
        new = np.array([text not in training for text in different], np.float64)
        table.measure("novelty", {model: Totals(new, np.ones(len(new)))}, **options)


def _add_compared(
    table: MetricTable, model: str, measured: Statistics, known: Statistics, options: dict[str, Any]
) -> None:
    if not measured.n:
        return
    label = options["split"]
    for name, value in compared(measured, known).items():
        table.add(name, value, split=label, model=model, n=measured.n)
    similar = nearest_similarity(measured, known)
    table.measure("snn_test", {model: Totals(similar, np.ones(len(similar)))}, **options)
    table.add("intdiv", internal_diversity(measured), split=label, model=model, n=measured.n)


def _with_neighbours(
    valid: dict[str, Valid],
    measured: dict[str, Statistics],
    known: Statistics,
    called: str,
    store: TokenStore,
    tokenizer: Tokenizer[Any],
    test: Sequence[str],
    limit: int,
    seed: int,
) -> Generation:
    looked = list(stored_smiles(store, tokenizer, some_spans(store.spans(TRAIN), limit, seed, "neighbours")))
    trained = read_valid(looked)
    packed = fingerprints(trained.mols)
    drawn = valid[MODEL]
    shown = drawn.smiles[:SHOWN]
    similarities, which = nearest(fingerprints(drawn.mols[:SHOWN]), packed)
    part = known.packed[:: max(1, len(known.packed) // 1000)][:1000]
    to_train = {
        model: nearest(measured[model].packed[:1000], packed)[0]
        for model in measured
        if model != TRAIN and measured[model].n
    }
    to_train["test"] = nearest(part, packed)[0]
    return Generation(
        valid, measured, known, called, shown, [trained.smiles[i] for i in which.tolist()], similarities, to_train,
        len(looked),
    )  # fmt: skip


def fcd_wanted(asked: bool | None) -> bool:
    """Whether ChemNet is asked: as told, else where fcd_torch is installed."""
    return chemnet.is_there() if asked is None else asked
