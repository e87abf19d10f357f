"""Which figures and sounds an evaluation of music shows, and what each of them says in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.evaluation import MODEL, MetricTable
from core.report.gallery import Gallery
from domains.formats.score import DRUM, TRACK, Score
from domains.music import figures
from domains.music.evaluation.generation import TEST, TRAIN, Generation
from domains.music.evaluation.statistics import DURATIONS, durations, pitch_classes
from domains.music.sound import render, write_wav

ROLLS = 3
SOUNDS = 2
SECONDS = 20.0


def draw_likelihood(gallery: Gallery, table: MetricTable, metric: str, *, label: str) -> None:
    rows = [row for row in table.rows if row.name == metric and row.split == label]
    says = ", ".join(f"{figures.words(r.model)} {r.value:.4g}" for r in rows if r.value is not None)
    gallery.add(
        _figure(figures.by_order(rows, name=metric)),
        metric,
        alt=f"Lines over the order of n-grams: {figures.words(metric)}. {says}",
        caption="Witten-Bell n-grams on the same tokens; of voices that alternate, each has its own contexts.",
    )


def draw_generation(gallery: Gallery, generation: Generation) -> None:
    mine, real = generation.scores.get(MODEL, []), generation.scores.get(TEST, [])
    if not mine or not real:
        return
    gallery.add(
        figures.piano_rolls(
            [(f"test: {score.id}", score) for score in real[:ROLLS]],
            [(f"sampled: {score.id}", score) for score in mine[:ROLLS]],
        ),
        "piano_rolls",
        portrait=True,
        alt=f"Piano rolls of {min(ROLLS, len(real))} test pieces beside {min(ROLLS, len(mine))} samples",
        caption=f"{colours_say(mine[:ROLLS] + real[:ROLLS])} Samples are drawn under the grammar.",
    )
    kept = {source: listed for source, listed in generation.scores.items() if source != TRAIN and listed}
    classes = {source: np.sum([pitch_classes(score) for score in listed], axis=0) for source, listed in kept.items()}
    gallery.add(
        _figure(figures.shares(classes, figures.PITCH_CLASSES, "Pitch classes")),
        "pitch_classes",
        alt="Bars: the share of notes of each pitch class in " + ", ".join(map(figures.words, classes)),
        caption="As written: test pieces stand in their own keys.",
    )
    lengths = {source: np.sum([durations(score) for score in listed], axis=0) for source, listed in kept.items()}
    gallery.add(
        _figure(figures.shares(lengths, [f"{d:g}" for d in DURATIONS], "Note lengths, quarters")),
        "note_lengths",
        alt="Bars: the share of notes of each length in " + ", ".join(map(figures.words, lengths)),
    )


def colours_say(scores: Sequence[Score]) -> str:
    """What the colours of piano rolls tell apart."""
    if any(len(np.unique(score.notes[score.notes[:, DRUM] == 0, TRACK])) > 1 for score in scores):
        return "A colour is a voice or track."
    return "As the tokens keep them, these pieces have one track, hence one colour."


def write_sounds(gallery: Gallery, generation: Generation) -> None:
    """The first samples and a test piece as WAV files beside the figures."""
    chosen = [(f"sample_{i}", s) for i, s in enumerate(generation.scores.get(MODEL, [])[:SOUNDS], 1)]
    chosen += [("test_1", s) for s in generation.scores.get(TEST, [])[:1]]
    for name, score in chosen:
        path = gallery.out / f"{name}.wav"
        write_wav(path, render(score, max_seconds=SECONDS))
        what = "a sample of the model" if name != "test_1" else "a piece of the test part"
        gallery.add_sound(
            path,
            alt=f"Sound: {what}",
            caption=f"{name}: {what}, its first {SECONDS:g} seconds at most.",
            portrait=name == "sample_1",
        )


def _figure(axes: Axes) -> Figure:
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure
