"""One token a number: the contract, the order, the error bound, what is known ahead, how fast."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from core.errors import ConfigError
from domains.robots.source.episode import Episode
from domains.robots.source.spaces import box
from domains.robots.tokenizer import ComponentsTokenizer
from tests.domains.robots.conftest import episode
from tests.domains.robots.test_tokenizer_continuous import MIXED, mixed, records
from tests.tokenizer_kit import TokenizerContract

TRAINING = [mixed(f"t{i}", 12, i) for i in range(4)]


class TestComponents(TokenizerContract):
    training = TRAINING
    unfitted = ComponentsTokenizer.from_config({"bins": 16})
    tokenizer = ComponentsTokenizer.from_config({"bins": 16, "sensor_drop": 0.5}).fit(TRAINING)
    records = records()
    refused = [
        (replace(mixed("wide"), observations=np.zeros((10, 5))), "wrong_width"),
        (replace(mixed("nan"), actions=np.where(np.arange(9)[:, None] == 4, np.nan, mixed().actions)), "nan_action"),
        (Episode("none", np.zeros((1, 4)), np.zeros((0, 3)), np.zeros(0), action_space=MIXED), "empty"),
    ]

    def size(self, record: Episode) -> float:
        return len(record) + (3 / 6 if record.has_final else 0)


class TestQuantiles(TestComponents):
    unfitted = ComponentsTokenizer.from_config({"bins": 16, "method": "quantile"})
    tokenizer = ComponentsTokenizer.from_config({"bins": 16, "method": "quantile"}).fit(TRAINING)


class TestMuLaw(TestComponents):
    unfitted = ComponentsTokenizer.from_config({"bins": 16, "method": "mu_law"})
    tokenizer = ComponentsTokenizer.from_config({"bins": 16, "method": "mu_law"}).fit(TRAINING)


def test_a_step_is_its_moving_sensors_then_its_actions() -> None:
    tokenizer = TestComponents.tokenizer
    assert tokenizer.components.symbols == ("o1", "o2", "o3", "a1", "a2", "a3")
    sequence = tokenizer.encode(TRAINING[0])
    assert len(sequence) == 12 * 6 + 3
    assert (sequence.arrays["component"] - 5).tolist() == [i % 6 for i in range(75)]
    gears = sequence.arrays["tokens"][5::6] - 5
    assert gears.tolist() == TRAINING[0].actions[:, 2].tolist()


@pytest.mark.parametrize("method", ["uniform", "quantile", "mu_law"])
def test_values_inside_the_range_come_back_within_the_bound(method: str) -> None:
    tokenizer = ComponentsTokenizer.from_config({"bins": 32, "method": method}).fit(TRAINING)
    for one in TRAINING:
        back = tokenizer.decode(tokenizer.encode(one))
        seen = np.abs(back.observations - one.observations)[:, :3]
        assert (seen <= tokenizer.error_bound[:3] * 1.001).all()
        assert (np.abs(back.actions - one.actions) <= tokenizer.error_bound[3:] * 1.001).all()
        assert (back.observations[:, 3] == 2.5).all()


def test_bins_and_their_widths_cover_the_range_once() -> None:
    for method in ("uniform", "quantile", "mu_law"):
        tokenizer = ComponentsTokenizer.from_config({"bins": 16, "method": method}).fit(TRAINING)
        for column in range(5):
            borders = tokenizer.borders[column]
            widths = np.exp(tokenizer.log_widths[column, : len(borders) - 1])
            assert widths.sum() == pytest.approx(borders[-1] - borders[0])
        assert (tokenizer.log_widths[5] == 0).all(), "a choice has no width"


def test_the_component_ahead_goes_on_where_an_episode_ended() -> None:
    tokenizer = TestComponents.tokenizer
    whole = tokenizer.encode(TRAINING[0])
    start = tokenizer.decode(whole.slice(0, 33))
    coming = tokenizer.ahead(start, 10).arrays["component"]
    assert coming.tolist() == whole.arrays["component"][33:43].tolist()


def test_two_million_numbers_a_second() -> None:
    """The bar is for a free core: a quarter of it is asked for here."""
    one = episode("long", 60_000, space=box(4, low=-1, high=1))
    tokenizer = ComponentsTokenizer.from_config({"bins": 256}).fit([one])
    numbers = one.observations.size + one.actions.size
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        tokenizer.encode(one)
        seconds.append(time.perf_counter() - began)
    assert numbers / min(seconds) > 0.5e6


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bins": 3}, "bins: got 3"), ({"method": "unifrm"}, "did you mean 'uniform'"), ({"bin": 8}, "no setting 'bin'")],
)
def test_wrong_settings_are_explained(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ComponentsTokenizer.from_config(options)


def test_the_first_columns_are_known_before_anything_is_there(episodes: list[Episode]) -> None:
    tokenizer = ComponentsTokenizer.from_config({"bins": 8}).fit(episodes)
    whole = tokenizer.encode(episodes[0]).arrays["component"]
    assert (tokenizer.ahead_of_all(20).arrays["component"] == whole[:20]).all()
