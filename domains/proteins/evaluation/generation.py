"""What samples look like beside real proteins: composition, lengths, k-mers, low complexity, and what was copied.

Three things stand beside the model's samples, all of the same number and cut to the same length: proteins of the
training part (what a perfect sampler would reach: the floor), samples of the best Markov table with training's lengths,
and proteins of the test part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from core.baselines import Letters
from core.copying import longest_copies, mer_codes
from core.evaluation import MODEL, MetricTable, Totals, jackknife
from core.evaluation_options import Drawing
from core.order import rng
from core.sequence import Sequence
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.proteins.evaluation.likelihood import BITS, Baselines, Scorer
from domains.proteins.evaluation.nearest import nearest_identities
from domains.proteins.evaluation.residues import SIZE, SpanLetters, Spans, sequence_letters, some_spans
from domains.proteins.tokenizer.shared import FORWARD

TRAIN, TEST = "train", "test"
PAIRS = 2
WINDOW, LOW_ENTROPY = 12, 2.2
"""SEG's window and its trigger in bits (Wootton and Federhen 1993, Comput. Chem. 17:149)."""


@dataclass(frozen=True)
class Generation:
    """Sequences by source with what was measured on them; the figures are drawn from it."""

    pieces: dict[str, list[Letters]]
    composition: dict[str, NDArray[np.float64]]
    """(20,) shares."""
    spectra: dict[str, NDArray[np.float64]]
    """(400,) counts of neighbours; there are too few samples to show more letters one by one."""
    divergences: dict[str, tuple[float, float, float]]
    """Jensen-Shannon divergence of k-mers from the test part, bits, with its interval."""
    copies: dict[str, NDArray[np.int64]]
    """Longest stretch of each that stands in training, residues."""
    identities: dict[str, NDArray[np.float64]]
    """Identity to the nearest training protein, per cent."""


def measure_generation(
    engine: Scorer,
    store: TokenStore,
    tokenizer: Tokenizer[Any],
    spans: Spans,
    baselines: Baselines,
    table: MetricTable,
    *,
    label: str,
    n: int,
    length: int,
    k: int,
    drawing: Drawing,
    seed: int,
    resamples: int,
) -> Generation:
    """Draws samples, measures them and adds the rows to `table`.

    Args:
        spans: (N, 3) of the test split.
        n, length: how many proteins, and of how many residues at most.
        k: letters of the spectrum's k-mers.
    """
    options: dict[str, Any] = {"split": label, "seed": seed, "resamples": resamples}
    train = store.spans("train")
    drawn = engine.sample(_starts(tokenizer, n), max_length=length, seed=seed, **drawing)
    markov = baselines.chosen.name
    real = {
        name: [letters[:length] for letters in SpanLetters(store, tokenizer, some_spans(part, n, seed, name))]
        for name, part in ((TRAIN, train), (TEST, spans))
    }
    rows = baselines.table.sample(len(real[TRAIN]), length, baselines.chosen, rng("markov", seed))
    pieces = {
        MODEL: [sequence_letters(sample.sequence, tokenizer)[:length] for sample in drawn],
        TRAIN: real[TRAIN],
        markov: [row[: len(like)] for row, like in zip(rows, real[TRAIN], strict=True)],
        TEST: real[TEST],
    }
    pieces = {name: [p for p in listed if len(p)] for name, listed in pieces.items()}
    if not pieces[MODEL]:
        table.add("share_of_samples_empty", 1.0, split=label, n=n)
        pieces[MODEL] = [np.zeros(1, np.uint8)]
    likelihood = Totals(
        np.array([sample.nll * BITS for sample in drawn]),
        np.array([float(max(1, len(sequence_letters(sample.sequence, tokenizer)))) for sample in drawn]),
    )
    table.measure("bits_per_residue_of_samples", {MODEL: likelihood}, **options)
    for name, listed in pieces.items():
        _measure_simple(table, name, listed, options)

    whole = SpanLetters(store, tokenizer, spans)
    reference = {size: np.sum([spectrum(p, size) for p in whole], 0) for size in {1, PAIRS, k}}
    divergences: dict[str, tuple[float, float, float]] = {}
    equal = of_equal_lengths(pieces)
    for name in (MODEL, TRAIN, markov):
        for size, metric in ((1, "composition_js_bits"), (k, f"kmer{k}_js_bits")):
            counts = np.array([spectrum(piece, size) for piece in equal[name]])
            judged = partial(_weighted_divergence, counts, reference[size])
            value, low, high = jackknife(judged, len(counts))
            table.add(metric, value, split=label, model=name, low=max(low, 0.0), high=high, n=len(counts))
            divergences[name] = value, max(low, 0.0), high
    spectra = {name: np.sum([spectrum(p, PAIRS) for p in listed], 0) for name, listed in equal.items()}
    spectra[TEST] = reference[PAIRS]
    composition = {name: shares(listed) for name, listed in pieces.items()}

    corpus = SpanLetters(store, tokenizer, train)
    copies, identities = {}, {}
    known = list(corpus)
    for name in (MODEL, TEST, markov):
        copies[name] = longest_copies(pieces[name], known, SIZE)
        identities[name] = 100 * nearest_identities(pieces[name], known)
        ones = np.ones(len(pieces[name]))
        table.measure("longest_copy_residues_mean", {name: Totals(copies[name].astype(np.float64), ones)}, **options)
        table.measure("nearest_train_identity_percent", {name: Totals(identities[name], ones)}, **options)
    for name, found in copies.items():
        table.add("longest_copy_residues_max", float(found.max()), split=label, model=name, n=len(found))
    return Generation(pieces, composition, spectra, divergences, copies, identities)


