"""What is said of a piece's metre, on pieces made right and wrong by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from domains.formats.score import Score, in_order
from domains.music.evaluation.metre import METRE_FEATURES, bar_heard, changes_at_bar_lines, metre_features


def piece(times: list[tuple[float, float]], metres: list[tuple[int, int, int]] | None = None) -> Score:
    """A melody of (onset, duration) in quarters, with metres (quarter, numerator, denominator)."""
    rows = [[round(at * 12), round(long * 12), 60, 80, 0, 0, 0] for at, long in times]
    told = np.array([[12 * at, n, d] for at, n, d in metres or []], np.int64).reshape(-1, 3)
    return Score("p", 12, in_order(rows), metres=told)


def shares(score: Score) -> list[float]:
    found = metre_features(score)
    return [found[name] for name in METRE_FEATURES]


def test_a_march_keeps_its_metre_and_a_shifted_one_does_not() -> None:
    """The example: four quarters a bar for four bars, and the same an eighth late."""
    march = [(float(at), 1.0) for at in range(16)]
    assert shares(piece(march, [(0, 4, 4)])) == [1, 1, 0]
    late = [(at + 0.5, long) for at, long in march]
    assert shares(piece(late, [(0, 4, 4)])) == [0, 0, 4 / 16]


def test_a_pickup_and_a_note_tied_over_a_bar_line() -> None:
    pickup = [(3.0, 1.0), (4.0, 4.0), (8.0, 3.0), (11.0, 3.0), (14.0, 2.0), (16.0, 4.0)]
    found = metre_features(piece(pickup, [(0, 4, 4)]))
    assert found["bars_begun_on_beat_one"] == pytest.approx(2 / 3)  # the third of three full bars begins in a held note
    assert found["notes_over_bar_line"] == pytest.approx(1 / 6)


def test_a_jig_has_beats_of_three_eighths() -> None:
    jig = [(at / 2, 0.5) for at in range(24)]
    found = metre_features(piece(jig, [(0, 6, 8)]))
    assert found["onsets_on_beat"] == pytest.approx(1 / 3)
    assert found["bars_begun_on_beat_one"] == 1
    assert metre_features(piece(jig, [(0, 3, 4)]))["onsets_on_beat"] == pytest.approx(1 / 2)


def test_bars_follow_the_metre_from_where_it_changes() -> None:
    waltz_after_march = [(float(at), 1.0) for at in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)]
    assert shares(piece(waltz_after_march, [(0, 4, 4), (4, 3, 4)])) == [1, 1, 0]
    held = [(0.0, 4.0), (4.0, 4.0), (8.0, 2.0), (10.0, 1.0)]
    assert metre_features(piece(held, [(0, 4, 4), (4, 3, 4)]))["notes_over_bar_line"] == pytest.approx(1 / 4)


def test_a_metre_may_change_at_a_bar_line_alone() -> None:
    notes = [(float(at), 1.0) for at in range(20)]
    assert changes_at_bar_lines(piece(notes, [(0, 4, 4), (8, 3, 4), (13, 4, 4)])) == (1, 2)
    assert changes_at_bar_lines(piece(notes)) == (0, 0)
    assert changes_at_bar_lines(piece(notes, [(0, 4, 4), (400, 3, 4)])) == (0, 0)


@pytest.mark.parametrize(("quarters", "phase"), [(3, 0), (3, 2), (4, 0), (4, 1), (4, 3)])
def test_bars_are_heard_where_long_notes_begin(quarters: int, phase: int) -> None:
    times = [(float(phase + bar * quarters), 2.0) for bar in range(8)]
    times += [(float(phase + bar * quarters + beat), 1.0) for bar in range(8) for beat in range(2, quarters)]
    times += [(float(at), 0.5) for at in range(phase)]
    score = piece(times)
    assert bar_heard(score) == (quarters, phase)
    told = replace(score, notes=score.notes + np.array([12 * (quarters - phase) % (12 * quarters), 0, 0, 0, 0, 0, 0]))
    told = replace(told, metres=np.array([[0, quarters, 4]]))
    assert metre_features(score) == pytest.approx(metre_features(told))


def test_nothing_to_count_is_no_number() -> None:
    assert np.isnan(shares(Score("empty", 12))).all()
    found = metre_features(piece([(0, 1)], [(0, 4, 4)]))
    assert found["onsets_on_beat"] == 1
    assert np.isnan(found["bars_begun_on_beat_one"])
