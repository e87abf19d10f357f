"""Which figures an evaluation of proteins shows, and what each of them says in words."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from core.evaluation import MODEL, MetricTable
from core.report.gallery import Gallery
from core.report.logo import information
from domains.formats.expected_letters import Expected
from domains.proteins import figures
from domains.proteins.evaluation.generation import TEST, TRAIN, Generation
from domains.proteins.evaluation.likelihood import Baselines, Likelihoods
from domains.proteins.evaluation.variants import RIDGE, Effects, Values
from domains.proteins.tokenizer.letters import RESIDUES

PARTS = {"_honest": "honest part", "_leaky": "leaky part", "": "all"}
MEDIANS = 14
"""Points of a running median: each of a fourteenth of the proteins."""


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
    """Every figure of a store of proteins that there are numbers for."""
    parts = {
        words: [row for row in table.rows if row.name == "bits_per_residue" and row.split == label + part]
        for part, words in PARTS.items()
    }
    parts = {words: rows for words, rows in parts.items() if rows}
    first = next(iter(parts))
    gallery.add(
        _figure(figures.bits_per_residue(parts)),
        "bits_per_residue",
        alt=f"Dots with intervals: bits per residue on the {first}: "
        + ", ".join(f"{figures.words(r.model)} {r.value:.4g}" for r in parts[first] if r.value is not None),
        caption="Honest are proteins of which training has less than 2 % of the 8-mers. Intervals are over proteins.",
        listed=False,
    )
    _draw_lengths(gallery, found, baselines)
    if found.track_id:
        shown = {m: found.track[m] for m in (MODEL, baselines.chosen.name)}
        text = "".join(RESIDUES[c] if c < len(RESIDUES) else "X" for c in found.track_letters.tolist())
        gallery.add(
            _figure(figures.likelihood_track(shown, text, name=found.track_id)),
            "likelihood_track",
            portrait=True,
            alt=f"Bits of each residue of {found.track_id}, {len(text)} residues: mean {np.nanmean(shown[MODEL]):.3g}",
            caption="Bars are single residues, lines means of eleven. The dotted line is a uniform guess.",
        )
    if expected:
        _draw_expected(gallery, expected)
    if generation:
        _draw_generation(gallery, generation, baselines, k)


def _draw_expected(gallery: Gallery, expected: Expected) -> None:
    guessed = np.array(list(RESIDUES))[expected.shares.argmax(axis=1)]
    right = int((guessed == np.array(list(expected.text))).sum())
    place = f"{expected.record}, from residue {expected.first:,}"
    most = float(information(expected.shares).sum(axis=1).max())
    gallery.add(
        _figure(figures.expected_residues(expected.shares, expected.text, RESIDUES, name=place)),
        "expected_residues",
        alt=f"Sequence logo of {len(expected.text)} residues: the likeliest is the true one at {right} of them. "
        f"The stretch reads {expected.text}",
        caption="Where in this protein the model is surest of what comes. The higher a stack, the surer the model; "
        f"below stands the residue that came. The highest has {most:.2g} bits; {figures.UNIFORM:.2f} would be certain.",
    )


def draw_variants(gallery: Gallery, table: MetricTable, effects: Effects, *, label: str) -> None:
    """Every figure of a store of variants."""
    row = table.find("spearman", label)
    rho = row.value if row and row.value is not None else float("nan")
    mine = effects.predicted[MODEL]
    gallery.add(
        _figure(figures.variant_scatter(effects.measured, mine, effects.changes, rho=rho)),
        "variant_effects",
        alt=f"Scatter plot of {len(mine)} variants: measured score against log-likelihood ratio, Spearman {rho:.3f}",
        caption="Zero-shot: the model has seen no score. A ratio of 0 is as likely as the wild type.",
    )
    if len(np.unique(effects.wild_types)) > 1:
        return
    names = {model: f"{model} (fitted)" if model == RIDGE else model for model in effects.predicted}
    curves = {names[model]: roc_curve(effects.measured, values) for model, values in effects.predicted.items()}
    says = ", ".join(f"{figures.words(model)} {area:.3f}" for model, (_, _, area) in curves.items())
    gallery.add(
        _figure(figures.roc(curves)),
        "variant_roc",
        alt=f"ROC curves for a measured score above the median. Areas: {says}",
        caption="The ridge is fitted on the training part's scores; all else has seen none.",
    )


def roc_curve(measured: Values, predicted: Values) -> tuple[Values, Values, float]:
    """False and true positive rates from the highest prediction down, and the area; ties are one step."""
    positive = (measured > np.median(measured))[np.argsort(-predicted, kind="stable")]
    steps = np.append(np.flatnonzero(np.diff(np.sort(-predicted))), len(positive) - 1)
    true = np.append(0.0, np.cumsum(positive)[steps] / max(1, positive.sum()))
    false = np.append(0.0, np.cumsum(~positive)[steps] / max(1, (~positive).sum()))
    return false, true, float(np.trapezoid(true, false))


def _draw_lengths(gallery: Gallery, found: Likelihoods, baselines: Baselines) -> None:
    rows = found.counted > 0
    lengths = found.lengths[rows]
    bits = {m: found.sums[m][rows] / found.counted[rows] for m in (MODEL, baselines.chosen.name)}
    if len(lengths) < 2:
        return
    medians = {model: running_medians(lengths, values) for model, values in bits.items()}
    gallery.add(
        _figure(figures.bits_by_length(lengths, bits[MODEL], ~found.honest[rows], medians)),
        "bits_by_length",
        alt=f"Scatter plot of {len(lengths)} proteins: bits per residue against length. Medians: "
        + ", ".join(f"{figures.words(m)} {np.median(v):.4g}" for m, v in bits.items()),
        caption="A family that training knows lies far below the others. The dotted line is a uniform guess.",
    )


def running_medians(lengths: NDArray[np.int64], values: Values) -> tuple[Values, Values]:
    """Median length and value of consecutive groups of equal size."""
    groups = np.array_split(np.argsort(lengths, kind="stable"), min(MEDIANS, max(1, len(lengths) // 8)))
    return np.array([np.median(lengths[g]) for g in groups]), np.array([np.median(values[g]) for g in groups])


def _draw_generation(gallery: Gallery, generation: Generation, baselines: Baselines, k: int) -> None:
    names = (TEST, MODEL, baselines.chosen.name)
    gallery.add(
        _figure(figures.composition({name: generation.composition[name] for name in names}, RESIDUES)),
        "composition",
        alt="Bar chart of the share of each residue in test proteins, samples and samples of the Markov table",
        caption="Residues of like chemistry stand side by side.",
    )
    frequencies = {name: counts / max(1.0, counts.sum()) for name, counts in generation.spectra.items()}
    others = {name: frequencies[name] for name in (baselines.chosen.name, TRAIN, MODEL)}
    says = ", ".join(f"{figures.words(model)} {value[0]:.4g}" for model, value in generation.divergences.items())
    gallery.add(
        figures.kmer_distance(frequencies[TEST], others, generation.divergences, k=k),
        "kmer_distance",
        alt=f"Divergence of {k}-mers from the test part in bits: {says}. Beside it frequencies of pairs of residues",
        caption="Training proteins of the same number and length show what a perfect sampler would reach.",
    )
    longest = ", ".join(f"{figures.words(model)} {values.max()}" for model, values in generation.copies.items())
    gallery.add(
        figures.novelty(generation.copies, generation.identities),
        "novelty",
        alt=f"Dots for each sequence: longest copy from training, nearest training protein. Longest: {longest}",
        caption="Test proteins show how alike real proteins are, samples of the Markov table what is chance.",
    )


def _figure(axes: Axes) -> Figure:
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure
