"""Variant effects without training on them: log-likelihood of the variant less that of its wild type, whole sequences.

Judged as ProteinGym does (Notin et al. 2023): Spearman, NDCG of the top tenth, AUC with the median as the border,
recall of the top tenth. Beside it stand BLOSUM62, residue frequencies, site-independent ones where an alignment is
given, and a ridge on mutations that is *fitted on the training part's scores* and says so in its name: the others have
seen no score.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.durable import resources_named, write_bytes_durably
from core.errors import InputError
from core.evaluation import MINUS, MODEL, MetricTable, interval
from core.order import rng
from core.sequence import Sequence
from core.spans import read_spans
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.formats.a3m import read_alignment
from domains.formats.mutations import parse_mutations, reference_of
from domains.formats.seq_record import make_record
from domains.proteins.evaluation.residues import SIZE, Spans, some_spans, text_of
from domains.proteins.tokenizer.letters import CODES

MUTANT, SCORE = "mutant", "score"
BLOSUM, FREQUENCY, SITES, RIDGE = "blosum62", "residue_frequency", "site_independent", "additive_ridge"
FITTED = "_fitted_on_train_scores"
"""What metrics of the ridge are called by: they are no rivals of a model that has seen no score."""
RESAMPLES = 500
"""Of rank statistics: each resample is sorted anew."""
RIDGE_ROWS = 20_000
"""Training variants that the ridge is fitted on: gb1's 1,045 mutations stand 38 times each there."""
PENALTY = 1.0
"""Of the ridge; from 0.1 to 10 its Spearman moves by less than 0.01 where mutations are seen many times."""
PSEUDOCOUNT = 0.5
"""Of the site-independent frequencies, shared by the twenty residues in proportion to 1 / 20."""
BACKGROUND = {
    "A": 0.07805, "C": 0.01925, "D": 0.05364, "E": 0.06295, "F": 0.03856, "G": 0.07377, "H": 0.02199, "I": 0.05142,
    "K": 0.05744, "L": 0.09019, "M": 0.02243, "N": 0.04487, "P": 0.05203, "Q": 0.04264, "R": 0.05129, "S": 0.07120,
    "T": 0.05841, "V": 0.06441, "W": 0.01330, "Y": 0.03216,
}  # fmt: skip
"""How frequent residues are (Robinson and Robinson 1991, PNAS 88:8880), as BLAST takes them."""
UNSEEN = 1e-5
"""Of anything else, a stop above all."""
FEWEST = 10
"""Variants of a wild type below which its order says nothing."""

Values = NDArray[np.float64]


class Likelihood(Protocol):
    def score(self, sequences: Any, *, mode: str) -> Any: ...


@dataclass(frozen=True)
class Effects:
    """Measured scores and predicted ones of the same variants; higher is fitter in all of them."""

    ids: list[str]
    mutants: list[str]
    changes: NDArray[np.int64]
    """(N,) how many residues differ from the wild type."""
    wild_types: NDArray[np.int64]
    """(N,) number of each variant's wild type."""
    measured: Values
    predicted: dict[str, Values]
    """By model (N,)."""

    def write(self, path: Path) -> None:
        """A row a variant: its measured score and every prediction."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", MUTANT, SCORE, *self.predicted])
        table = np.stack(list(self.predicted.values()), axis=1)
        for name, mutant, score, row in zip(self.ids, self.mutants, self.measured, table, strict=True):
            writer.writerow([name, mutant, f"{score:.6g}", *(f"{v:.6g}" for v in row)])
        with resources_named(path):
            write_bytes_durably(path, text.getvalue().encode())


def has_variants(store: TokenStore) -> bool:
    """Whether its records have the labels that variant effects are judged by."""
    return {MUTANT, SCORE} <= set(store.label_names)


def measure_variants(
    engine: Likelihood,
    store: TokenStore,
    tokenizer: Tokenizer[Any],
    spans: Spans,
    table: MetricTable,
    *,
    label: str,
    sign: int,
    alignment: str,
    seed: int,
    resamples: int,
) -> Effects:
    """Scores the variants of `spans` and adds the rows to `table`.

    Raises InputError where fewer than `FEWEST` variants have a score, or an alignment is not of the wild type.
    """
    rows = spans[:, 0]
    scores = sign * np.asarray(store.labels(SCORE), np.float64)
    mutants = np.asarray(store.labels(MUTANT), object).astype(str)
    spans = spans[np.isfinite(scores[rows]) & (mutants[rows] != "WT")]
    rows = spans[:, 0]
    if len(rows) < FEWEST:
        raise InputError(f"{label}: {len(rows)} variants with a score; {FEWEST} are the least that can be ordered")
    chosen = mutants[rows].tolist()
    letters, wild = _with_wild_types(store, tokenizer, spans, chosen)
    names, wild_types = np.unique(np.array(wild, object).astype(str), return_inverse=True)
    changes = np.array([len(parse_mutations(m)) for m in chosen], np.int64)
    likelihood = _log_likelihoods(engine, tokenizer, letters)
    of_wild = _log_likelihoods(engine, tokenizer, [name.encode() for name in names])
    predicted = {
        MODEL: likelihood - of_wild[wild_types],
        BLOSUM: blosum62(chosen),
        FREQUENCY: residue_frequency(chosen),
    }
    if alignment:
        predicted[SITES] = site_independent(chosen, read_alignment(alignment), [names[i] for i in wild_types])
    fitted = _fitted_on_train(store, tokenizer, scores, mutants, chosen, wild, seed)
    if fitted is not None:
        predicted[RIDGE] = fitted
    effects = Effects([store.ids[row] for row in rows.tolist()], chosen, changes, wild_types, scores[rows], predicted)
    _add_rows(table, effects, label, seed, min(resamples, RESAMPLES))
    return effects


def _with_wild_types(
    store: TokenStore, tokenizer: Tokenizer[Any], spans: Spans, mutants: list[str]
) -> tuple[list[bytes], list[str]]:
    """Each variant's letters, and those of what it is a variant of, which its mutations name."""
    letters = [text_of(sequence, tokenizer) for sequence in read_spans(store, spans)]
    wild = [
        reference_of(text, m, store.ids[row]).decode()
        for text, m, row in zip(letters, mutants, spans[:, 0].tolist(), strict=True)
    ]
    return letters, wild


