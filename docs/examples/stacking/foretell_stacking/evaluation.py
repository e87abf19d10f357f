"""Bits a layer beside Markov tables and the known entropy rate, whole crystals as batches, one figure."""

from __future__ import annotations

import math

import numpy as np

from core.baselines import MarkovRule, MarkovTable
from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.evaluation import MODEL, MetricTable, Totals
from core.report.gallery import MODEL_COLOUR, Gallery, style
from core.vocabulary import SPECIALS
from foretell_stacking.source import entropy_rate

ORDER = 4
"""Highest order of the Markov tables."""


def open_data(stores, tokenizer=None, batching=None, **options):
    return SequenceDataModule(stores, tokenizer, batching or BatchingConfig(kind="buckets"), **options)


def evaluate(engine, store, tokenizer, *, out, split="test", training=None, say=print, seed: int = 0) -> MetricTable:
    def pieces(part):
        return [store.read(*(store.offsets[r] + [a, b])) for r, a, b in store.spans(part)]

    def letters(sequence):
        return sequence.arrays["tokens"] - len(SPECIALS)

    test, table, label = pieces(split), MetricTable(), f"{store.name}/{split}"
    markov = MarkovTable(ORDER, 2).fit(map(letters, pieces("train")))
    weights = np.array([len(piece) for piece in test], float)
    nats = {MODEL: [score.nll for score in engine.score(test, mode="windows")]}
    for rule in map(MarkovRule, range(ORDER + 1)):
        nats[rule.name] = [markov.nll(letters(piece), rule).sum() for piece in test]
    parts = {name: Totals(np.array(found) / math.log(2), weights) for name, found in nats.items()}
    table.measure("bits_per_layer", parts, split=label, seed=seed)
    table.add("entropy_rate_bits_per_layer", entropy_rate(), split=label, model="faulted_14h")
    table.write(out, title=f"Stacking: {label}")
    draw(parts, out)
    return table


@style()
def draw(parts, out) -> None:
    from matplotlib.figure import Figure

    axes = (drawing := Figure(figsize=(6, 3.2), layout="constrained")).subplots()
    axes.barh(list(parts), [totals.mean for totals in parts.values()], color=MODEL_COLOUR)
    axes.axvline(entropy_rate(), color="black", linestyle="--")
    axes.set_xlabel("bits per layer (dashed: the entropy rate of the crystals)")
    gallery = Gallery(out)
    gallery.add(drawing, "bits_per_layer", alt="Bits per layer of each model as bars", portrait=True)
    gallery.write()
