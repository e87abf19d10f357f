"""What samples look like beside real DNA: k-mer spectrum, GC, and how much of them was copied from the training part.

Three things stand beside the model's samples: pieces of the training part (what a perfect sampler would reach), samples
of the best Markov table, and pieces of the test part, all of the same length and number.
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
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.dna.evaluation.letters import COMPLEMENT, SIZE, SpanLetters, Spans, draw_pieces, sample_letters
from domains.dna.evaluation.likelihood import BITS, Baselines, Scorer

TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class Generation:
    """Sequences by source with what was measured on them; the figures are drawn from it."""

    pieces: dict[str, list[Letters]]
    spectra: dict[str, NDArray[np.float64]]
    """(4^k,) counts over both strands."""
    divergences: dict[str, float]
    """Jensen-Shannon divergence from the test part, bits."""
    gc: dict[str, NDArray[np.float64]]
    """GC fraction of each sequence."""
    copies: dict[str, NDArray[np.int64]]
    """Longest copy from the training part, bases."""


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
    bases_per_token: float,
    drawing: Drawing,
    seed: int,
    resamples: int,
) -> Generation:
    """Draws samples, measures them and adds the rows to `table`.

    Args:
        spans: (S, 3) of the test split.
        label: what the split column says.
        n, length: how many sequences of how many bases.
        k: letters of the spectrum's k-mers.
    """
    train = store.spans("train")
    tokens = int(np.ceil(length / bases_per_token))
    drawn = engine.sample(n, max_length=tokens, min_length=tokens, seed=seed, **drawing)
    markov = baselines.chosen.name
    samples = [sample_letters(sample.sequence, tokenizer) for sample in drawn]
    pieces = {
        MODEL: [letters[:length] for letters in samples],
        TRAIN: draw_pieces(store, tokenizer, train, n, length, seed, TRAIN),
        markov: list(baselines.table.sample(n, length, baselines.chosen, rng("markov", seed))),
        TEST: draw_pieces(store, tokenizer, spans, n, length, seed, TEST),
    }
    likelihood = Totals(
        np.array([sample.nll * BITS for sample in drawn]),
        np.array([float(len(letters)) for letters in samples]),
    )
    table.measure("bits_per_base_of_samples", {MODEL: likelihood}, split=label, seed=seed, resamples=resamples)

    reference = np.sum([spectrum(piece, k) for piece in SpanLetters(store, tokenizer, spans)], axis=0)
    spectra, divergences = {TEST: reference}, {}
    for model in (MODEL, TRAIN, markov):
        counts = np.array([spectrum(piece, k) for piece in pieces[model]])
        value, low, high = jackknife(partial(_weighted_divergence, counts, reference), n)
        table.add(f"kmer{k}_js_divergence_bits", value, split=label, model=model, low=max(low, 0.0), high=high, n=n)
        spectra[model], divergences[model] = counts.sum(axis=0), value

    gc = {model: _gc(sequences) for model, sequences in pieces.items()}
    for model, sequences in pieces.items():
        counted = np.array([float((piece < SIZE).sum()) for piece in sequences])
        totals = Totals(np.nan_to_num(gc[model]) * counted, counted)
        table.measure("gc_fraction", {model: totals}, split=label, seed=seed, resamples=resamples)

    corpus = SpanLetters(store, tokenizer, train, overlap=length)
    copies = {}
    for model in (MODEL, TEST, markov):
        copies[model] = longest_copies(pieces[model], corpus, SIZE, complement=COMPLEMENT)
        each = Totals(copies[model].astype(np.float64), np.ones(n))
        table.measure("longest_copy_bases_mean", {model: each}, split=label, seed=seed, resamples=resamples)
    for model, lengths in copies.items():
        table.add("longest_copy_bases_max", float(lengths.max()), split=label, model=model, n=n)
    return Generation(pieces, spectra, divergences, {m: v[np.isfinite(v)] for m, v in gc.items()}, copies)


def spectrum(letters: Letters, k: int) -> NDArray[np.int64]:
    """(4^k,) how often each k-mer stands on either strand; the last letter of a k-mer is its lowest digit."""
    counts = np.zeros(SIZE**k, np.int64)
    table = np.arange(256, dtype=np.uint8)
    table[:SIZE] = COMPLEMENT
    for strand in (letters, table[letters][::-1]):
        codes = mer_codes(strand, SIZE, k)
        counts += np.bincount(codes[codes >= 0], minlength=SIZE**k)
    return counts


def divergence(a: NDArray[np.number], b: NDArray[np.number]) -> float:
    """The Jensen-Shannon divergence of two spectra in bits: 0 for equal ones, 1 for those that share nothing, be it
    that one is empty.
    """
    if not a.any() or not b.any():
        return 1.0
    return float(jensenshannon(a, b, base=2)) ** 2


def _weighted_divergence(
    counts: NDArray[np.number], reference: NDArray[np.number], weights: NDArray[np.float64]
) -> float:
    """Of sequences' spectra `counts` (P, 4^k), each taken `weights` (P,) times, from the reference."""
    return divergence(weights @ counts, reference)


def _gc(pieces: list[Letters]) -> NDArray[np.float64]:
    """The GC fraction of each piece, NaN where it has no bases."""
    strong = np.array([((piece == 1) | (piece == 2)).sum() for piece in pieces], np.float64)
    counted = np.array([(piece < SIZE).sum() for piece in pieces], np.float64)
    fractions: NDArray[np.float64] = np.divide(strong, counted, out=np.full(len(pieces), np.nan), where=counted > 0)
    return fractions