def _log_likelihoods(engine: Likelihood, tokenizer: Any, letters: list[bytes]) -> Values:
    """(N,) nats of whole sequences; the mean of both directions where the tokenizer reads both."""
    ways: list[Callable[[Any], Sequence]] = [tokenizer.encode]
    if getattr(getattr(tokenizer, "config", None), "marks", ()):
        ways.append(tokenizer.encode_reversed)
    records = [make_record(text, f"variant_{i}") for i, text in enumerate(letters)]
    sums = [
        np.array([-score.nll for score in engine.score(map(way, records), mode="windows")], np.float64) for way in ways
    ]
    mean: Values = np.stack(sums).mean(axis=0)
    return mean


def blosum62(mutants: list[str]) -> Values:
    """(N,) sum over mutations of the log-odds of the new residue less those of staying (Henikoff and Henikoff 1992)."""
    from Bio.Align import substitution_matrices

    matrices: Any = substitution_matrices
    matrix = matrices.load("BLOSUM62")
    return np.array(
        [sum(matrix[a, b] - matrix[a, a] for a, _, b in parse_mutations(mutant)) for mutant in mutants], np.float64
    )


def residue_frequency(mutants: list[str]) -> Values:
    """(N,) sum over mutations of log frequency of the new residue less that of the old one.

    All that a model knows which has learned composition alone.
    """

    def log_of(letter: str) -> float:
        return float(np.log(BACKGROUND.get(letter, UNSEEN)))

    return np.array([sum(log_of(b) - log_of(a) for a, _, b in parse_mutations(m)) for m in mutants], np.float64)


def site_independent(mutants: list[str], alignment: NDArray[np.uint8], wild: list[str]) -> Values:
    """(N,) sum over mutations of log frequency of the new residue less that of the old one in its column.

    Args:
        alignment: (R, L) ASCII, the wild type first; residues only, gaps count for nobody.
        wild: (N,) each variant's wild type.

    Raises InputError where the alignment's first row is another protein.
    """
    query = alignment[0].tobytes().decode("ascii", "replace")
    for text in set(wild):
        if text != query:
            raise InputError(
                f"the alignment's first row has {len(query)} residues and is not the wild type ({len(text)} residues)",
                hint="Its query must be the very protein that the variants are of.",
            )
    codes = CODES[alignment]
    counts = np.stack([(codes == code).sum(axis=0) for code in range(SIZE)], axis=1) + PSEUDOCOUNT / SIZE
    logs = np.log(counts / counts.sum(axis=1, keepdims=True))
    lowest = float(logs.min())

    def log_of(place: int, letter: str) -> float:
        code = int(CODES[ord(letter)])
        return float(logs[place, code]) if code < SIZE else lowest

    return np.array([sum(log_of(p, b) - log_of(p, a) for a, p, b in parse_mutations(m)) for m in mutants], np.float64)


def additive_ridge(train: list[str], scores: Values, test: list[str], penalty: float = PENALTY) -> Values:
    """(N,) scores of `test` by a ridge regression on which mutations a variant has.

    A mutation that training never saw has the mean effect of those that bring in the same residue.
    """
    parsed, asked = ([[(p, b) for _, p, b in parse_mutations(m)] for m in listed] for listed in (train, test))
    seen = {mutation: i for i, mutation in enumerate(sorted({m for row in parsed for m in row}))}
    design = _one_hot(parsed, seen)
    # The intercept is not penalised: columns and scores are centred, the columns without a second copy of the design.
    mean, centre = float(scores.mean()), design.mean(axis=0)
    gram = design.T @ design - len(design) * np.outer(centre, centre) + penalty * np.eye(len(seen))
    weights = np.linalg.solve(gram, design.T @ (scores - mean))
    by_letter: dict[str, list[float]] = {}
    for (_, letter), i in seen.items():
        by_letter.setdefault(letter, []).append(float(weights[i]))
    usual = float(weights.mean()) if len(weights) else 0.0
    effect = {letter: float(np.mean(found)) for letter, found in by_letter.items()}
    unseen = np.array([sum(effect.get(b, usual) for p, b in row if (p, b) not in seen) for row in asked])
    predicted: Values = (_one_hot(asked, seen) - centre) @ weights + unseen + mean
    return predicted


