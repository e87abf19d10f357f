"""Which figures an evaluation of DNA shows, and what each of them says in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from core.evaluation import MODEL, Metric, MetricTable
from core.report.gallery import Gallery
from domains.dna import figures
from domains.dna.evaluation.generation import TEST, TRAIN, Generation
from domains.dna.evaluation.likelihood import PLACES, Baselines, Curve, Likelihoods
from domains.dna.tokenizer.letters import BASES
from domains.formats.expected_letters import Expected

POINTS = 160
"""Of a curve: neighbouring blocks are averaged to about so many."""
Values = NDArray[np.float64]


def draw(
    gallery: Gallery,
    table: MetricTable,
    found: Likelihoods,
    generation: Generation | None,
    baselines: Baselines,
    *,
    label: str,
    k: int,
    expected: Expected | None = None,
) -> None:
    """Every figure that there are numbers for."""
    rows = [row for row in table.rows if row.name == "bits_per_base" and row.value is not None]
    best = min(rows, key=lambda row: row.value or 0.0)
    gallery.add(
        _figure(figures.bits_per_base(rows)),
        "bits_per_base",
        alt="Bar chart of bits per base with intervals: "
        + ", ".join(f"{figures.words(row.model)} {row.value:.4g}" for row in rows),
        caption=f"On {label}, with 95 % intervals over blocks. The best is {figures.words(best.model)}.",
        listed=False,
    )
    _draw_curve(gallery, found, baselines)
    if expected:
        _draw_expected(gallery, expected)
    _draw_places(gallery, table, baselines, label)
    forward, reverse = (
        np.concatenate([part.sums / part.weights for part in found.strands[side]] or [np.zeros(0)])
        for side in ("forward", "reverse")
    )
    if len(forward):
        gallery.add(
            _figure(figures.strand_asymmetry(forward, reverse)),
            "strand_asymmetry",
            alt=f"Scatter plot of {len(forward)} blocks: bits per base forward (mean {forward.mean():.4g}) "
            f"against the reverse complement (mean {reverse.mean():.4g})",
            caption="Each dot is a block, read on either strand. A model that has understood both lies on the line.",
        )
    if generation:
        _draw_generation(gallery, generation, k)


def _draw_curve(gallery: Gallery, found: Likelihoods, baselines: Baselines) -> None:
    models = (MODEL, baselines.chosen.name)
    if sum(len(curve.bases) for curve in found.curves) < 2:
        return
    kilobases, curves = _thinned(found.curves, models)
    where = "position in the span (kb), mean over spans" if found.curve_is_mean else "position in the test part (kb)"
    chosen = ", which was chosen on the validation part" if baselines.validated else ""
    says = "; ".join(f"{figures.words(m)} between {np.nanmin(v):.3g} and {np.nanmax(v):.3g}" for m, v in curves.items())
    gallery.add(
        _figure(figures.per_position(kilobases, curves, xlabel=where)),
        "per_position",
        portrait=True,
        alt=f"Line chart of bits per base by {where}: {says}",
        caption=f"The model and {figures.words(models[1])}{chosen}. 2 is chance.",
    )


def _draw_expected(gallery: Gallery, expected: Expected) -> None:
    guessed = np.array(list(BASES))[expected.shares.argmax(axis=1)]
    right = int((guessed == np.array(list(expected.text))).sum())
    place = f"{expected.record}, from base {expected.first:,}"
    gallery.add(
        _figure(figures.expected_bases(expected.shares, expected.text, name=place)),
        "expected_bases",
        alt=f"Sequence logo of {len(expected.text)} bases: the likeliest base is the true one at {right} of them. The "
        f"stretch reads {expected.text}",
        caption="The stretch the model finds most likely. The higher a stack, the surer the model; below stands the "
        "base that came.",
    )


def _draw_places(gallery: Gallery, table: MetricTable, baselines: Baselines, label: str) -> None:
    values: dict[str, dict[str, Metric]] = {}
    for model in (MODEL, baselines.chosen.name):
        for place in PLACES:
            if row := table.find(f"bits_per_base_{place}", label, model):
                values.setdefault(model, {})[place.replace("_", " ")] = row
    if not values:
        return
    mine = ", ".join(f"{place} {row.value:.4g}" for place, row in values[MODEL].items() if row.value is not None)
    gallery.add(
        _figure(figures.codon_positions(values)),
        "codon_positions",
        alt=f"Bar chart of bits per base by codon position: {mine}",
        caption="A model that reads genes finds the third position, where most changes are silent, hardest.",
    )


def _draw_generation(gallery: Gallery, generation: Generation, k: int) -> None:
    shares = {model: counts / max(1.0, counts.sum()) for model, counts in generation.spectra.items()}
    others = {model: shares[model] for model in (TRAIN, MODEL)}
    says = ", ".join(f"{figures.words(model)} {value:.4g}" for model, value in generation.divergences.items())
    gallery.add(
        _figure(figures.kmer_spectrum(shares[TEST], others, k=k, divergences=generation.divergences)),
        "kmer_spectrum",
        alt=f"Scatter plot of {k}-mer frequencies against the test part. Divergence in bits: {says}",
        caption="Training pieces of the same number and length show what a perfect sampler would reach.",
    )
    shown = {model: values for model, values in generation.gc.items() if model != TRAIN and len(values)}
    if shown:
        means = ", ".join(f"{figures.words(model)} {values.mean():.3f}" for model, values in shown.items())
        gallery.add(
            _figure(figures.gc_histogram(shown)),
            "gc_content",
            alt=f"Histogram of the GC fraction of single sequences. Means: {means}",
            caption="Of sequences of the same length.",
        )
    longest = ", ".join(f"{figures.words(model)} {values.max()}" for model, values in generation.copies.items())
    gallery.add(
        _figure(figures.longest_copies(generation.copies)),
        "longest_copies",
        alt=f"Dots for each sequence's longest exact copy from the training part. Longest in bases: {longest}",
        caption="Either strand. Test pieces show how much real DNA repeats itself; Markov samples show chance.",
    )


def _thinned(curves: Sequence[Curve], models: Sequence[str]) -> tuple[Values, dict[str, Values]]:
    """Kilobases and bits per base of all curves one after the other, in at most POINTS points."""
    offsets = np.cumsum([0] + [curve.length for curve in curves])
    places = np.concatenate([curve.bases + offset for curve, offset in zip(curves, offsets, strict=False)]) / 1000
    step = max(1, -(-len(places) // POINTS))
    joined = {model: np.concatenate([curve.bits[model] for curve in curves]) for model in models}
    return _means(places, step), {model: _means(values, step) for model, values in joined.items()}


def _means(values: Values, step: int) -> Values:
    """Of `step` neighbours each; NaN where all of them are."""
    if not len(values):
        return values
    starts = np.arange(0, len(values), step)
    counted = np.isfinite(values)
    sums = np.add.reduceat(np.where(counted, values, 0), starts)
    n = np.add.reduceat(counted.astype(np.float64), starts)
    means: Values = np.divide(sums, n, out=np.full(len(starts), np.nan), where=n > 0)
    return means


def _figure(ax: Axes) -> Figure:
    drawing = ax.get_figure()
    assert isinstance(drawing, Figure)
    return drawing
