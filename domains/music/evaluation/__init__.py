"""How good a model of music is: nats per token and note beside n-grams, samples beside real pieces, what was copied.

    table = evaluate(engine, store, tokenizer, out="evaluation")

Writes `metrics.json`, `table.md`, `per_piece.csv`, the figures, and sounds of samples.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from core.config_keys import from_keys
from core.durable import resources_named, write_bytes_durably
from core.evaluation import MetricTable
from core.evaluation_options import Limits, SamplingOptions, add_drawing, add_training, spans_of
from core.report.gallery import Gallery
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.music.evaluation.likelihood import (
    Likelihoods,
    Scorer,
    add_likelihood,
    fit_ngrams,
    measure_likelihood,
    some_spans,
    texts_of,
    xz_bits_per_char,
)
from domains.music.tokenizer import TranslationTokenizer

__all__ = ["EvaluationConfig", "evaluate"]


@dataclass(frozen=True)
class EvaluationConfig(SamplingOptions):
    """What is measured, and how much of it."""

    LIMITS: ClassVar[Limits] = {"max_pieces": 0, "order": (0, 32), "samples": 0, "sample_length": 8}

    max_pieces: int = 0
    """Pieces of the split that are scored, drawn evenly. 0: all."""
    order: int = 10
    """Highest order of the n-grams: the best one on chorales in all keys is 9."""
    samples: int = 16
    """Pieces that are drawn, once under the grammar and once without it; 0 leaves out everything on samples."""
    sample_length: int = 1024
    """Tokens of the longest sample; what it is compared with is cut to it."""
    sound: bool = True
    """Whether samples are rendered as WAV files."""


def evaluate(
    engine: Scorer,
    store: TokenStore,
    tokenizer: Tokenizer[Any],
    *,
    out: Path | str,
    split: str = "test",
    training: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> MetricTable:
    """Measures a model on one split of a store and writes everything to the folder `out`.

    Args:
        engine: core.engine.Engine, or anything that scores and samples like it.
        tokenizer: of the store.
        split: train, validation or test; baselines are always fitted on train and chosen on validation.
        training: facts of the training run that stand beside the numbers; `seconds` and `seed` are used.
        say: called with one line at the start of each part of the work.
        options: see EvaluationConfig.

    Raises:
        ConfigError: an unknown option, or a value that is not allowed.
        InputError: the split holds no piece.
    """
    config = from_keys(EvaluationConfig, options, "evaluation")
    spans, label = spans_of(store, split), config.label(store, split)
    table, gallery = MetricTable(), Gallery(out)
    say(f"fitting n-grams of orders 0 to {config.order}")
    baselines = fit_ngrams(store, tokenizer, config.order)
    chosen = some_spans(spans, config.max_pieces, config.seed)
    say(f"scoring {len(chosen):,} pieces, {int((chosen[:, 2] - chosen[:, 1]).sum()):,} tokens")
    found = measure_likelihood(engine, store, tokenizer, chosen, baselines)
    add_likelihood(table, found, tokenizer, baselines.chosen, label=label, seed=config.seed, resamples=config.resamples)
    if tokenizer.natural_unit == "character":
        say("compressing with xz")
        train, test = (texts_of(store, tokenizer, part) for part in (store.spans("train"), chosen))
        table.add("bits_per_char", xz_bits_per_char(train, test), split=label, model="xz", n=len(chosen))
    generation = None
    if isinstance(tokenizer, TranslationTokenizer):
        from domains.music.evaluation.translation import lines_apart, measure_translation

        whole = [store[row] for row in spans[: config.samples, 0].tolist()] if config.samples else []
        for of, asked in (("", whole), ("_lines", lines_apart(tokenizer, whole))):
            if asked:
                say(f"translating {len(asked):,} {'lines' if of else 'tunes'}")
                measure_translation(engine, tokenizer, asked, table, config.measuring(label), of)
    elif config.samples:
        from domains.music.evaluation.generation import measure_generation

        say(f"drawing {config.samples} samples of up to {config.sample_length:,} tokens{config.said()}, twice")
        generation = measure_generation(
            engine, store, tokenizer, spans, baselines, table, label=label, n=config.samples,
            length=config.sample_length, drawing=config.drawing, seed=config.seed, resamples=config.resamples,
        )  # fmt: skip
    add_drawing(table, config, label)
    add_training(table, training, label)
    table.write(out, title=f"Music: {label}")
    _write_pieces(Path(out) / "per_piece.csv", found)
    if config.figures:
        from domains.music.evaluation.drawing import draw_generation, draw_likelihood, write_sounds

        say("drawing figures")
        metric = "bits_per_char" if tokenizer.natural_unit == "character" else "nats_per_token"
        draw_likelihood(gallery, table, metric, label=label)
        if generation is not None:
            draw_generation(gallery, generation)
            if config.sound:
                write_sounds(gallery, generation)
        gallery.write()
    return table


def _write_pieces(path: Path, found: Likelihoods) -> None:
    """Id, tokens, natural units, nats per token of every model."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "tokens", "units", *(f"nats_per_token_{m}" for m in found.nats)])
    nats = np.stack(list(found.nats.values()), axis=1) / np.maximum(found.tokens, 1)[:, None]
    for name, tokens, units, row in zip(found.ids, found.tokens, found.notes, nats, strict=True):
        writer.writerow([name, int(tokens), int(units), *(f"{v:.5f}" for v in row)])
    with resources_named(path):
        write_bytes_durably(path, text.getvalue().encode())
