"""Forecasts for a user, with a stand-in for the model: arrays, trajectories and files in, continuations out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import ConfigError, InputError
from core.sequence import Sequence
from domains.chaos.forecast import forecast
from domains.chaos.source import Trajectory
from domains.chaos.tokenizer import StateTokenizer, SymbolsTokenizer

RAMP = np.arange(20.0).reshape(10, 2)


class Ramps:
    """An engine that goes on by the last change; its quantiles are that path plus the level."""

    def roll_out(self, contexts, steps, *, mode, seed=None):
        ahead = np.arange(1, steps + 1)[:, None]
        return [
            (c.arrays["values"][-1] + ahead * (c.arrays["values"][-1] - c.arrays["values"][-2]))[None] for c in contexts
        ]

    def forecast(self, contexts, horizon, *, levels, draws, seed):
        paths = self.roll_out(contexts, horizon, mode="mean")
        return [SimpleNamespace(quantiles=np.concatenate([path + level for level in levels])) for path in paths]

    def sample(self, prefixes, *, max_length, min_length, temperature, seed):
        arrays = [np.r_[p.arrays["tokens"], np.full(max_length - len(p), 5, np.uint16)] for p in prefixes]
        return [SimpleNamespace(sequence=Sequence({"tokens": a})) for a in arrays]


MODEL = SimpleNamespace(engine=Ramps(), tokenizer=StateTokenizer().fit([RAMP]))


def test_an_array_goes_on() -> None:
    """The example."""
    (ahead,) = forecast(MODEL, RAMP, 3)
    assert ahead.values.tolist() == [[20, 21], [22, 23], [24, 25]]
    assert ahead.quantiles is None


def test_trajectories_keep_their_names_and_steps() -> None:
    histories = [Trajectory(name, RAMP, ("u", "v"), dt=0.5) for name in "ab"]
    first, second = forecast(MODEL, histories, 2, quantiles=(0.1, 0.9))
    assert (first.id, second.id) == ("a", "b")
    assert first.path.channels == ("u", "v")
    assert first.path.dt == 0.5
    assert first.quantiles.shape == (2, 2, 2)
    assert first.quantiles[1] - first.quantiles[0] == pytest.approx(0.8)


def test_files_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RAMP)
    (tmp_path / "b.csv").write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in RAMP))
    first, second = forecast(MODEL, [tmp_path / "a.npy", str(tmp_path / "b.csv")], 1, lyapunov=1.0)
    assert (first.id, second.id) == ("a", "b")
    assert np.array_equal(first.values, second.values)
    (tmp_path / "b.csv").write_text("x,y\n1,?\n")
    with pytest.raises(InputError, match=r"b\.csv.*holds '\?'"):
        forecast(MODEL, tmp_path / "b.csv", 1)


def test_symbols_are_drawn() -> None:
    model = SimpleNamespace(engine=Ramps(), tokenizer=SymbolsTokenizer())
    (ahead,) = forecast(model, np.array([3.0, 4.0]), 2)
    assert ahead.values.tolist() == [[0.0], [0.0]]
    (ahead,) = forecast(model, np.array([3.0, 4.0]), 2, quantiles=[0.1, 0.9], draws=3)
    assert ahead.quantiles.tolist() == [[[0.0], [0.0]]] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon: got 0"),
        ({"horizon": 2, "quantiles": [1.5]}, "levels between 0 and 1"),
        ({"horizon": 2, "dt": 1.0}, "dt= says how files are read"),
    ],
)
def test_wrong_settings_are_explained(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        forecast(MODEL, [RAMP], **options)
