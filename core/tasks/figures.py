"""Figures of answers: numbers against what was measured, classes against the right ones, whole lists by length.

Each takes values and an `ax` to draw on, and makes its own where none is given; nothing here reads files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Sequence as Many
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.evaluation import MODEL
from core.report.gallery import BASELINE_COLOUR, GREY, MODEL_COLOUR, Gallery, style
from core.tasks.by_form import FREE, Questions
from core.tasks.forms import Classes, Number, PerToken, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from core.tasks.predict import Answer

_NAMES = {MODEL: "with the grammar", FREE: "without the grammar"}
_BINS = 8
_SHOWN = 500
"""Numbers in a scatter; more of them are a blot."""
_TRACKS = 8
"""Sequences that are drawn letter by letter."""
_CLASSES = 24
"""Most classes of a readable table."""


def draw(gallery: Gallery, task: Task, asked: Questions, said: Mapping[str, list[Answer]], label: str) -> None:
    """The figure that suits the task's form, of data set and part `label`, into the gallery."""
    answers, given = said[MODEL], asked.truth
    if isinstance(task, Number):
        ends = np.array([(a.low, a.high) for a in answers], np.float64)
        axes = numbers(np.array(given, np.float64), np.array([a.value for a in answers], np.float64), ends)
        alt = f"Answers to {task.name} over the labels, with the central 80 %."
        caption = f"{task.name}, {label}: the model's answer with its central 80 % against the label."
    elif isinstance(task, Classes) and not task.several and len(task.classes) <= _CLASSES:
        number = {c: i for i, c in enumerate(task.classes)}
        pairs = [(number[t], number[a.value]) for t, a in zip(given, answers, strict=True)]
        axes = confusion(np.array(pairs).reshape(-1, 2), task.classes)
        alt = f"Shares of the answers to {task.name} by the right class."
        caption = f"{task.name}, {label}: of the records of a class, how many are answered with which."
    elif isinstance(task, PerToken) and len(task.alphabet) <= _CLASSES:
        axes = confusion(_letter_pairs(task, given, [a.value for a in answers]), task.alphabet, what="units")
        alt = f"Shares of the letters answered to {task.name} by the right letter."
        caption = f"{task.name}, {label}: of the units with a letter, how many are answered with which."
    else:
        right = {m: np.array([a.value == t for a, t in zip(s, given, strict=True)]) for m, s in said.items()}
        axes = exact_by_length(right, np.array(asked.units))
        alt = f"Share of answers to {task.name} that are right as a whole, over the length of the sequence."
        caption = f"{task.name}, {label}: answers without any error by length."
    gallery.add(axes.figure, f"answers_{task.name}", alt=alt, caption=caption)  # type: ignore[arg-type]
    if isinstance(task, PerToken) and len(task.alphabet) <= _CLASSES:
        wholes = (
            asked.together(given),
            asked.together([a.value or " " * len(t) for a, t in zip(answers, given, strict=True)]),
        )
        alt = f"Letters of {task.name} along some sequences: the right ones above those answered."
        caption = (
            f"{task.name}, {label}: along sequences of different lengths, the right letters above the answered ones."
        )
        gallery.add(tracks(*wholes, task.alphabet).figure, f"tracks_{task.name}", alt=alt, caption=caption)  # type: ignore[arg-type]


def _letter_pairs(task: PerToken, truth: Many[str], said: Many[str | None]) -> NDArray[np.int64]:
    """(N, 2) numbers of the right letter and the answered one of each unit that is answered."""
    number = {letter: i for i, letter in enumerate(task.alphabet)}
    answered = [(t, s) for t, s in zip(truth, said, strict=True) if s is not None]
    pairs = [(number[a], number[b]) for t, s in answered for a, b in zip(t, s, strict=True)]
    return np.array(pairs, np.int64).reshape(-1, 2)


@style()
def numbers(
    truth: NDArray[np.float64], value: NDArray[np.float64], ends: NDArray[np.float64], *, ax: Axes | None = None
) -> Axes:
    """Answers (N,) with their ends (N, 2) over labels (N,), some of them evenly spread where there are many."""
    ax = ax or _axes()
    chosen = np.linspace(0, len(truth) - 1, min(len(truth), _SHOWN)).astype(int)
    truth, value, ends = truth[chosen], value[chosen], ends[chosen]
    ax.vlines(truth, ends[:, 0], ends[:, 1], color=MODEL_COLOUR, alpha=0.12, linewidth=1.0, label="central 80 %")
    ax.plot(truth, value, "o", color=MODEL_COLOUR, markersize=2.5, label="answer")
    both = np.array([truth.min(), truth.max()])
    ax.plot(both, both, color=GREY, linestyle=":", linewidth=1.2, label="right")
    ax.set(xlabel="label", ylabel="answer")
    ax.legend()
    return ax