def _one_hot(rows: list[list[tuple[int, str]]], columns: Mapping[tuple[int, str], int]) -> Values:
    design = np.zeros((len(rows), len(columns)))
    for i, row in enumerate(rows):
        design[i, [columns[m] for m in row if m in columns]] = 1
    return design


def _fitted_on_train(
    store: TokenStore,
    tokenizer: Tokenizer[Any],
    scores: Values,
    mutants: NDArray[Any],
    test: list[str],
    wild: list[str],
    seed: int,
) -> Values | None:
    """The ridge's predictions, where training has scored variants of the same, only wild type."""
    if len(set(wild)) > 1:
        return None
    spans = store.spans("train")
    spans = spans[np.isfinite(scores[spans[:, 0]])]
    spans = some_spans(spans, RIDGE_ROWS, seed, "ridge")
    if len(spans) < FEWEST:
        return None
    train = mutants[spans[:, 0]].tolist()
    _, theirs = _with_wild_types(store, tokenizer, spans[:FEWEST], train[:FEWEST])
    if set(theirs) != set(wild):
        return None
    return additive_ridge(train, scores[spans[:, 0]], test)


def spearman(measured: Values, predicted: Values) -> float:
    """Rank correlation, ties with their mean rank; NaN where one side is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(measured), rankdata(predicted)
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm else float("nan")


def ndcg(measured: Values, predicted: Values) -> float:
    """Normalised discounted cumulative gain of the tenth that is predicted best (Järvelin and Kekäläinen 2002)."""
    top = max(1, len(measured) // 10)
    span = float(np.ptp(measured))
    gains = (measured - measured.min()) / span if span else np.ones_like(measured)
    discount = 1 / np.log2(np.arange(2, top + 2))
    reached = gains[np.argsort(-predicted, kind="stable")[:top]] @ discount
    return float(reached / (np.sort(gains)[::-1][:top] @ discount))


def auc(measured: Values, predicted: Values) -> float:
    """Area under the ROC curve for measured above the median; NaN where all are on one side."""
    from scipy.stats import rankdata

    positive = measured > np.median(measured)
    n, ranks = int(positive.sum()), rankdata(predicted)
    rest = len(measured) - n
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * rest)) if n and rest else float("nan")


def top_recall(measured: Values, predicted: Values) -> float:
    """The share of the measured best tenth that is in the predicted best tenth."""
    top = max(1, len(measured) // 10)
    best = set(np.argsort(-measured, kind="stable")[:top].tolist())
    return len(best & set(np.argsort(-predicted, kind="stable")[:top].tolist())) / top


STATISTICS: dict[str, Callable[[Values, Values], float]] = {
    "spearman": spearman,
    "ndcg_top10": ndcg,
    "auc": auc,
    "recall_top10": top_recall,
}


def over_wild_types(
    statistic: Callable[[Values, Values], float], measured: Values, predicted: Values, groups: NDArray[np.int64]
) -> float:
    """The mean over wild types with at least `FEWEST` variants; NaN where there is none."""
    found = []
    for group in np.unique(groups):
        rows = groups == group
        if rows.sum() >= FEWEST:
            found.append(statistic(measured[rows], predicted[rows]))
    return float(np.mean(found)) if found else float("nan")


def _add_rows(table: MetricTable, effects: Effects, label: str, seed: int, resamples: int) -> None:
    """Every statistic of every model with its interval, and the paired difference to each baseline."""
    n = len(effects.measured)
    draws: dict[str, dict[str, Values]] = {name: {} for name in STATISTICS}
    generator = rng("variants", seed)
    picks = [generator.integers(0, n, n) for _ in range(resamples)]
    for name, statistic in STATISTICS.items():
        for model, predicted in effects.predicted.items():
            value = over_wild_types(statistic, effects.measured, predicted, effects.wild_types)
            draws[name][model] = np.array(
                [over_wild_types(statistic, effects.measured[p], predicted[p], effects.wild_types[p]) for p in picks]
            )
            low, high = interval(draws[name][model])
            called = name + FITTED if model == RIDGE else name
            table.add(called, value, split=label, model=model, low=low, high=high, n=n)
        for model in (m for m in effects.predicted if m not in (MODEL, RIDGE)):
            low, high = interval(draws[name][MODEL] - draws[name][model])
            mine, theirs = (table.find(name, label, m) for m in (MODEL, model))
            if mine and theirs and mine.value is not None and theirs.value is not None:
                difference = mine.value - theirs.value
                table.add(f"{name}{MINUS}{model}", difference, split=label, low=low, high=high, n=n)
