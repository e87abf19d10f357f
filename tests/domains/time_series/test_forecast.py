"""A frame in, a frame out: order, ids, stamps and covariates, whatever the tokens are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError, InputError
from domains.formats.series import Series
from domains.time_series.forecast import forecast
from domains.time_series.tokenizer import (
    BinsConfig,
    BinsTokenizer,
    DigitsConfig,
    DigitsTokenizer,
    PatchConfig,
    PatchTokenizer,
)
from tests.domains.time_series.made import RepeatEngine, SeasonalEngine, daily

PLAIN = PatchConfig(calendar=("hour_of_week",), known=(), past=(), channels=("value",))


def model_of(tokenizer: Any = None, engine: Any = None) -> SimpleNamespace:
    return SimpleNamespace(tokenizer=tokenizer or PatchTokenizer(PLAIN), engine=engine or SeasonalEngine())


def frame_of(*series: Series) -> pd.DataFrame:
    return pd.concat(
        [pd.DataFrame({"unique_id": s.id, "ds": s.stamps(), "y": s.values[:, 0], **s.known, **s.past}) for s in series],
        ignore_index=True,
    )


def test_forecasts_come_back_in_order_with_ids_and_stamps() -> None:
    found = forecast(model_of(), frame_of(daily(100, name="b"), daily(50, name="a")), 3, quantiles=(0.9, 0.1))
    assert found.columns.tolist() == ["unique_id", "ds", "mean", "q0.9", "q0.1"]
    assert found.unique_id.tolist() == ["b"] * 3 + ["a"] * 3
    assert found.ds[0] == pd.Timestamp("2024-01-05 04:00")
    assert found.ds[3] == pd.Timestamp("2024-01-03 02:00")
    assert np.allclose(found["mean"][:3], daily(100).values[76:79, 0], atol=1e-5)
    assert (found["q0.9"] > found["mean"]).all()
    assert (found["q0.1"] < found["mean"]).all()


@pytest.mark.parametrize("kind", ["patch", "bins", "digits"])
@pytest.mark.parametrize("n", [60, 400])
def test_every_tokenizer_forecasts_long_and_short_series(kind: str, n: int) -> None:
    """n = 60 is shorter than the head that scales come from."""
    tokenizer: Any = PatchTokenizer(PLAIN)
    if kind == "bins":
        tokenizer = BinsTokenizer(BinsConfig(bins=4000, limit=2.0, calendar=("hour_of_week",)))
    if kind == "digits":
        tokenizer = DigitsTokenizer(DigitsConfig(precision=4, before=1))
    engine = SeasonalEngine() if kind == "patch" else RepeatEngine(tokenizer, context=600)
    found = forecast(model_of(tokenizer, engine), frame_of(daily(n)), 24, draws=2)
    assert np.allclose(found["mean"], daily(n).values[-24:, 0], atol=0.01)
    assert len(found) == 24


def test_clocks_go_on_over_the_change() -> None:
    """The night of 2024-03-31 has no 02:00 in Berlin."""
    local = pd.date_range("2024-03-30 00:00", periods=26, freq="h")
    found = forecast(model_of(), pd.DataFrame({"ds": local, "y": np.arange(26.0)}), 3, timezone="Europe/Berlin")
    assert found.ds.dt.hour.tolist() == [3, 4, 5]


def test_ids_that_are_numbers_stay_numbers() -> None:
    frame = frame_of(daily(50, name="7"), daily(50, name="10"))
    found = forecast(model_of(), frame.assign(unique_id=frame.unique_id.astype(int)), 2)
    assert found.unique_id.tolist() == [7, 7, 10, 10]
    named = frame.rename(columns={"unique_id": "shop", "ds": "when", "y": "sold"}).astype({"shop": int})
    found = forecast(model_of(), named, 2, id_column="shop", time_column="when", target="sold")
    assert found.unique_id.tolist() == [7, 7, 10, 10]


def test_series_without_stamps_count_on() -> None:
    assert forecast(model_of(), np.arange(30.0), 2).ds.tolist() == [30, 31]
    assert forecast(model_of(), [daily(30, name="x")], 2).unique_id.tolist() == ["x", "x"]


KNOWING = PatchConfig(calendar=(), known=("plan",), past=("wind",), channels=("value",))


def test_known_covariates_are_matched_by_id_and_stamp() -> None:
    histories = []
    for name, n in (("b", 100), ("a", 50)):
        series = daily(n, name=name)
        series.known, series.past = {"plan": np.arange(float(n))}, {"wind": np.ones(n)}
        histories.append(series)
    plans = pd.concat(
        [
            pd.DataFrame({"unique_id": s.id, "ds": pd.date_range(s.stamps()[-1], periods=5, freq="h")[1:],
                          "plan": len(s) + np.arange(4.0)})
            for s in histories
        ]
    ).sample(frac=1, random_state=0)  # fmt: skip
    by_name = {"a": {"plan": [50.0, 51, 52]}, "b": {"plan": [100.0, 101, 102]}}
    for known in (plans, by_name):
        engine = SeasonalEngine()
        forecast(model_of(PatchTokenizer(KNOWING), engine), frame_of(*histories), 3, known=known)
        first, second = engine.asked[0]
        assert first.arrays["known_plan"][:, 0].tolist() == [100, 101, 102]
        assert second.arrays["known_plan"][:, 0].tolist() == [50, 51, 52]
    with pytest.raises(InputError, match="series 'b': expected the next 3 values"):
        forecast(model_of(PatchTokenizer(KNOWING)), frame_of(*histories), 3)
    with pytest.raises(InputError, match=r"series 'b': expected the next 4 values .* got 3"):
        forecast(model_of(PatchTokenizer(KNOWING)), frame_of(*histories), 4, known=plans[plans.plan != 102])
    with pytest.raises(ConfigError, match="no column 'plan'"):
        forecast(model_of(PatchTokenizer(KNOWING)), frame_of(daily(50)), 3)


def test_several_channels_have_a_column_that_names_them() -> None:
    tokenizer = PatchTokenizer(PatchConfig(calendar=(), known=(), past=(), channels=("u", "v")))
    frame = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=48, freq="h"), "u": np.arange(48.0), "v": 1.0})
    found = forecast(model_of(tokenizer), frame, 2, layout="wide")
    assert found.channel.tolist() == ["u", "u", "v", "v"]
    assert found["mean"].tolist() == [24, 25, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(y=np.where(f.unique_id == "b", np.nan, f.y)), "series 'b' has no value"),
        (lambda f: f.assign(y=f.y.astype(object).where(f.index != 60, "?")), r"series 'b': '\?' in column 'y'.*row 61"),
        (lambda f: pd.concat([f, f.tail(1)]), "series 'b': 2024-01-03 01:00:00 stands twice"),
    ],
)
def test_a_series_that_cannot_be_read_is_named_and_nothing_is_left_out(change, message: str) -> None:
    frame = frame_of(daily(50, name="a"), daily(50, name="b"))
    with pytest.raises(InputError, match=message):
        forecast(model_of(), change(frame), 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon: got 0"),
        ({"quantiles": (0.1, 1.0)}, "levels between 0 and 1"),
        ({"frq": "h"}, "data.frq"),
    ],
)
def test_wrong_wishes_are_explained(options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        forecast(model_of(), frame_of(daily(50)), **{"horizon": 3, **options})