@style()
def confusion(pairs: NDArray[np.int64], classes: Many[str], *, what: str = "records", ax: Axes | None = None) -> Axes:
    """Shares of answers by right class: pairs (N, 2) of numbers of classes, the right one and the answer, of `what`."""
    ax = ax or _axes(5.2, 4.4)
    size = len(classes)
    counts = np.bincount(pairs[:, 0] * size + pairs[:, 1], minlength=size**2).reshape(size, size)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(size):
        for column in range(size):
            dark = shares[row, column] > 0.5
            shown = f"{100 * shares[row, column]:.0f}"
            ax.text(column, row, shown, ha="center", va="center", color="white" if dark else "#3a4249", fontsize=9)
    ax.set_xticks(range(size), classes)
    ax.set_yticks(range(size), [f"{c} ({n:,})" for c, n in zip(classes, counts.sum(1).tolist(), strict=True)])
    ax.set(xlabel="answer, % of the row", ylabel=f"right class ({what})")
    ax.grid(visible=False)
    return ax


@style()
def tracks(truth: Many[str], said: Many[str], alphabet: str, *, ax: Axes | None = None) -> Axes:
    """Letters along some sequences, from short to long: the right ones above the answered ones."""
    from matplotlib.collections import PolyCollection

    ax = ax or _axes(6.4, 4.4)
    order = sorted(range(len(truth)), key=lambda i: len(truth[i]))
    chosen = [order[i] for i in np.unique(np.linspace(0, len(order) - 1, _TRACKS).astype(int)).tolist()]
    colours = [GREY, MODEL_COLOUR, BASELINE_COLOUR, *(f"C{i}" for i in range(3, len(alphabet)))]
    for row, record in enumerate(chosen):
        for text, low in ((truth[record], 0.42), (said[record], 0.02)):
            scale = 100 / max(len(text), 1)
            for letter, colour in zip(alphabet, colours, strict=False):
                runs = [m.span() for m in re.finditer(f"{re.escape(letter)}+", text)]
                boxes = [[(x * scale, row + low + y) for x, y in _box(*run)] for run in runs]
                label = letter if not row and not low < 0.1 else None
                ax.add_collection(PolyCollection(boxes, facecolors=colour, linewidths=0, label=label))
    ax.set_yticks(np.arange(len(chosen)) + 0.4, [f"{len(truth[i]):,}" for i in chosen])
    ax.set(xlabel="place in the sequence, %", ylabel="length in units", xlim=(0, 100), ylim=(-0.1, len(chosen)))
    ax.grid(visible=False)
    ax.legend(ncols=min(len(alphabet), 6), loc="upper center", bbox_to_anchor=(0.5, 1.13))
    return ax


def _box(start: int, stop: int) -> list[tuple[float, float]]:
    return [(start, 0), (stop, 0), (stop, 0.36), (start, 0.36)]


@style()
def exact_by_length(
    right: Mapping[str, NDArray[np.bool_]], units: NDArray[np.int64], *, ax: Axes | None = None
) -> Axes:
    """Share of answers that are right as a whole: (N,) by model, over (N,) lengths, in bins of as many records each."""
    ax = ax or _axes()
    edges = np.unique(np.quantile(units, np.linspace(0, 1, _BINS + 1)[1:-1]))
    place = np.searchsorted(edges, units)
    bins = np.unique(place)
    for model, found in right.items():
        ax.plot(
            [units[place == b].mean() for b in bins],
            [found[place == b].mean() for b in bins],
            color=MODEL_COLOUR if model == MODEL else BASELINE_COLOUR,
            marker="o",
            markersize=4,
            linestyle="-" if model == MODEL else "--",  # where both are alike both are seen
            label=_NAMES.get(model, model),
        )
    ax.set(xlabel="length of the sequence", ylabel="share without an error", ylim=(-0.02, 1.02))
    ax.legend(loc="lower left")
    return ax


@style()
def _axes(width: float = 6.4, height: float = 3.8) -> Axes:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").subplots()
