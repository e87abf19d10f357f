"""Tokenizers of trajectories: the example, the contract, then constants, error bounds and missing values in detail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from core.errors import ConfigError, RecordError
from core.sequence import Sequence
from core.vocabulary import EOS, MASK
from domains.chaos.source import Trajectory
from domains.chaos.tokenizer import (
    BinsConfig,
    BinsTokenizer,
    DelayConfig,
    DelayTokenizer,
    StateConfig,
    StateTokenizer,
    SymbolsConfig,
    SymbolsTokenizer,
)
from tests.tokenizer_kit import TokenizerContract, check_config, check_spec

NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)
MOST = 3.0e38


def spiral(length: int = 400, channels: int = 2) -> Trajectory:
    """A growing spiral: channels of different size, offset and pace."""
    time = np.arange(length) * 0.1
    waves = [10.0**i * (1 + time / 40) * np.sin(time + i) + 5 * i for i in range(channels)]
    return Trajectory("spiral", np.stack(waves, axis=1), dt=0.1, system="spiral", lyapunov_time=2.0)


def trajectories(values: st.SearchStrategy[float], channels: int) -> st.SearchStrategy[Trajectory]:
    row = st.lists(values, min_size=channels, max_size=channels)
    rows = st.lists(row, min_size=1, max_size=12).filter(lambda r: not np.isnan(r).all())
    times = st.one_of(st.none(), st.floats(0.1, 10))
    return st.builds(
        lambda r, n, t: Trajectory(n, np.array(r, float).reshape(len(r), channels), dt=0.5, lyapunov_time=t),
        rows,
        NAMES,
        times,
    )


NUMBERS = st.one_of(st.floats(-MOST, MOST), st.floats(-20, 20), st.just(float("nan")))
ANYTHING = trajectories(st.floats(), 2)
TRAINING = [spiral(), replace(spiral(50), id="short")]
REFUSED = [
    (Trajectory("empty", np.zeros((0, 2))), "empty"),
    (Trajectory("wide", np.zeros((3, 3))), "wrong_channels"),
    (Trajectory("gone", np.full((3, 2), np.nan)), "no_values"),
    (Trajectory("endless", np.array([[0, 1], [0, np.inf]])), "not_finite"),
    (Trajectory("huge", np.array([[0, -1e39]])), "not_finite"),
]


class TrajectoryContract(TokenizerContract):
    records = trajectories(NUMBERS, 2)
    refused = REFUSED
    anything = ANYTHING
    training = TRAINING

    def size(self, record: Trajectory) -> float:
        return len(record)


class VectorContract(TrajectoryContract):
    def test_extension_keeps_ids(self) -> None:
        with pytest.raises(ConfigError, match="no symbols to add to"):
            self.tokenizer.extend(["<task>"])


class TestState(VectorContract):
    unfitted = StateTokenizer()
    tokenizer = StateTokenizer().fit(TRAINING)


class TestPatchedState(VectorContract):
    unfitted = StateTokenizer(StateConfig(patch=4))
    tokenizer = StateTokenizer(StateConfig(patch=4)).fit(TRAINING)


class TestRunningState(VectorContract):
    unfitted = StateTokenizer(StateConfig(scaling="running", residual=False))
    tokenizer = StateTokenizer(StateConfig(scaling="running", residual=False)).fit(TRAINING)


class TestDelay(VectorContract):
    unfitted = DelayTokenizer(DelayConfig(delays=3, lag=2))
    tokenizer = DelayTokenizer(DelayConfig(delays=3, lag=2)).fit(TRAINING)


class TestBins(TrajectoryContract):
    unfitted = BinsTokenizer(BinsConfig(bins=64))
    tokenizer = BinsTokenizer(BinsConfig(bins=64)).fit(TRAINING)


class TestQuantileBins(TrajectoryContract):
    unfitted = BinsTokenizer(BinsConfig(bins=32, method="quantile"))
    tokenizer = BinsTokenizer(BinsConfig(bins=32, method="quantile")).fit(TRAINING)


class TestSymbols(TrajectoryContract):
    tokenizer = SymbolsTokenizer(SymbolsConfig(low=-5, high=300))
    records = trajectories(st.one_of(st.integers(-5, 300).map(float), st.just(float("nan"))), 1)
    anything = trajectories(st.one_of(st.floats(), st.integers(-9, 400).map(float)), 1)
    refused = [
        (Trajectory("half", np.array([[1.0], [1.5]])), "not_integer"),
        (Trajectory("high", np.array([[301.0]])), "out_of_range"),
        (Trajectory("low", np.array([[-6.0]])), "out_of_range"),
        (Trajectory("wide", np.zeros((3, 2))), "wrong_channels"),
    ]


def test_a_trajectory_goes_through() -> None:
    """The example: raw values in float32 in the store, what the model needs in the field, labels kept."""
    tokenizer = StateTokenizer().fit([spiral()])
    sequence = tokenizer.encode(spiral())
    assert sequence.arrays["values"].dtype == np.float32
    assert sequence.labels["lyapunov_time"] == 2.0
    field = tokenizer.spec.fields[0]
    values = spiral().values
    assert field.scaling.kind == "constant"
    assert field.scaling.residual
    assert field.scaling.location == pytest.approx(values.mean(axis=0))
    assert field.scaling.scale == pytest.approx(values.std(axis=0))
    assert field.scaling.residual_scale == pytest.approx(np.sqrt((np.diff(values, axis=0) ** 2).mean(axis=0)))
    back = tokenizer.decode(sequence)
    assert back.dt == 0.1
    assert back.system == "spiral"
    assert np.abs(back.values - values).max() < 1e-6 * np.abs(values).max()


def test_arrays_are_records_too() -> None:
    tokenizer = StateTokenizer().fit([np.random.default_rng(0).normal(size=(30, 2))])
    assert len(tokenizer.encode(np.zeros((5, 2)))) == 5
    with pytest.raises(RecordError, match="no array of numbers"):
        tokenizer.encode("ACGT")


def test_a_patch_has_the_size_of_each_of_its_changes() -> None:
    tokenizer = StateTokenizer(StateConfig(patch=3)).fit([spiral()])
    values = spiral().values
    expected = [np.sqrt(((values[k:] - values[:-k]) ** 2).mean(axis=0)) for k in (1, 2, 3)]
    assert tokenizer.spec.patch == 3
    assert tokenizer.spec.fields[0].scaling.residual_scale == pytest.approx(np.concatenate(expected))
    assert tokenizer.spec.fields[0].scaling.residual_scale[4] > tokenizer.spec.fields[0].scaling.residual_scale[2]


def test_constants_come_from_all_training_records_and_what_is_seen_of_them() -> None:
    a = Trajectory("a", np.array([[0.0], [np.nan], [2.0]]))
    b = Trajectory("b", np.array([[4.0], [6.0]]))
    scaling = StateTokenizer().fit([a, b]).spec.fields[0].scaling
    assert scaling.location == (3.0,)
    assert scaling.residual_scale == (2.0,)  # 4 to 6 only: across the gap, or from a to b, there is no step


def test_a_constant_channel_has_a_scale() -> None:
    record = Trajectory("still", np.stack([np.full(9, 7.0), np.zeros(9), np.arange(9.0)], axis=1))
    scaling = StateTokenizer().fit([record]).spec.fields[0].scaling
    assert scaling.scale[:2] == (7.0, 1.0)
    assert all(s > 0 for s in (*scaling.scale, *scaling.residual_scale))
    bins = BinsTokenizer(BinsConfig(bins=16)).fit([record])
    assert np.abs(bins.canonical(record).values - record.values).max() <= bins.error_bound.max()


def test_delays_stand_in_the_field() -> None:
    field = DelayTokenizer(DelayConfig(delays=5, lag=3)).fit([spiral()]).spec.fields[0]
    assert (field.width, field.delays, field.lag) == (2, 5, 3)


@pytest.mark.parametrize("bins", [16, 256, 4096])
@pytest.mark.parametrize("method", ["uniform", "quantile"])
def test_bins_keep_their_bound(bins: int, method: str) -> None:
    tokenizer = BinsTokenizer(BinsConfig(bins=bins, method=method)).fit([spiral(6000)])
    values = spiral(6000).values
    errors = np.abs(tokenizer.canonical(spiral(6000)).values - values)
    assert (errors <= tokenizer.error_bound).all()
    if method == "uniform":
        assert tokenizer.error_bound == pytest.approx(1.1 * np.ptp(values, axis=0) / bins / 2, rel=1e-3)
        assert (errors.max(axis=0) > 0.8 * tokenizer.error_bound).all()  # the bound is no larger than it must be
    else:
        counts = np.bincount(tokenizer.bins_of(values)[:, 0])
        assert counts.max() <= 3 * 6000 / bins + 2


def test_values_outside_are_clipped_and_counted() -> None:
    tokenizer = BinsTokenizer(BinsConfig(bins=16, margin=0.0)).fit([spiral()])
    record = Trajectory("far", np.array([[1e6, 5.0], [-1e6, np.nan], [0.0, 1e6]]))
    sequence = tokenizer.encode(record)
    assert sequence.labels["clipped"] == 3
    assert tokenizer.encode(spiral()).labels["clipped"] == 0
    low, high = tokenizer.centres[0][[0, -1]]
    assert tokenizer.decode(sequence).values[:2, 0].tolist() == [high, low]


def test_bins_keep_the_values_beside_them() -> None:
    tokenizer = BinsTokenizer(BinsConfig(bins=16)).fit([spiral()])
    labels = tokenizer.encode(spiral()).token_labels
    assert np.array_equal(labels["raw_2"], spiral().values[:, 1].astype(np.float32))


def test_missing_values_are_marked_not_invented() -> None:
    values = np.array([[1.0, np.nan], [np.nan, 2.0], [3.0, 4.0]])
    record = Trajectory("holes", values)
    sequence = StateTokenizer().fit(TRAINING).encode(record)
    assert sequence.observed["values"].tolist() == [[True, False], [False, True], [True, True]]
    assert sequence.arrays["values"][0, 1] == 0
    assert not StateTokenizer().fit(TRAINING).encode(spiral()).observed
    for tokenizer, name in ((BinsTokenizer().fit(TRAINING), "channel_1"), (SymbolsTokenizer(), "tokens")):
        sequence = tokenizer.encode(record if name == "channel_1" else Trajectory("holes", values[:, :1]))
        assert sequence.arrays[name][1] == MASK
        assert sequence.loss_mask[name].tolist() == [True, False, True]


def test_integers_come_back_as_they_are() -> None:
    tokenizer = SymbolsTokenizer()
    laser = np.random.default_rng(0).integers(0, 256, 500).astype(float)
    sequence = tokenizer.encode(laser)
    assert len(tokenizer.vocabulary) == 261
    assert np.array_equal(tokenizer.decode(sequence).values[:, 0], laser)
    check_spec(tokenizer, sequence.arrays)


def test_specials_do_not_decode() -> None:
    bins, symbols = BinsTokenizer(BinsConfig(bins=16)).fit(TRAINING), SymbolsTokenizer().extend(["<task>"])
    ids = np.array([9, EOS], np.uint8)
    with pytest.raises(RecordError, match="channel_2 is <eos> at step 1"):
        bins.decode(Sequence({"channel_1": ids[[0, 0]], "channel_2": ids}, "drawn"))
    with pytest.raises(RecordError, match="<eos> at step 1 is no level"):
        symbols.decode(Sequence({"tokens": ids}, "drawn"))
    with pytest.raises(RecordError, match="<task> at step 0 is no level"):
        symbols.decode(Sequence({"tokens": np.array([261], np.uint16)}, "drawn"))


def test_learned_constants_survive_the_config() -> None:
    for tokenizer in (StateTokenizer(StateConfig(patch=2)), BinsTokenizer(BinsConfig(method="quantile"))):
        check_config(tokenizer.fit(TRAINING), spiral())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StateConfig(patch=0), r"tokenizer\.patch: got 0"),
        (lambda: StateConfig(scaling="runing"), "did you mean 'running'"),
        (lambda: StateConfig(residual=1), r"tokenizer\.residual: got 1"),
        (lambda: DelayConfig(delays=0), r"tokenizer\.delays: got 0"),
        (lambda: DelayConfig(lag=1.5), r"tokenizer\.lag: got 1\.5"),
        (lambda: BinsConfig(bins=8), r"tokenizer\.bins: got 8, allowed: 16 to 4096"),
        (lambda: BinsConfig(method="quantiles"), "did you mean 'quantile'"),
        (lambda: BinsConfig(margin=-1), r"tokenizer\.margin: got -1"),
        (lambda: SymbolsConfig(low=3, high=3), r"tokenizer\.high: got 3"),
        (lambda: StateTokenizer.from_config({"patches": 2}), "no setting 'patches'; did you mean 'patch'"),
        (lambda: StateTokenizer().spec, "has not learned its constants yet"),
        (lambda: BinsTokenizer().spec, "has not learned its bins yet"),
        (lambda: StateTokenizer().fit([]), "no training records"),
    ],
)
def test_wrong_settings_are_explained(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_training_records_of_different_widths_are_refused() -> None:
    with pytest.raises(RecordError, match="'wide' has 3 channels, expected 2 as in 'spiral'"):
        StateTokenizer().fit([spiral(), Trajectory("wide", np.zeros((3, 3)))])
