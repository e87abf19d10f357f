"""How many tunes a model turns into the MIDI file that they say, to the byte."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.errors import InputError
from core.evaluation import MODEL, MetricTable, Totals
from core.sequence import Sequence
from domains.music.evaluation.likelihood import Scorer
from domains.music.tokenizer.translation import TranslationTokenizer


def measure_translation(
    engine: Scorer,
    tokenizer: TranslationTokenizer,
    records: list[Sequence],
    table: MetricTable,
    options: dict[str, Any],
) -> None:
    """Adds `exact_file_rate`, `readable_file_rate` (it has notes) and `right_prefix_share` (of the right file's bytes
    those before the first wrong one) to `table`; the likeliest byte is taken each time.

    Args:
        records: whole records of the test part; what stands behind their marks is the truth.
    """
    longest = max(len(record) for record in records)
    asked = [tokenizer.question(record) for record in records]
    drawn = engine.sample(asked, max_length=longest + 1, temperature=0.0)
    exact, readable, right, whole = (np.zeros(len(records)) for _ in range(4))
    for i, (record, question, sample) in enumerate(zip(records, asked, drawn, strict=True)):
        truth = record.arrays["tokens"][len(question) :]
        made = sample.sequence.arrays["tokens"][len(question) :]
        n = min(len(truth), len(made))
        wrong = np.flatnonzero(truth[:n] != made[:n])
        right[i], whole[i] = (int(wrong[0]) if len(wrong) else n), len(truth)
        exact[i] = sample.finished and len(truth) == len(made) and not len(wrong)
        sample.sequence.id = record.id
        try:
            readable[i] = bool(len(tokenizer.decode(sample.sequence).notes))
        except InputError:
            continue
    ones = np.ones(len(records))
    table.measure("exact_file_rate", {MODEL: Totals(exact, ones)}, **options)
    table.measure("readable_file_rate", {MODEL: Totals(readable, ones)}, **options)
    table.measure("right_prefix_share", {MODEL: Totals(right, whole)}, **options)
