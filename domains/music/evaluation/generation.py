"""What samples are like beside real pieces: features, the rules of voices, what was copied, and what parses by itself.

Four sources stand side by side, cut to the same number of tokens: the model's samples under the grammar, samples of the
best n-gram, pieces of the training part (what a perfect sampler would reach: the floor) and pieces of the test part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.copying import longest_copies
from core.errors import InputError
from core.evaluation import MODEL, MetricTable, Totals
from core.evaluation_options import Drawing
from core.order import rng
from core.sequence import Sequence as Tokens
from core.spans import read_spans
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.formats.abc_text import read_text
from domains.formats.score import Score
from domains.music.evaluation.likelihood import Baselines, Scorer, Spans, from_plain, some_spans
from domains.music.evaluation.metre import METRE_FEATURES, changes_at_bar_lines, metre_features
from domains.music.evaluation.statistics import FEATURES, distance, features
from domains.music.evaluation.voices import count_voices
from domains.music.source.records import WIDEST, intervals

TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class Generation:
    """Scores by source with what was measured on them; the figures and the sound are made from it."""

    scores: dict[str, list[Score]]
    values: dict[str, dict[str, NDArray[np.float64]]]
    """Feature to source to (N,)."""
    copies: dict[str, NDArray[np.int64]]
    """Longest run of notes of each piece that stands in training, in any key."""


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
    drawing: Drawing,
    seed: int,
    resamples: int,
) -> Generation:
    """Draws samples, measures them and adds the rows to `table`.

    Args:
        spans: (N, 3) of the test split.
        n, length: how many pieces, and of how many tokens at most.
    """
    options: dict[str, Any] = {"split": label, "seed": seed, "resamples": resamples}
    grammar = tokenizer.grammar(max_length=length)
    drawn = engine.sample(n, max_length=length, seed=seed, grammar=grammar, **drawing)
    free = engine.sample(n, max_length=length, seed=seed, **drawing)
    parsed = np.array([_parses(tokenizer, sample.sequence, sample.finished) for sample in free], np.float64)
    table.measure("valid_unmasked", {MODEL: Totals(parsed, np.ones(n))}, **options)
    written = np.array([_as_written(tokenizer, sample.sequence, sample.finished) for sample in free], np.float64)
    table.measure("canonical_unmasked", {MODEL: Totals(written, np.ones(n))}, **options)
    mass = np.array([sample.masked_mass for sample in drawn])
    table.measure("masked_probability", {MODEL: Totals(mass, np.ones(n))}, **options)
    counted = np.array([max(1, sample.n_tokens) for sample in drawn], np.float64)
    nats = np.array([sample.nll for sample in drawn])
    table.measure("nats_per_token_of_samples", {MODEL: Totals(nats, counted)}, **options)

    scores = {MODEL: _decoded(tokenizer, [sample.sequence for sample in drawn])}
    for name, part in ((TRAIN, store.spans("train")), (TEST, spans)):
        chosen = some_spans(part, max(n, min(len(part), 4 * n)), seed, name)
        pieces = [_cut(sequence, length, tokenizer) for sequence in read_spans(store, chosen)]
        for piece, row in zip(pieces, chosen[:, 0].tolist(), strict=True):
            piece.id = store.ids[row]
        scores[name] = _decoded(tokenizer, pieces)
    ngram, order = baselines.of(baselines.chosen)
    rows = from_plain(tokenizer, ngram.sample(n, min(length, 1024), rng("ngrams", seed), order))
    dtype = drawn[0].sequence.arrays["tokens"].dtype
    scores[baselines.chosen] = _decoded(tokenizer, [Tokens({"tokens": row.astype(dtype)}) for row in rows])
    if not scores[baselines.chosen]:
        del scores[baselines.chosen]  # no sample of the n-gram parses

    names = (*FEATURES, *METRE_FEATURES)
    values: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in names}
    for source, listed in scores.items():
        measured = [{**features(score), **metre_features(score)} for score in listed]
        for name in names:
            values[name][source] = np.array([m[name] for m in measured])
    for name in names:
        for source, found in values[name].items():
            kept = found[np.isfinite(found)]
            if len(kept):
                table.measure(f"{name}_mean", {source: Totals(kept, np.ones(len(kept)))}, **options)
            if source != TEST:
                away = distance(found, values[name][TEST])
                table.add(f"{name}_w1_sd", away, split=label, model=source, n=len(found))
    voices = getattr(tokenizer.config, "voices", 0)  # type: ignore[attr-defined]
    if voices == 4:
        _measure_voices(table, scores, options)
    _measure_changes(table, scores, options)
    if tokenizer.natural_unit == "character":
        _measure_bars(table, scores, options)
    copies = _measure_copies(table, store, tokenizer, scores, options)
    return Generation(scores, values, copies)


def _measure_voices(table: MetricTable, scores: dict[str, list[Score]], options: dict[str, Any]) -> None:
    for source, listed in scores.items():
        counts = [count_voices(score) for score in listed]
        for metric, part, whole in (
            ("voice_crossing_share", "crossings", "steps"),
            ("parallel_fifths_octaves_share", "parallels", "moves"),
            ("out_of_range_share", "outside", "notes"),
        ):
            weights = np.array([getattr(c, whole) for c in counts], np.float64)
            sums = np.array([getattr(c, part) for c in counts], np.float64)
            if weights.any():
                table.measure(metric, {source: Totals(sums, weights)}, **options)


def _measure_changes(table: MetricTable, scores: dict[str, list[Score]], options: dict[str, Any]) -> None:
    """Of changes of metre, the share at a bar line; none where pieces have one metre each."""
    for source, listed in scores.items():
        counts = np.array([changes_at_bar_lines(score) for score in listed], np.float64).reshape(-1, 2)
        if counts.any():
            table.measure("metre_changes_at_bar_line", {source: Totals(counts[:, 0], counts[:, 1])}, **options)


def _measure_bars(table: MetricTable, scores: dict[str, list[Score]], options: dict[str, Any]) -> None:
    """Of bars between two plain bar lines, the share that is as long as the metre says."""
    for source, listed in scores.items():
        tunes = [read_text(score.text, score.id) for score in listed]
        inner = np.array([tune.inner_bars for tune in tunes], np.float64)
        if inner.any():
            full = np.array([tune.full_bars for tune in tunes], np.float64)
            table.measure("full_bar_share", {source: Totals(full, inner)}, **options)


def _measure_copies(
    table: MetricTable,
    store: TokenStore,
    tokenizer: Tokenizer[Any],
    scores: dict[str, list[Score]],
    options: dict[str, Any],
) -> dict[str, NDArray[np.int64]]:
    """Longest runs of intervals that stand in training, voice by voice."""
    size = 2 * WIDEST + 1
    known = [intervals(score) for score in _decoded(tokenizer, list(read_spans(store, store.spans("train"))))]
    copies = {}
    for source, listed in scores.items():
        if source == TRAIN or not listed:
            continue
        copies[source] = longest_copies([intervals(score) for score in listed], known, size)
        found = copies[source].astype(np.float64)
        table.measure("longest_copy_notes_mean", {source: Totals(found, np.ones(len(found)))}, **options)
        table.add("longest_copy_notes_max", float(found.max()), split=options["split"], model=source, n=len(found))
    return copies


def _cut(sequence: Tokens, length: int, tokenizer: Tokenizer[Any]) -> Tokens:
    """The beginning of a piece, as long as a sample may be."""
    whole = getattr(tokenizer, "whole", None)
    return sequence if len(sequence) <= length else sequence.slice(0, whole(sequence, length) if whole else length)


def _parses(tokenizer: Tokenizer[Any], sequence: Tokens, finished: bool) -> bool:
    """Whether a sample decodes. One that was stopped by the length is judged up to its last whole step."""
    try:
        score = tokenizer.decode(sequence if finished else _cut_whole(tokenizer, sequence))
    except InputError:
        return False
    return bool(len(score.notes))


def _as_written(tokenizer: Tokenizer[Any], sequence: Tokens, finished: bool) -> bool:
    """Whether a sample is written as its record would be: what decodes may be another spelling of it."""
    part = sequence if finished else _cut_whole(tokenizer, sequence)
    try:
        again = tokenizer.encode(tokenizer.decode(part))
    except InputError:
        return False
    return np.array_equal(again.arrays["tokens"], part.arrays["tokens"])


def _cut_whole(tokenizer: Tokenizer[Any], sequence: Tokens) -> Tokens:
    whole = getattr(tokenizer, "whole", None)
    return sequence if whole is None else sequence.slice(0, whole(sequence, len(sequence)))


def _decoded(tokenizer: Tokenizer[Any], sequences: list[Tokens]) -> list[Score]:
    """The scores of those that decode to notes."""
    scores = []
    for number, sequence in enumerate(sequences, 1):
        sequence.id = sequence.id or f"sample_{number}"
        try:
            score = tokenizer.decode(sequence)
        except InputError:
            continue
        if len(score.notes):
            scores.append(score)
    return scores
