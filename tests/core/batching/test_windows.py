import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.batching.windows import WindowGrid, chosen, spread


def grid(spans, offsets, **options):
    options = {"length": 4, "stride": 4, **options}
    return WindowGrid(np.array(spans, np.int64).reshape(-1, 3), np.array(offsets, np.int64), **options)


def listed(g):
    s = g.stretches(np.arange(len(g)))
    return [(int(a), int(b), int(b + n)) for a, b, n in zip(s.sequence, s.start, s.tokens, strict=True)]


def test_windows_of_two_spans_of_one_sequence():
    g = grid([[0, 0, 10], [0, 12, 15]], [0, 20])
    assert listed(g) == [(0, 0, 4), (0, 4, 8), (0, 6, 10), (0, 12, 15)]
    assert g.before(np.array([0, 1, 4, 5, 6, 7, 12, 13, 20])).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_phase_moves_the_inner_windows_only():
    assert listed(grid([[0, 0, 34]], [0, 34], length=4, phase=0.5))[:3] == [(0, 0, 4), (0, 2, 6), (0, 6, 10)]
    assert listed(grid([[0, 0, 34]], [0, 34], length=4, phase=0.5))[-1] == (0, 30, 34)


@st.composite
def grids(draw):
    """Random sequences, some tokens of them in spans, and a way to cut them."""
    lengths = draw(st.lists(st.integers(1, 60), min_size=1, max_size=5))
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    spans = []
    for i, n in enumerate(lengths):
        cuts = sorted(draw(st.sets(st.integers(0, n), max_size=5)))
        spans += [(i, a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    spans = draw(st.permutations(spans))
    length = draw(st.integers(2, 9))
    options = {
        "length": length,
        "stride": draw(st.integers(1, length)),
        "phase": draw(st.floats(0, 1, exclude_max=True)),
        "look_back": draw(st.integers(0, 5)),
        "whole": draw(st.sampled_from([-1, length])),
    }
    return spans, offsets, options


@given(grids())
@settings(max_examples=200, deadline=None)
def test_every_token_of_the_spans_and_no_other(case):
    spans, offsets, options = case
    g = grid(spans, offsets, **options)
    s = g.stretches(np.arange(len(g)))
    covered = np.zeros(offsets[-1], int)
    for flat, n, c in zip(s.flat, s.tokens, s.context, strict=True):
        covered[flat : flat + n] += 1
        span = [(offsets[i] + a, offsets[i] + b) for i, a, b in spans if offsets[i] + a <= flat < offsets[i] + b]
        assert len(span) == 1
        assert span[0][0] <= flat - c
        assert c == min(options["look_back"], flat - span[0][0])
        assert flat + n <= span[0][1]
    inside = np.zeros(offsets[-1], bool)
    for i, a, b in spans:
        inside[offsets[i] + a : offsets[i] + b] = True
    assert np.array_equal(covered > 0, inside)
    assert len(set(s.flat.tolist())) == len(s)
    assert np.array_equal(s.flat, np.sort(s.flat))
    assert np.array_equal(s.flat - offsets[s.sequence], s.start)
    records = {(i, a) for i, a, b in spans if a == 0 and b == np.diff(offsets)[i] and b <= options["whole"]}
    ends = zip(s.sequence[s.eos].tolist(), s.start[s.eos].tolist(), strict=True)
    assert sorted(ends) == sorted(records)


@given(grids())
@settings(max_examples=100, deadline=None)
def test_before_counts_what_stretches_lists(case):
    spans, offsets, options = case
    g = grid(spans, offsets, **options)
    flat = g.stretches(np.arange(len(g))).flat
    at = np.arange(offsets[-1] + 1)
    assert g.before(at).tolist() == [int((flat < x).sum()) for x in at]


def test_phases_of_a_long_span_are_all_used():
    firsts = {listed(grid([[0, 0, 80]], [0, 80], length=8, stride=8, phase=p / 50))[1][1] for p in range(50)}
    assert firsts == set(range(1, 9))


def test_a_short_span_costs_no_more_windows_for_its_phase():
    counts = {len(grid([[0, 0, 19]], [0, 19], length=8, stride=8, phase=p / 50)) for p in range(50)}
    assert counts == {3}


def test_context_of_validation_reaches_before_the_span():
    g = grid([[0, 2, 10]], [0, 20], look_back=5, fixed_context=True)
    assert g.stretches(np.arange(len(g))).context.tolist() == [2, 5]


@given(st.integers(1, 300), st.floats(0.01, 1))
def test_a_share_is_spread_evenly(n, share):
    numbers = np.arange(n)
    kept = chosen(numbers, share)
    assert kept[0] == 0
    assert abs(len(kept) - n * share) < 1
    assert len(chosen(numbers[: n // 2], share)) == spread(np.array([n // 2]), share)[0]
    assert share < 0.02 or np.diff(kept).max(initial=0) <= np.ceil(1 / share)
