"""Figures of molecules: each takes arrays or SMILES and an `ax` to draw on, and makes its own where none is given.

The look is core.report.gallery's; nothing here measures or reads files.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from core.evaluation import MODEL
from core.report.gallery import (
    BASELINE_COLOUR,
    DATA_COLOUR,
    GREY,
    MODEL_COLOUR,
    OTHER_COLOUR,
    figure_of,
    new_axes,
    panels,
    style,
)

Values = NDArray[np.float64]
COLOURS = {MODEL: MODEL_COLOUR, "test": DATA_COLOUR, "train": OTHER_COLOUR, "mean": GREY}
"""Every other name is a baseline's."""
TITLES = {
    "logp": "logP",
    "sa": "synthetic accessibility (1 is easy)",
    "qed": "drug-likeness (QED)",
    "weight": "weight, Da",
    "rings": "rings",
}
_PIXELS = (420, 300)
_COMBINATIONS = (MODEL_COLOUR, BASELINE_COLOUR, OTHER_COLOUR, "#CC79A7")


def colour(model: str) -> str:
    return COLOURS.get(model, BASELINE_COLOUR)


def words(model: str) -> str:
    return model.replace("_", " ")


@style()
def molecule_grid(
    samples: Sequence[str],
    neighbours: Sequence[str],
    similarities: Sequence[float] | Values,
    *,
    columns: int = 4,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Drawn samples, the nearest training molecule below each, with their Tanimoto similarity.

    Args:
        axes: two rows of `columns` for each row of samples, from left to right.
    """
    columns = min(columns, max(1, len(samples)))
    rows = max(1, -(-len(samples) // columns))
    listed = panels(axes, 2 * rows * columns, rows=2 * rows, columns=columns, size=(2.4 * columns, 3.5 * rows))
    for ax in listed:
        ax.set_axis_off()
    for i, (sample, neighbour, similarity) in enumerate(zip(samples, neighbours, similarities, strict=True)):
        row, column = divmod(i, columns)
        above, below = listed[2 * row * columns + column], listed[(2 * row + 1) * columns + column]
        above.imshow(drawn(sample))
        above.set_title("sample", fontsize=8.5, color=MODEL_COLOUR, loc="center", pad=2)
        below.imshow(drawn(neighbour))
        same = "in training" if sample == neighbour else f"nearest: {similarity:.2f}"
        below.set_title(same, fontsize=8.5, color=GREY, fontweight="normal", loc="center", pad=2)
    return figure_of(listed[0])


def drawn(smiles: str) -> NDArray[Any]:
    """(height, width, 4) picture of a molecule."""
    from matplotlib.image import imread
    from rdkit.Chem import MolFromSmiles
    from rdkit.Chem.Draw import rdMolDraw2D

    canvas = rdMolDraw2D.MolDraw2DCairo(*_PIXELS)
    options: Any = canvas.drawOptions()
    options.padding = 0.08
    rdMolDraw2D.PrepareAndDrawMolecule(canvas, MolFromSmiles(smiles))
    canvas.FinishDrawing()
    return np.asarray(imread(io.BytesIO(canvas.GetDrawingText()), format="png"))


@style()
def property_histograms(
    values: Mapping[str, Mapping[str, Values]], *, bins: int = 40, axes: Sequence[Axes] | None = None
) -> Figure:
    """One panel a property: the distribution in test molecules (filled) and in each model's samples (lines).

    Args:
        values: by property, then by model; "test" among them.
        axes: one a property.
    """
    rows = -(-len(values) // 2)
    listed = panels(axes, len(values), rows=rows, columns=2, size=(8.4, 2.7 * rows))
    for ax, (name, by_model) in zip(listed, values.items(), strict=True):
        low, high = np.quantile(by_model["test"], (0.002, 0.998))
        span = max(high - low, 1e-9)
        edges = np.linspace(low - 0.15 * span, high + 0.15 * span, bins + 1).tolist()
        for model, measured in by_model.items():
            if np.histogram(measured, edges)[0].any():  # else there is nothing to make a density of
                filled = model == "test"
                ax.hist(
                    measured, edges, density=True, histtype="stepfilled" if filled else "step", color=colour(model),
                    alpha=0.35 if filled else 1.0, linewidth=0 if filled else 1.6, label=words(model),
                )  # fmt: skip
        ax.set(xlabel=TITLES.get(name, name), yticks=[])
        ax.grid(False)
    listed[0].legend(fontsize=8)
    figure = figure_of(listed[0])
    if axes is None:
        title = "Properties of samples and of test molecules"
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


@style()
def similarity_to_train(similarities: Mapping[str, Values], looked_at: int, *, ax: Axes | None = None) -> Axes:
    """The share of molecules whose nearest training molecule is at least so similar."""
    ax = ax or new_axes()
    grid = np.linspace(0, 1, 101)
    for model, values in similarities.items():
        if len(values):
            share = [float((values >= x - 1e-9).mean()) for x in grid]
            ax.plot(grid, share, color=colour(model), label=words(model))
    ax.set(
        title="How near is training?", xlim=(0, 1), ylim=(0, 1.02),
        xlabel=f"Tanimoto similarity to the nearest of {looked_at:,} training molecules",
        ylabel="share at least so near",
    )  # fmt: skip
    ax.legend(fontsize=8.5)
    return ax


@style()
def asked_and_achieved(name: str, bins: NDArray[np.int64], values: Values, edges: Sequence[float], *,
                       ax: Axes | None = None) -> Axes:  # fmt: skip
    """What samples have, bin by bin of what they were asked for; the bars show the bins themselves."""
    ax = ax or new_axes()
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    low, high = min([low, *edges[:1]]), max([high, *edges[-1:]])
    borders = [low, *edges, high]
    for number in range(len(edges) + 1):
        ax.bar(number, borders[number + 1] - borders[number], bottom=borders[number], width=0.86, color=DATA_COLOUR,
               alpha=0.22, linewidth=0)  # fmt: skip
        mine = values[bins == number]
        spread = (np.arange(len(mine)) * 0.618 % 1 - 0.5) * 0.5
        ax.plot(number + spread, mine, ".", color=MODEL_COLOUR, markersize=4, alpha=0.6)
        if len(mine):
            ax.plot([number - 0.36, number + 0.36], [np.median(mine)] * 2, color=MODEL_COLOUR)
    ax.set(title=f"Asked and achieved: {TITLES.get(name, name)}", xlabel="bin asked for", ylabel=TITLES.get(name, name))
    ax.set_xticks(range(len(edges) + 1))
    ax.grid(False, axis="x")
    return ax


@style()
def asked_together(
    names: tuple[str, str], asked: Mapping[str, tuple[Values, tuple[float, float, float, float]]], *,
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Two properties of samples that were asked for both; a colour a combination, its rectangle what was asked.

    Args:
        names: of the properties, across and up.
        asked: combination to values (n, 2) and its rectangle (left, right, bottom, top), infinite where it is open.
    """
    ax = ax or new_axes()
    every = np.concatenate([values for values, _ in asked.values()] or [np.zeros((0, 2))])
    known = [edge for _, box in asked.values() for edge in box]
    for axis, set_limits in ((0, ax.set_xlim), (1, ax.set_ylim)):
        ends = [
            *every[:, axis].tolist(),
            *(e for e in known[2 * axis :: 4] + known[2 * axis + 1 :: 4] if np.isfinite(e)),
        ]
        if ends and max(ends) > min(ends):
            room = 0.05 * (max(ends) - min(ends))
            set_limits(min(ends) - room, max(ends) + room)
    for (name, (values, box)), shade in zip(asked.items(), _COMBINATIONS, strict=False):
        (left, right), (bottom, top) = (np.clip(box[:2], *ax.get_xlim()), np.clip(box[2:], *ax.get_ylim()))
        ax.fill_between([left, right], bottom, top, color=shade, alpha=0.13, linewidth=0)
        ax.plot(values[:, 0], values[:, 1], ".", color=shade, markersize=5, alpha=0.8, label=name)
    titles = [TITLES.get(name, name) for name in names]
    ax.set(title="Asked for both", xlabel=titles[0], ylabel=titles[1])
    ax.legend(fontsize=8.5)
    return ax


@style()
def predicted_properties(name: str, measured: Values, predicted: Mapping[str, Values], errors: Mapping[str, float], *,
                         ax: Axes | None = None) -> Axes:  # fmt: skip
    """Measured against predicted values of the test part, a colour a model."""
    ax = ax or new_axes(5.2, 4.4)
    low, high = float(measured.min()), float(measured.max())
    ax.plot([low, high], [low, high], color=GREY, linewidth=1)
    for model, values in predicted.items():
        ax.plot(measured, values, "o", markersize=3.5, alpha=0.6, color=colour(model),
                label=f"{words(model)}: RMSE {errors[model]:.2f}")  # fmt: skip
    ax.set(title=f"Predicted on new scaffolds: {words(name)}", xlabel="measured", ylabel="predicted")
    ax.legend(fontsize=8)
    return ax
