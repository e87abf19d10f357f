"""How good a model of proteins is: bits per residue beside Markov tables, samples beside real ones, variant effects.

    table = evaluate(engine, store, tokenizer, out="evaluation")

Writes `metrics.json`, `table.md`, `per_protein.csv` (of variants `variants.csv`) and the figures. A store of variants
(labels `mutant` and `score`) is judged by how well likelihoods order them; any other by likelihood and samples. Every
number is per residue, whatever the tokenizer; letters other than the twenty are counted for nobody.
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
from core.errors import ConfigError, InputError
from core.evaluation import MODEL, MetricTable, Totals, bootstrap, interval
from core.evaluation_options import Limits, SamplingOptions, add_drawing, add_training, spans_of
from core.report.gallery import Gallery
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.formats.expected_letters import likeliest_stretch
from domains.proteins.evaluation.drawing import draw, draw_variants
from domains.proteins.evaluation.generation import Generation, measure_generation
from domains.proteins.evaluation.likelihood import (
    REVERSED,
    Likelihoods,
    Scorer,
    fit_markov,
    measure_likelihood,
    typical,
)
from domains.proteins.evaluation.residues import some_spans
from domains.proteins.evaluation.variants import has_variants, measure_variants
from domains.proteins.tokenizer.letters import RESIDUES

__all__ = ["EvaluationConfig", "evaluate"]


@dataclass(frozen=True)
class EvaluationConfig(SamplingOptions):
    """What is measured, and how much of it."""

    LIMITS: ClassVar[Limits] = {
        "max_proteins": 0,
        "markov_order": (0, 4),
        "samples": 0,
        "sample_length": 10,
        "kmer": (1, 4),
        "max_variants": 0,
    }

    max_proteins: int = 0
    """Proteins of the split that are scored, drawn evenly. 0: all."""
    markov_order: int = 3
    """Highest order of the Markov tables: 20^4 counts."""
    samples: int = 64
    """Proteins that are drawn; 0 leaves out everything on samples."""
    sample_length: int = 512
    """Residues of the longest sample; what it is compared with is cut to it."""
    kmer: int = 3
    """Letters of the k-mers whose spectra are compared: 8,000 kinds."""
    max_variants: int = 5000
    """Of a store of variants: how many of the split are scored, drawn evenly. 0: all."""
    score_sign: int = 1
    """-1 where a higher score means a worse protein (a free energy of unfolding, toxicity)."""
    alignment: str = ""
    """An a3m of the wild type's relatives, for the site-independent baseline of variant effects."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.score_sign not in (1, -1):
            raise ConfigError(f"evaluation.score_sign: got {self.score_sign!r}, allowed: 1, -1")


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
        InputError: the split holds no protein, or no residue that can be counted.
    """
    config = from_keys(EvaluationConfig, options, "evaluation")
    spans = spans_of(store, split)
    label = config.label(store, split)
    table, gallery = MetricTable(), Gallery(out)
    if has_variants(store):
        chosen = some_spans(spans, config.max_variants, config.seed)
        say(f"scoring {len(chosen):,} variants and what they are variants of")
        effects = measure_variants(
            engine, store, tokenizer, chosen, table, label=label, sign=config.score_sign, alignment=config.alignment,
            seed=config.seed, resamples=config.resamples,
        )  # fmt: skip
        _finish(table, out, label, training)
        effects.write(Path(out) / "variants.csv")
        if config.figures:
            draw_variants(gallery, table, effects, label=label)
            gallery.write()
        return table
    say("fitting Markov tables")
    baselines = fit_markov(store, tokenizer, config.markov_order)
    chosen = some_spans(spans, config.max_proteins, config.seed)
    say(f"scoring {len(chosen):,} proteins, {int((chosen[:, 2] - chosen[:, 1]).sum()):,} tokens")
    found = measure_likelihood(engine, store, tokenizer, chosen, baselines)
    _add_likelihood(table, found, label, config)
    generation: Generation | None = None
    if config.samples:
        say(f"drawing {config.samples} samples of up to {config.sample_length:,} residues{config.said()}")
        generation = measure_generation(
            engine, store, tokenizer, spans, baselines, table, label=label, n=config.samples,
            length=config.sample_length, k=config.kmer, drawing=config.drawing, seed=config.seed,
            resamples=config.resamples,
        )  # fmt: skip
    add_drawing(table, config, label)
    _finish(table, out, label, training)
    _write_proteins(Path(out) / "per_protein.csv", found)
    if config.figures:
        say("drawing figures")
        expected = likeliest_stretch(engine, store, chosen[typical(chosen, found.known)], RESIDUES)
        draw(gallery, table, found, generation, baselines, label=label, k=config.kmer, expected=expected)
        gallery.write()
    return table


def _finish(table: MetricTable, out: Path | str, label: str, training: Mapping[str, Any] | None) -> None:
    add_training(table, training, label)
    table.write(out, title=f"Proteins: {label}")


def _add_likelihood(table: MetricTable, found: Likelihoods, label: str, config: EvaluationConfig) -> None:
    """The honest part first: it is the headline. Then the leaky part and all; of each the other reading direction."""
    if not found.counted.sum():
        raise InputError(f"{label}: none of the twenty residues in it that could be scored")
    options: dict[str, Any] = {"seed": config.seed, "resamples": config.resamples}
    for part, rows in (("_honest", found.honest), ("_leaky", ~found.honest), ("", None)):
        totals = found.totals(rows)
        if not len(totals[MODEL].sums):
            continue
        table.measure("bits_per_residue", totals, split=label + part, **options)
        directions = found.directions(rows)
        for name, direction in directions.items():
            table.measure(f"bits_per_residue_{name}", {MODEL: direction}, split=label + part, **options)
        if directions:
            _add_asymmetry(table, totals[MODEL], directions[REVERSED], label + part, config)
    table.add("share_of_8mers_in_train_mean", float(found.known.mean()), split=label, n=len(found.known), model="test")
    table.add("share_honest", float(found.honest.mean()), split=label, n=len(found.known), model="test")


def _add_asymmetry(table: MetricTable, forward: Totals, backward: Totals, label: str, config: EvaluationConfig) -> None:
    """By how much a protein costs more from its C terminus, resampled by protein."""
    read = {"n_to_c": forward, REVERSED: backward}
    draws = bootstrap(read, config.seed, "directions", resamples=config.resamples)
    low, high = interval(draws[REVERSED] - draws["n_to_c"]) if len(forward.sums) > 1 else (None, None)
    difference = backward.mean - forward.mean
    name = "direction_asymmetry_bits_per_residue"
    table.add(name, difference, split=label, low=low, high=high, n=len(forward.sums))


def _write_proteins(path: Path, found: Likelihoods) -> None:
    """Id, residues, share of 8-mers in train, bits per residue of every model."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "residues", "share_of_8mers_in_train", *(f"bits_per_residue_{m}" for m in found.sums)])
    bits = np.stack(list(found.sums.values()), axis=1) / np.maximum(found.counted, 1)[:, None]
    for name, n, known, row in zip(found.ids, found.lengths, found.known, bits, strict=True):
        writer.writerow([name, int(n), f"{known:.4f}", *(f"{v:.5f}" for v in row)])
    with resources_named(path):
        write_bytes_durably(path, text.getvalue().encode())
