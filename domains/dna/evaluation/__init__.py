"""How good a model of DNA is: bits per base beside Markov tables, along the sequence, by strand and codon; samples.

    table = evaluate(engine, store, tokenizer, out="evaluation")

Writes `metrics.json`, `table.md`, `per_position.csv` and the figures. Every number is per base, whatever the tokenizer;
letters other than A, C, G and T are counted for nobody.
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
from core.errors import InputError
from core.evaluation import MODEL, MetricTable, bootstrap, interval
from core.evaluation_options import Limits, SamplingOptions, add_drawing, add_training, spans_of
from core.report.gallery import Gallery
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.dna.dogma.evaluation import evaluate_dogma
from domains.dna.dogma.tokenizer import DogmaTokenizer
from domains.dna.evaluation.drawing import draw
from domains.dna.evaluation.generation import Generation, measure_generation
from domains.dna.evaluation.letters import first_tokens
from domains.dna.evaluation.likelihood import Baselines, Likelihoods, Scorer, fit_markov, joined, measure_likelihood
from domains.dna.tokenizer.letters import BASES
from domains.dna.traces.evaluation import evaluate_traces
from domains.dna.traces.tokenizer import TraceTokenizer
from domains.formats.expected_letters import likeliest_stretch

__all__ = ["EvaluationConfig", "evaluate"]


@dataclass(frozen=True)
class EvaluationConfig(SamplingOptions):
    """What is measured, and how much of it."""

    LIMITS: ClassVar[Limits] = {
        "max_tokens": 0,
        "block": 1000,
        "markov_order": (0, 12),
        "strand_bases": 0,
        "samples": 0,
        "sample_length": 1,
        "kmer": (1, 8),
    }

    max_tokens: int = 0
    """Tokens of the split that are scored, from its start. 0: all."""
    block: int = 1000
    """Bases that are resampled together; neighbours are alike, so 1 kb at least."""
    markov_order: int = 11
    """Highest order of the Markov tables: 4^12 counts."""
    strand_bases: int = 100_000
    """Bases that are also scored on the other strand; 0 leaves it out."""
    samples: int = 32
    """Sequences that are drawn; 0 leaves out everything on samples."""
    sample_length: int = 1000
    """Bases of each."""
    kmer: int = 6
    """Letters of the k-mers whose spectra are compared; 4^6 kinds in 32 kb are 8 of each."""


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
        split: train, validation or test; the baselines are always fitted on train and chosen on validation.
        training: facts of the training run that stand beside the numbers; `seconds` and `seed` are used.
        say: called with one line at the start of each part of the work.
        options: see EvaluationConfig; of a store of clusters of reads, TraceEvaluationConfig; of genes with their
            proteins, DogmaEvaluationConfig.

    Raises:
        ConfigError: an unknown option, or a value that is not allowed.
        InputError: the split holds no bases, or the training split none for the baselines.
    """
    given: dict[str, Any] = {"out": out, "split": split, "training": training, "say": say, **options}
    whole: Any = engine  # these two ask more of it
    if isinstance(tokenizer, TraceTokenizer):
        return evaluate_traces(whole, store, tokenizer, **given)
    if isinstance(tokenizer, DogmaTokenizer):
        return evaluate_dogma(whole, store, tokenizer, **given)
    config = from_keys(EvaluationConfig, options, "evaluation")
    spans = first_tokens(spans_of(store, split), config.max_tokens)
    label = config.label(store, split)
    table = MetricTable()

    say("fitting Markov tables")
    baselines = fit_markov(store, tokenizer, config.markov_order)
    say(f"scoring {int((spans[:, 2] - spans[:, 1]).sum()):,} tokens")
    found = measure_likelihood(
        engine, store, tokenizer, spans, baselines, block=config.block, strand_bases=config.strand_bases
    )
    _add_likelihood(table, found, baselines, label, config)
    generation: Generation | None = None
    if config.samples:
        say(f"drawing {config.samples} samples of {config.sample_length:,} bases{config.said()}")
        generation = measure_generation(
            engine,
            store,
            tokenizer,
            spans,
            baselines,
            table,
            label=label,
            n=config.samples,
            length=config.sample_length,
            k=config.kmer,
            bases_per_token=found.bases_per_token,
            drawing=config.drawing,
            seed=config.seed,
            resamples=config.resamples,
        )
    add_drawing(table, config, label)
    add_training(table, training, label)
    table.write(out, title=f"DNA: {label}")
    _write_curves(Path(out) / "per_position.csv", found, baselines)
    if config.figures:
        say("drawing figures")
        gallery = Gallery(out)
        expected = likeliest_stretch(engine, store, spans[0], BASES)
        draw(gallery, table, found, generation, baselines, label=label, k=config.kmer, expected=expected)
        gallery.write()
    return table


def _add_likelihood(
    table: MetricTable, found: Likelihoods, baselines: Baselines, label: str, config: EvaluationConfig
) -> None:
    totals = joined(found.totals)
    if not len(totals[MODEL].sums):
        raise InputError(f"{label}: no A, C, G or T in it that could be scored")
    options = config.measuring(label)
    table.measure("bits_per_base", totals, **options)
    if baselines.validated:
        chosen, validation = baselines.chosen, f"{label.rpartition('/')[0]}/validation"
        table.add("markov_order_validated", chosen.order, split=validation, model=chosen.name)
        table.add("markov_strands_validated", baselines.strands, split=validation, model=chosen.name)
    for place, by_model in found.by_place.items():
        parts = joined(by_model)
        if len(parts[MODEL].sums):
            table.measure(f"bits_per_base_{place}", parts, **options)
    strands = joined(found.strands)
    if len(strands["forward"].sums):
        draws = bootstrap(strands, config.seed, "strands", resamples=config.resamples)
        n = len(strands["forward"].sums)
        low, high = interval(draws["reverse"] - draws["forward"]) if n > 1 else (None, None)
        difference = strands["reverse"].mean - strands["forward"].mean
        table.add("strand_asymmetry_bits_per_base", difference, split=label, low=low, high=high, n=n)


def _write_curves(path: Path, found: Likelihoods, baselines: Baselines) -> None:
    """Bits per base of every block: record, the span's first token, the block's first base from there, both models."""
    models = (MODEL, baselines.chosen.name)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["record", "span_start_token", "block_start_base", *(f"bits_per_base_{m}" for m in models)])
    for curve in found.curves:
        values = np.stack([curve.bits[m] for m in models], axis=1)
        for base, row in zip(curve.bases.tolist(), values.tolist(), strict=True):
            writer.writerow([curve.record, curve.span_start, base, *(f"{v:.5f}" for v in row)])
    with resources_named(path):
        write_bytes_durably(path, text.getvalue().encode())