def _starts(tokenizer: Any, n: int) -> int | list[Sequence]:
    """From nothing; where both directions are read, from the mark of the N terminus."""
    if not getattr(getattr(tokenizer, "config", None), "marks", ()):
        return n
    vocabulary = tokenizer.vocabulary
    mark = np.array([vocabulary.ids[FORWARD]], vocabulary.dtype)
    return [Sequence({"tokens": mark}, loss_mask={"tokens": np.zeros(1, bool)}) for _ in range(n)]


def _measure_simple(table: MetricTable, name: str, listed: list[Letters], options: dict[str, Any]) -> None:
    """Mean length, and the share of residues in stretches of low complexity."""
    ones = np.ones(len(listed))
    lengths = np.array([float(len(piece)) for piece in listed])
    table.measure("length_residues_mean", {name: Totals(lengths, ones)}, **options)
    low = np.array([float(low_complexity(piece).sum()) for piece in listed])
    table.measure("low_complexity_share", {name: Totals(low, lengths)}, **options)


def of_equal_lengths(sources: dict[str, list[Letters]]) -> dict[str, list[Letters]]:
    """The sequences of every source cut so that all sources have the same lengths: a divergence from few residues is
    larger than one from many. The longest of each are paired, then the next.
    """
    ordered = {name: sorted(listed, key=len, reverse=True) for name, listed in sources.items()}
    lengths = [min(map(len, pieces)) for pieces in zip(*ordered.values(), strict=False)]
    return {name: [piece[:n] for piece, n in zip(listed, lengths, strict=False)] for name, listed in ordered.items()}


def spectrum(letters: Letters, k: int) -> NDArray[np.int64]:
    """(20^k,) how often each k-mer stands in a protein; the last letter of a k-mer is its lowest digit."""
    codes = mer_codes(letters, SIZE, k)
    return np.bincount(codes[codes >= 0], minlength=SIZE**k)


def shares(pieces: list[Letters]) -> NDArray[np.float64]:
    """(20,) share of each residue."""
    counts = np.sum([spectrum(piece, 1) for piece in pieces], axis=0).astype(np.float64)
    found: NDArray[np.float64] = counts / max(1.0, float(counts.sum()))
    return found


def low_complexity(letters: Letters) -> NDArray[np.bool_]:
    """(n,) whether a residue stands in a window of 12 whose composition has less than 2.2 bits of entropy."""
    n = len(letters) - WINDOW + 1
    marked = np.zeros(len(letters), bool)
    if n < 1:
        return marked
    seen = np.zeros((len(letters) + 1, SIZE + 1), np.int16)
    np.cumsum(letters[:, None] == np.arange(SIZE + 1), axis=0, out=seen[1:])
    share = (seen[WINDOW:] - seen[:n]) / WINDOW
    entropy = -(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1)
    starts = np.flatnonzero(entropy < LOW_ENTROPY)
    marked[(starts[:, None] + np.arange(WINDOW)).ravel()] = True
    return marked


def divergence(a: NDArray[np.number], b: NDArray[np.number]) -> float:
    """The Jensen-Shannon divergence of two spectra in bits: 0 for equal ones, 1 for those that share nothing."""
    if not a.any() or not b.any():
        return 1.0
    return float(jensenshannon(a, b, base=2)) ** 2


def _weighted_divergence(
    counts: NDArray[np.number], reference: NDArray[np.number], weights: NDArray[np.float64]
) -> float:
    """Of sequences' spectra `counts` (P, 20^k), each taken `weights` (P,) times, from the reference."""
    return divergence(weights @ counts, reference)
