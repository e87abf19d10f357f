"""The tokenizers under the contract, then what is special about each."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.errors import ConfigError, InputError, RecordError
from core.sequence import Role
from core.vocabulary import SPECIALS, UNK
from domains.formats.series import Series
from domains.time_series.tokenizer import (
    BinsConfig,
    BinsTokenizer,
    DigitsConfig,
    DigitsTokenizer,
    FlattenTokenizer,
    PatchConfig,
    PatchTokenizer,
)
from domains.time_series.tokenizer.calendar import usual_calendar
from domains.time_series.tokenizer.digit_grammar import DigitGrammar
from tests.domains.time_series.made import START, daily
from tests.tokenizer_kit import TokenizerContract

PATCH = 4
HEAD = 5


@st.composite
def series(draw, *, least: int, largest: float = 1e6, channels: int = 1, covariates: bool = False) -> Series:
    """Series with missing values, of which the first is there."""
    n = draw(st.integers(least, least + 40))
    numbers = st.floats(-largest, largest, width=32) | st.just(np.nan)
    values = draw(arrays(np.float64, (n, channels), elements=numbers))
    values[:1] = draw(st.floats(-largest, largest, width=32))
    dated = draw(st.booleans())
    made = Series(
        draw(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)),
        values,
        tuple(f"c{i}" for i in range(channels)),
        START if dated else None,
        draw(st.sampled_from(["h", "30min", "D", "MS"])) if dated else None,
        draw(st.sampled_from([None, "Europe/Berlin"])) if dated else None,
    )
    if covariates:
        made.known = {"price (EUR)": draw(arrays(np.float64, n, elements=numbers))}
        made.past = {"temp": draw(arrays(np.float64, n, elements=numbers))}
    return made


def refused(patch: int, head: int = 0) -> list[tuple[Series, str]]:
    steps = np.arange(30.0)
    infinite = steps.copy()
    infinite[7] = np.inf
    return [
        (Series("nothing", np.zeros((0, 1))), "empty"),
        (Series("missing", np.full(30, np.nan)), "all_missing"),
        (Series("infinite", infinite), "too_large"),
        (Series("beyond", steps * 1e38), "too_large"),
        (Series("wide", np.ones((30, 2)), ("a", "b")), "channels"),
        *([(Series("short", np.arange(patch - 1.0)), "shorter_than_a_patch")] if patch > 1 else []),
        *([(Series("head", np.arange(1.0, head + 1)), "shorter_than_head")] if head else []),
        *([(Series("late", np.append(np.full(head, np.nan), steps)), "no_scale")] if head else []),
    ]


class Sizes:
    def size(self, record: Series) -> float:
        return len(record)


class TestPatch(Sizes, TokenizerContract):
    tokenizer = PatchTokenizer(
        PatchConfig(patch=PATCH, calendar=("hour_of_week", "month"), known=(), past=(), channels=("value",))
    )
    records = series(least=PATCH)
    refused = refused(PATCH)
    anything = series(least=0, largest=2.0**127)
    unfitted = PatchTokenizer(PatchConfig(patch=PATCH))
    training = [daily(48)]


class TestPatchOfChannelsAndCovariates(Sizes, TokenizerContract):
    tokenizer = PatchTokenizer(
        PatchConfig(patch=PATCH, calendar="month", known=("price (EUR)",), past=("temp",), channels=("u", "v"))
    )
    records = series(least=PATCH, channels=2, covariates=True)
    refused = [(Series("bare", np.ones((30, 2)), ("u", "v")), "covariates")]


class TestFlatten(Sizes, TokenizerContract):
    unfitted = FlattenTokenizer(PatchConfig(patch=PATCH, calendar="month"))
    training = [Series("two", np.ones((48, 2)), ("u", "v"))]
    tokenizer = unfitted.fit(training)
    records = series(least=PATCH, channels=2).map(lambda s: dataclasses.replace(s, channels=("u", "v")))
    refused = [(Series("three", np.ones((30, 3)), ("u", "v", "w")), "channels")]


class TestBins(Sizes, TokenizerContract):
    tokenizer = BinsTokenizer(BinsConfig(bins=64, head=HEAD, calendar=("hour_of_week",)))
    records = series(least=HEAD + 1)
    refused = refused(1, HEAD)
    anything = series(least=0, largest=2.0**127)


class TestQuantileBins(Sizes, TokenizerContract):
    unfitted = BinsTokenizer(BinsConfig(bins=32, head=HEAD, method="quantile"))
    training = [daily(200, seed=1), daily(100, seed=2)]
    tokenizer = unfitted.fit(training)
    records = series(least=HEAD + 1)


class TestDigits(Sizes, TokenizerContract):
    tokenizer = DigitsTokenizer(DigitsConfig(head=HEAD, before=8, precision=3))
    records = series(least=HEAD + 1, largest=100).filter(lambda s: np.nanmean(np.abs(s.opening[:HEAD])) > 1e-3)
    refused = [*refused(1, HEAD), (Series("jump", np.append(np.ones(30), 1e12)), "too_large")]
    anything = series(least=0, largest=2.0**127)


# What each is in particular.


def test_fields_are_learned_from_the_first_training_record() -> None:
    first = dataclasses.replace(daily(48), known={"plan": np.ones(48)}, past={"wind": np.ones(48)})
    fitted = PatchTokenizer().fit([first, daily(48)])
    roles = {f.name: f.role for f in fitted.spec.fields}
    assert roles == {
        "values": Role.TARGET,
        "hour_of_week": Role.KNOWN_AHEAD,
        "known_plan": Role.KNOWN_AHEAD,
        "past_wind": Role.GIVEN,
    }
    assert fitted.spec.patch == 24
    with pytest.raises(InputError, match="no training record"):
        PatchTokenizer().fit([])


@pytest.mark.parametrize(
    ("freq", "fields"),
    [
        ("h", ("hour_of_week",)),
        ("15min", ("hour_of_week",)),
        ("D", ("day_of_week", "month")),
        ("B", ("day_of_week", "month")),
        ("W-SUN", ("month",)),
        ("MS", ("month",)),
        ("YS-JAN", ()),
        (None, ()),
    ],
)
def test_the_frequency_tells_which_calendar_suits(freq: str | None, fields: tuple[str, ...]) -> None:
    assert usual_calendar(freq) == fields


def test_the_calendar_is_read_on_local_clocks() -> None:
    """2024-03-31 00:30 UTC is 01:30 in Berlin, an hour before the clocks go forward; two hours later it is 04:30."""
    tokenizer = PatchTokenizer(PatchConfig(patch=1, calendar=("hour_of_day",), known=(), past=(), channels=("value",)))
    record = Series("x", np.ones(3), start=np.datetime64("2024-03-31T00:30", "ns"), freq="h", timezone="Europe/Berlin")
    assert (tokenizer.encode(record).arrays["hour_of_day"] - len(SPECIALS)).tolist() == [1, 3, 4]
    bare = dataclasses.replace(record, start=None, freq=None, timezone=None)
    assert (tokenizer.encode(bare).arrays["hour_of_day"] == UNK).all()


def test_a_monday_at_midnight_is_the_first_hour_of_the_week() -> None:
    tokenizer = PatchTokenizer().fit([daily(48)])
    ids = tokenizer.encode(daily(170)).arrays["hour_of_week"]
    assert ids[0] == len(SPECIALS)
    assert tokenizer.spec["hour_of_week"].vocabulary.symbol(int(ids[25])) == "Tue 01"
    assert ids[168] == ids[0]


def test_ahead_goes_on_where_the_record_ends() -> None:
    tokenizer = PatchTokenizer().fit([daily(48)])
    whole = tokenizer.encode(daily(72))
    ahead = tokenizer.ahead(daily(48), 24)
    assert np.array_equal(ahead.arrays["hour_of_week"], whole.arrays["hour_of_week"][48:])
    plain = PatchTokenizer(PatchConfig(calendar=(), known=(), past=(), channels=("value",)))
    assert plain.ahead(daily(48), 24) is None


@pytest.mark.parametrize("given", [None, {"plan": np.ones(2)}])
def test_known_covariates_must_reach_over_the_horizon(given) -> None:
    record = dataclasses.replace(daily(48), known={"plan": np.ones(48)})
    tokenizer = PatchTokenizer().fit([record])
    with pytest.raises(InputError, match="'a': expected the next 3 values of the known covariate 'plan'"):
        tokenizer.ahead(record, 3, given)


def test_missing_values_are_zeros_that_are_not_observed() -> None:
    record = daily(48)
    record.values[5] = np.nan
    sequence = PatchTokenizer().fit([record]).encode(record)
    assert np.flatnonzero(~sequence.observed["values"][:, 0]).tolist() == [5]
    assert sequence.arrays["values"][5] == 0
    assert "values" not in PatchTokenizer().fit([daily(48)]).encode(daily(48)).observed


def test_pieces_keep_the_scale_of_their_record() -> None:
    """The split cuts a series into pieces; what they are scaled by stands in the first steps of the whole."""
    record = daily(400)
    record.values[200:] *= 50
    for tokenizer in (BinsTokenizer(), DigitsTokenizer()):
        whole = tokenizer.encode(record)
        first, last = tokenizer.encode(record.piece(0, 250)), tokenizer.encode(record.piece(250, 400))
        joined = np.concatenate([first.arrays["tokens"], last.arrays["tokens"]])
        assert np.array_equal(joined, whole.arrays["tokens"])
        assert first.labels["scale"] == last.labels["scale"] == whole.labels["scale"]
        assert "tokens" not in last.loss_mask
        head = first.loss_mask["tokens"][: tokenizer.step_starts(first)[168]]
        assert not head.any()
        assert first.loss_mask["tokens"][len(head) :].all()


def test_the_scale_knows_only_the_head() -> None:
    record = daily(400)
    changed = dataclasses.replace(record, values=np.concatenate([record.values[:168], 7 * record.values[168:]]))
    assert BinsTokenizer().scale_of(record) == BinsTokenizer().scale_of(changed)
    assert BinsTokenizer().scale_of(Series("zeros", np.zeros(200))) == 1.0


def test_bins_state_their_error_and_count_what_they_clip() -> None:
    tokenizer = BinsTokenizer(BinsConfig(bins=100, limit=2.0, head=10))
    values = np.concatenate([np.ones(10), np.linspace(-3, 3, 61)])
    sequence = tokenizer.encode(Series("x", values))
    back = tokenizer.decode(sequence).values[:, 0]
    inside = np.abs(values) <= 2
    assert np.abs(back - values)[inside].max() <= 0.02 + 1e-9
    assert tokenizer.clipped(sequence) == np.count_nonzero(~inside) == 20
    assert np.allclose(tokenizer.truth(sequence).values[:, 0], values)


def test_quantile_bins_hold_equal_shares() -> None:
    rng = np.random.default_rng(0)
    record = Series("x", rng.lognormal(0, 1, 4000))
    tokenizer = BinsTokenizer(BinsConfig(bins=20, method="quantile")).fit([record])
    counts = np.bincount(tokenizer.encode(record).arrays["tokens"] - len(SPECIALS), minlength=20)
    assert counts.min() > 190
    assert counts.max() < 210
    few = BinsTokenizer(BinsConfig(bins=20, method="quantile")).fit([Series("few", np.arange(400) % 3)])
    assert len(few.centres) < 20
    with pytest.raises(InputError, match="two different values"):
        BinsTokenizer(BinsConfig(method="quantile")).fit([Series("same", np.ones(400))])


def test_digits_spell_numbers() -> None:
    tokenizer = DigitsTokenizer(DigitsConfig(head=2, precision=1))
    sequence = tokenizer.encode(Series("x", [2.0, 2.0, 24.6, -0.2, np.nan, 0.0]))
    text = "".join(tokenizer.vocabulary.decode(sequence.arrays["tokens"]))
    assert text == "+10,+10,+123,-1,nan,+0,"
    assert tokenizer.units(sequence.arrays).sum() == 6
    assert np.allclose(tokenizer.decode(sequence).values[:, 0], [2, 2, 24.6, -0.2, np.nan, 0], equal_nan=True)
    binary = DigitsTokenizer(DigitsConfig(head=2, precision=0, base=2))
    tokens = binary.encode(Series("x", [2.0, 2.0, 20.0])).arrays["tokens"]
    assert "".join(binary.vocabulary.decode(tokens)) == "+1,+1,+1010,"


@pytest.mark.parametrize("text", ["+,", "12,", "+1", "+1,,", "nan5,", "+1-2,", "--1,"])
def test_what_is_no_number_is_refused(text: str) -> None:
    tokenizer = DigitsTokenizer(DigitsConfig(head=2))
    sequence = tokenizer.encode(Series("x", np.ones(3)))
    letters = [text[i : i + 3] if text.startswith("nan", i) else text[i] for i in range(len(text))]
    letters = [c for i, c in enumerate(letters) if not (c in "an" and "nan" in text)]
    sequence.arrays["tokens"] = tokenizer.vocabulary.encode(letters).astype(np.uint8)
    sequence.token_labels, sequence.loss_mask = {}, {}
    with pytest.raises(RecordError) as caught:
        tokenizer.decode(sequence)
    assert caught.value.reason == "no_number"


def test_the_grammar_allows_what_encodes_and_what_it_allows_decodes() -> None:
    import torch

    tokenizer = DigitsTokenizer(DigitsConfig(head=2, precision=1, before=2))
    grammar = tokenizer.grammar()
    assert isinstance(grammar, DigitGrammar)
    state = grammar.start(1)
    for token in tokenizer.encode(Series("x", [1.0, -1.0, 99.9, np.nan, 0.0])).arrays["tokens"]:
        assert grammar.allowed(state)[0, int(token)]
        state = grammar.advance(state, torch.tensor([int(token)]))
    rng = np.random.default_rng(0)
    state, drawn = grammar.start(1), []
    while len(drawn) < 300 or state.states[0] != 0:
        choices = np.flatnonzero(grammar.allowed(state)[0].numpy())
        token = int(rng.choice(choices[choices >= len(SPECIALS)]))
        drawn.append(token)
        state = grammar.advance(state, torch.tensor([token]))
    sequence = tokenizer.encode(Series("x", np.ones(3)))
    sequence.arrays["tokens"], sequence.token_labels = np.array(drawn, np.uint8), {}
    values = tokenizer.decode(sequence).values
    assert np.nanmax(np.abs(values)) < 100
    without = tokenizer.grammar(missing=False)
    assert not without.allowed(without.start(2))[:, tokenizer.vocabulary.ids["nan"]].any()
    rows = torch.tensor([1])
    assert grammar.start(2).select(rows).states.shape == (1,)
    assert state.clone().reset(torch.tensor([0])).states[0] == 0


def test_nats_of_symbols_become_nats_of_a_density() -> None:
    """Doubling a series halves its density; half as wide bins need one bit more and say as much."""
    values = 5 + np.sin(np.arange(60.0))
    for make in (
        lambda fine: BinsTokenizer(BinsConfig(bins=128 if fine else 64, head=10)),
        lambda fine: DigitsTokenizer(DigitsConfig(base=2, precision=4 if fine else 3, head=10, before=8)),
    ):
        coarse, fine = make(False), make(True)
        once = coarse.log_volume(coarse.encode(Series("x", values)))
        twice = coarse.log_volume(coarse.encode(Series("x", 2 * values)))
        finer = fine.log_volume(fine.encode(Series("x", values)))
        steps = len(values)
        assert np.nansum(twice) - np.nansum(once) == pytest.approx(steps * np.log(2))
        assert np.nansum(once) - np.nansum(finer) == pytest.approx(steps * np.log(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PatchConfig(patch=0), "tokenizer.patch: got 0"),
        (lambda: PatchConfig(calendar=("hour_of_weak",)), "did you mean 'hour_of_week'"),
        (lambda: PatchConfig(method="std"), "scaling.method"),
        (lambda: PatchConfig(known=("a b", "a-b")), "two covariates have the same name"),
        (lambda: PatchConfig(channels=()), "at least one name"),
        (lambda: BinsConfig(bins=1), "tokenizer.bins: got 1"),
        (lambda: BinsConfig(limit=0.0), "tokenizer.limit"),
        (lambda: BinsConfig(method="quantiles"), "did you mean 'quantile'"),
        (lambda: BinsConfig(head=0), "tokenizer.head"),
        (lambda: BinsConfig(channels=("a", "b")), "allowed: one name"),
        (lambda: BinsConfig(edges=(1.0, 2.0)), "tokenizer.edges"),
        (lambda: DigitsConfig(base=1), "tokenizer.base"),
        (lambda: DigitsConfig(base=36, before=8, precision=8), "more than a double holds"),
        (lambda: DigitsConfig(calendar=("month",)), "allowed: none, for digits"),
        (lambda: PatchTokenizer.from_config({"pach": 3}), "no setting 'pach'; did you mean 'patch'"),
        (
            lambda: PatchTokenizer(PatchConfig(calendar=(), known=(), past=(), channels=("v",))).extend(["<x>"]),
            "nothing to extend",
        ),
    ],
)
def test_wrong_settings_are_explained(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_part_of_a_sequence_begins_at_its_own_stamp() -> None:
    tokenizer = PatchTokenizer().fit([daily(96)])
    part = tokenizer.part(tokenizer.encode(daily(96)), 30, 80)
    assert tokenizer.decode(part).start == daily(96).piece(30, 80).start
    digits = DigitsTokenizer(DigitsConfig(head=24)).fit([daily(96)])
    tail = digits.decode(digits.part(digits.encode(daily(96)), 101, len(digits.encode(daily(96)))))
    whole = digits.canonical(daily(96))
    assert np.array_equal(tail.values, whole.values[-len(tail) :])
    assert tail.stamps()[-1] == whole.stamps()[-1]
    assert np.array_equal(part.arrays["hour_of_week"], tokenizer.encode(daily(96)).arrays["hour_of_week"][30:80])
