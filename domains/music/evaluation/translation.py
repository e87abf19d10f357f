"""How many tunes a model turns into the MIDI file that they say, to the byte, and how near the others are in notes."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np

from core.errors import InputError, RecordError
from core.evaluation import MODEL, MetricTable, Totals
from core.sequence import Sequence
from domains.formats.score import DURATION, ONSET, PITCH, Score
from domains.music.evaluation.likelihood import Scorer
from domains.music.tokenizer.translation import TranslationTokenizer, lines_of


def measure_translation(
    engine: Scorer,
    tokenizer: TranslationTokenizer,
    records: list[Sequence],
    table: MetricTable,
    options: dict[str, Any],
    of: str = "",
) -> None:
    """Adds to `table`, the likeliest byte being taken each time:

    exact_file_rate: of whole files. readable_file_rate: a reader finds notes in the file. note_f1: of notes, as
    `count_right_notes` compares them, over all files; a file that cannot be read has none. right_prefix_share: of the
    tokens of the right file those before the first wrong one.

    Args:
        records: whole records; what stands behind their marks is the truth.
        of: what the metrics' names end with.
    """
    longest = max(len(record) for record in records)
    asked = [tokenizer.question(record) for record in records]
    drawn = engine.sample(asked, max_length=longest + 1, temperature=0.0)
    exact, readable, right, whole, notes_right, notes_both = np.zeros((6, len(records)))
    for i, (record, question, sample) in enumerate(zip(records, asked, drawn, strict=True)):
        truth = record.arrays["tokens"][len(question) :]
        made = sample.sequence.arrays["tokens"][len(question) :]
        n = min(len(truth), len(made))
        wrong = np.flatnonzero(truth[:n] != made[:n])
        right[i], whole[i] = (int(wrong[0]) if len(wrong) else n), len(truth)
        exact[i] = sample.finished and len(truth) == len(made) and not len(wrong)
        sample.sequence.id = record.id
        real = tokenizer.decode(record)
        try:
            heard = tokenizer.decode(sample.sequence)
        except InputError:
            heard = Score(record.id, 1)
        readable[i] = bool(len(heard.notes))
        notes_right[i], notes_both[i] = count_right_notes(heard, real), (len(heard.notes) + len(real.notes)) / 2
    ones = np.ones(len(records))
    table.measure(f"exact_file_rate{of}", {MODEL: Totals(exact, ones)}, **options)
    table.measure(f"readable_file_rate{of}", {MODEL: Totals(readable, ones)}, **options)
    table.measure(f"note_f1{of}", {MODEL: Totals(notes_right, notes_both)}, **options)
    table.measure(f"right_prefix_share{of}", {MODEL: Totals(right, whole)}, **options)


def lines_apart(tokenizer: TranslationTokenizer, records: list[Sequence]) -> list[Sequence]:
    """A line of each tune as a record of its own: the first of the first, the second of the second, and round again; a
    tune gives none where that line has no notes."""
    lines = []
    for number, record in enumerate(records):
        listed = lines_of(tokenizer.decode(record).text)
        at = number % len(listed)
        try:
            lines.append(tokenizer.encode(Score(f"{record.id}, line {at + 1}", 1, text=listed[at])))
        except RecordError:
            continue
    return lines


def count_right_notes(heard: Score, real: Score) -> int:
    """How many notes of `heard` are notes of `real`: the same onset and duration in quarters, the same pitch; each
    note of `real` answers to one. Twice this over the notes of both is their F1."""
    a, b = (
        Counter(
            (Fraction(row[ONSET], score.tpq), Fraction(row[DURATION], score.tpq), row[PITCH])
            for row in score.notes.tolist()
        )
        for score in (heard, real)
    )
    return (a & b).total()
