"""Which figures an evaluation of molecules shows, and what each of them says in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.evaluation import MODEL
from core.report.gallery import Gallery
from domains.molecules import figures
from domains.molecules.evaluation.asked import Achieved, Together
from domains.molecules.evaluation.generation import TRAIN, Generation
from domains.molecules.evaluation.properties import BOTH, Predicted


def draw(
    gallery: Gallery,
    generation: Generation | None,
    achieved: Sequence[Achieved],
    together: Sequence[Together],
    predicted: Sequence[Predicted],
) -> None:
    """Every figure that there is something to show in."""
    if generation is not None:
        _draw_generation(gallery, generation)
    for one in achieved:
        if len(one.values):
            gallery.add(
                _figure(figures.asked_and_achieved(one.name, one.bins, one.values, one.edges)),
                f"asked_{one.name}",
                alt=f"{one.name} of {len(one.values)} samples by the bin that they were asked for",
                caption="A dot a sample, a line their median; the bars are the bins. Samples that are no molecule are "
                "not shown.",
            )
    for pair in together:
        gallery.add(
            _figure(figures.asked_together(pair.names, pair.asked)),
            f"asked_{'_and_'.join(pair.names)}",
            alt=f"{' and '.join(pair.names)} of samples that were asked for both: "
            + ", ".join(f"{len(values)} for {words}" for words, (values, _) in pair.asked.items()),
            caption="A dot a sample; the rectangle of its colour is what was asked for, open at the outer ends.",
        )
    for task in predicted:
        shown = {model: values for model, values in task.predicted.items() if model != BOTH}
        says = ", ".join(f"{figures.words(model)} {error:.3f}" for model, error in task.errors.items())
        gallery.add(
            _figure(figures.predicted_properties(task.name, task.measured, shown, task.errors)),
            f"predicted_{task.name}",
            alt=f"Scatter plot of {len(task.measured)} test molecules, measured against predicted. RMSE: {says}",
            caption="Molecules of the store's own test part; errors are pooled over all scaffold splits.",
        )


def _draw_generation(gallery: Gallery, generation: Generation) -> None:
    if generation.shown:
        likest = float(np.max(generation.similarities))
        gallery.add(
            figures.molecule_grid(generation.shown, generation.neighbours, generation.similarities),
            "samples",
            portrait=True,
            alt=f"{len(generation.shown)} sampled molecules, the nearest training molecule below each; the likest has "
            f"similarity {likest:.2f}",
            caption=f"The first valid samples, none chosen. Neighbours are looked for among {generation.looked_at:,} "
            "training molecules.",
        )
    models = [model for model in generation.statistics if model != TRAIN]
    values = {
        name: {
            "test": generation.reference.properties[name],
            **{model: generation.statistics[model].properties[name] for model in models},
        }
        for name in generation.reference.properties
    }
    gallery.add(
        figures.property_histograms(values),
        "properties",
        alt="Histograms of the properties of test molecules and samples. Means of logP: "
        + ", ".join(f"{figures.words(m)} {v.mean():.2f}" for m, v in values["logp"].items() if len(v)),
        caption="Of valid samples. The filled area is the reference.",
    )
    median = ", ".join(f"{figures.words(m)} {np.median(v):.2f}" for m, v in generation.to_train.items() if len(v))
    gallery.add(
        _figure(figures.similarity_to_train(generation.to_train, generation.looked_at)),
        "similarity_to_train",
        alt=f"Curves: share of molecules by similarity to their nearest training molecule. Medians: {median}",
        caption=f"Up to 1,000 molecules each. {figures.words(MODEL)} right of the test molecules copies.",
    )


def _figure(axes: Axes) -> Figure:
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure
