"""Markov tables against a dictionary that counts by hand, and the properties that make them a fair baseline."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import baselines
from core.baselines import MarkovRule, MarkovTable, best_rule
from core.errors import ConfigError, InputError

DNA_COMPLEMENT = (3, 2, 1, 0)
letters = st.lists(st.integers(0, 4), max_size=40).map(lambda codes: np.array(codes, np.uint8))


def test_a_table_predicts_what_it_has_seen():
    """The example: an alternating text is certain at order 1 and a coin's toss at order 0."""
    text = np.array([0, 1] * 500, np.uint8)
    table = MarkovTable(1, 2).fit([text])
    bits = {order: table.nll(text, MarkovRule(order)).mean() / np.log(2) for order in (0, 1)}
    assert bits[0] == pytest.approx(1, abs=0.01)
    assert bits[1] < 0.01


def counted_by_hand(pieces, order, complement):
    """(context, letter) to count, one k-mer after another."""
    counts = Counter()
    if complement is not None:
        swap = [*complement, 4]
        pieces = [*pieces, *(np.array([swap[c] for c in p[::-1]], np.uint8) for p in pieces)]
    for piece in pieces:
        for i in range(order, len(piece)):
            mer = tuple(int(c) for c in piece[i - order : i + 1])
            if max(mer) < 4:
                counts[mer[:-1], mer[-1]] += 1
    return counts


@settings(deadline=None, max_examples=60)
@given(
    st.lists(letters, min_size=1, max_size=3),
    letters,
    st.integers(0, 3),
    st.sampled_from([0.0, 2.5]),
    st.booleans(),
    st.sampled_from([3, 8, 2**20]),
)
def test_equals_a_count_by_hand(pieces, text, order, interpolation, both_strands, block):
    pieces = [*pieces, np.array([0, 1, 2, 3], np.uint8)]
    complement = DNA_COMPLEMENT if both_strands else None
    rule = MarkovRule(order, interpolation)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "BLOCK", block)
        found = MarkovTable(3, 4, complement=complement).fit(pieces).nll(text, rule)
    tables = [counted_by_hand(pieces, k, complement) for k in range(order + 1)]
    for i, letter in enumerate(text.tolist()):
        if letter == 4:
            assert np.isnan(found[i])
            continue
        usable = 0
        while usable < min(i, order) and text[i - usable - 1] < 4:
            usable += 1
        p = 0.25
        for k in range(0 if interpolation else usable, usable + 1):
            context = tuple(text[i - k : i].tolist())
            n, total = tables[k][context, letter], sum(tables[k][context, c] for c in range(4))
            p = (n + interpolation * p) / (total + interpolation) if interpolation else (n + 0.5) / (total + 2)
        assert found[i] == pytest.approx(-np.log(p))


@settings(deadline=None)
@given(letters, st.integers(0, 3), st.sampled_from([0.0, 16.0]))
def test_every_distribution_sums_to_one(text, order, interpolation):
    table = MarkovTable(3, 4, complement=DNA_COMPLEMENT).fit([text, np.array([2, 2], np.uint8)])
    contexts, usable = np.arange(4**order), np.full(4**order, order)
    p = table.probabilities(contexts, usable, MarkovRule(order, interpolation))
    assert p.sum(axis=1) == pytest.approx(np.ones(4**order))
    assert (p > 0).all()


def test_both_strands_make_the_strands_equal():
    """A text and its reverse complement have the same k-mer counts, whatever the complement is."""
    rng = np.random.default_rng(0)
    text = rng.integers(0, 3, 400).astype(np.uint8)
    complement = (1, 0, 2)
    other = np.array(complement, np.uint8)[text][::-1]
    one = MarkovTable(3, 3, complement=complement).fit([text])
    two = MarkovTable(3, 3, complement=complement).fit([other])
    for a, b in zip(one.counts, two.counts, strict=True):
        assert np.array_equal(a, b)
        assert a.sum() > 0


def test_pieces_may_be_added_after_a_look():
    rng = np.random.default_rng(1)
    a, b = (rng.integers(0, 4, 100).astype(np.uint8) for _ in range(2))
    table = MarkovTable(2, 4).fit([a])
    before = table.counts[0].sum()
    table.add(b)
    assert table.counts[0].sum() == before + 100
    assert np.array_equal(table.counts[2], MarkovTable(2, 4).fit([a, b]).counts[2])


def test_samples_follow_the_table():
    rng = np.random.default_rng(2)
    text = np.where(rng.random(20_000) < 0.8, 0, rng.integers(1, 4, 20_000)).astype(np.uint8)
    rule = MarkovRule(2)
    table = MarkovTable(2, 4).fit([text])
    drawn = table.sample(50, 400, rule, np.random.default_rng(3))
    assert drawn.shape == (50, 400)
    assert (drawn == 0).mean() == pytest.approx(0.8, abs=0.02)
    assert np.nanmean(table.nll(drawn.ravel(), rule)) == pytest.approx(np.mean(table.nll(text, rule)), abs=0.02)


def test_the_order_is_chosen_on_what_it_is_given():
    """A text of memory 2: order 2 wins on new text, though order 5 fits the training text better."""
    rng = np.random.default_rng(4)
    source = rng.dirichlet(np.full(4, 0.5), size=16)

    def draw(n):
        text = [0, 0]
        for _ in range(n):
            text.append(int(rng.choice(4, p=source[text[-2] * 4 + text[-1]])))
        return np.array(text, np.uint8)

    train, validation = draw(4000), draw(2000)
    table = MarkovTable(5, 4).fit([train])
    rules = [MarkovRule(k) for k in range(6)]
    best, scores = best_rule(table, [validation], rules)
    assert best.order == 2
    assert set(scores) == set(rules)
    assert best_rule(table, [train], rules)[0].order > 2


def test_names():
    assert MarkovRule(7).name == "markov_7"
    assert MarkovRule(11, 256).name == "markov_11_interpolated"


def test_refusals():
    with pytest.raises(ConfigError, match="order=13"):
        MarkovTable(13, 4)
    with pytest.raises(ConfigError, match="permutation"):
        MarkovTable(1, 4, complement=(0, 0, 1, 2))
    with pytest.raises(ConfigError, match="up to order 1"):
        MarkovTable(1, 4).fit([np.zeros(3, np.uint8)]).nll(np.zeros(3, np.uint8), MarkovRule(2))
    with pytest.raises(InputError, match="no letters"):
        MarkovTable(1, 4).fit([np.full(5, 4, np.uint8)]).nll(np.zeros(3, np.uint8), MarkovRule(0))
    with pytest.raises(InputError, match="validation"):
        best_rule(MarkovTable(0, 4).fit([np.zeros(3, np.uint8)]), [], [MarkovRule(0)])
