"""How good a model of molecules is: nats per molecule, MOSES' metrics on samples, properties predicted from embeddings.

    table = evaluate(engine, store, tokenizer, out="evaluation")

Writes `metrics.json`, `table.md`, `per_molecule.csv` and the figures. Nothing is masked: what a model
draws that is no molecule counts against it.
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
from core.evaluation import MODEL, MetricTable
from core.evaluation_options import Limits, SamplingOptions, add_drawing, add_training, spans_of
from core.report.gallery import Gallery
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.molecules.evaluation.asked import Achieved, Asking, Together, measure_conditions, measure_together
from domains.molecules.evaluation.drawing import draw
from domains.molecules.evaluation.generation import Generation, fcd_wanted, measure_generation
from domains.molecules.evaluation.likelihood import Likelihoods, Scorer, fit_markov, measure_likelihood
from domains.molecules.evaluation.properties import Predicted, measure_properties
from domains.molecules.evaluation.stored import some_spans

__all__ = ["EvaluationConfig", "evaluate"]


@dataclass(frozen=True)
class EvaluationConfig(SamplingOptions):
    """What is measured, and how much of it."""

    LIMITS: ClassVar[Limits] = {
        "max_molecules": (0, None),
        "samples": (0, None),
        "sample_length": (4, None),
        "reference": (0, None),
        "neighbours": (0, None),
        "property_seeds": (1, None),
        "condition_samples": (0, None),
    }

    max_molecules: int = 20_000
    """Molecules of the split that are scored, drawn evenly. 0: all."""
    samples: int = 1000
    """Molecules that are drawn; 0 leaves out everything on samples. MOSES asks for 30,000."""
    sample_length: int = 128
    """Tokens of the longest sample."""
    reference: int = 30_000
    """Of the reference, how many molecules the costly statistics (ChemNet, properties) are measured on, drawn evenly;
    0: all. Fingerprints, fragments and scaffolds are always of all."""
    whole_reference: bool = True
    """Of stores made from MOSES: compare with all of its test set, whatever part of it the store has."""
    fcd: bool | None = None
    """Whether the Frechet ChemNet distance is measured; None: where fcd_torch is installed."""
    published: bool = True
    """Whether MOSES' filters and synthetic accessibility are measured: their tables are fetched (package molsets)."""
    neighbours: int = 20_000
    """Training molecules among which the nearest of the samples shown are looked for, drawn evenly. 0: all."""
    properties: bool = True
    """Of stores with numeric labels: predict them from embeddings, beside fingerprints."""
    property_seeds: int = 3
    """Scaffold splits over which property errors are averaged; the first is the store's own."""
    condition_samples: int = 50
    """Of a tokenizer with conditions: molecules that are asked for in each bin of each property, and in each
    of four combinations of every two."""


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
        engine: core.engine.Engine, or anything that scores, samples and embeds like it.
        tokenizer: of the store.
        split: train, validation or test; baselines are always fitted on train and chosen on validation.
        training: facts of the training run that stand beside the numbers; `seconds` and `seed` are used.
        say: called with one line at the start of each part of the work.
        options: see EvaluationConfig.

    Raises:
        ConfigError: an unknown option, or a value that is not allowed.
        InputError: the split holds no molecule.
    """
    config = from_keys(EvaluationConfig, options, "evaluation")
    spans, label = spans_of(store, split), config.label(store, split)
    table = MetricTable()
    say("fitting a Markov table")
    markov = fit_markov(store, tokenizer, config.sample_length)
    chosen = some_spans(spans, config.max_molecules, config.seed)
    say(f"scoring {len(chosen):,} molecules")
    found = measure_likelihood(engine, store, tokenizer, chosen, markov)
    table.measure("bits_per_atom", found.per_atom(), **config.measuring(label))
    table.measure("nats_per_molecule", found.per_molecule(), **config.measuring(label))
    generation: Generation | None = None
    if config.samples:
        generation = measure_generation(
            engine, store, tokenizer, markov, table, label=label, split=split, n=config.samples,
            length=config.sample_length, reference=config.reference, whole=config.whole_reference,
            fcd=fcd_wanted(config.fcd), published=config.published,
            neighbours=config.neighbours, drawing=config.drawing, seed=config.seed, resamples=config.resamples, say=say,
        )  # fmt: skip
    achieved: list[Achieved] = []
    together: list[Together] = []
    if generation is not None and config.condition_samples:
        asking = Asking(
            engine=engine, tokenizer=tokenizer, unasked=generation.valid[MODEL], label=label,
            n=config.condition_samples, length=config.sample_length, drawing=config.drawing, seed=config.seed,
            resamples=config.resamples, say=say,
        )  # fmt: skip
        achieved, together = measure_conditions(asking, table), measure_together(asking, table)
    predicted: list[Predicted] = []
    if config.properties:
        predicted = measure_properties(
            engine,
            store,
            tokenizer,
            table,
            label=label,
            seeds=config.property_seeds,
            resamples=config.resamples,
            say=say,
        )
    add_drawing(table, config, label)
    add_training(table, training, label)
    table.write(out, title=f"Molecules: {label}")
    _write_molecules(Path(out) / "per_molecule.csv", found)
    if config.figures:
        gallery = Gallery(out)
        draw(gallery, generation, achieved, together, predicted)
        gallery.write()
    return table


def _write_molecules(path: Path, found: Likelihoods) -> None:
    """Id, atoms, nats of every model."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "atoms", *(f"nats_{model}" for model in found.nats)])
    columns = np.stack(list(found.nats.values()), axis=1)
    for name, atoms, row in zip(found.ids, found.atoms, columns, strict=True):
        writer.writerow([name, int(atoms), *(f"{v:.5f}" for v in row)])
    with resources_named(path):
        write_bytes_durably(path, text.getvalue().encode())
