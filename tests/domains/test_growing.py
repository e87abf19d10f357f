"""A fitted tokenizer that grows keeps its constants in front, knows where it comes from, and grows by nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core.errors import ConfigError
from core.tokenizer import accepts, describe, growing, grows, restore
from domains import tokenizer_classes
from domains.chaos.source import Trajectory
from domains.chaos.tokenizer import BinsTokenizer, DelayTokenizer, StateConfig, StateTokenizer
from domains.formats.series import Series
from domains.robots.source.episode import Episode
from domains.robots.tokenizer import ContinuousConfig, ContinuousTokenizer
from domains.time_series.tokenizer import BinsTokenizer as SeriesBins
from domains.time_series.tokenizer import DigitsTokenizer, PatchTokenizer
from tests.domains.robots.conftest import episode
from tests.domains.time_series.made import daily

Made = Callable[[bool], list[Any]]


def states(more: bool, channels: int = 2) -> list[Trajectory]:
    """Two channels, or others of another size and a third one."""
    values = np.random.default_rng(int(more)).normal(size=(200, channels + more)).cumsum(0) * (1 + 9 * more)
    return [Trajectory("a", values, dt=0.1)]


def series(more: bool) -> list[Series]:
    one = dataclasses.replace(daily(240), known={"plan": np.arange(240.0)})
    return (
        [dataclasses.replace(one, known={"tide": np.ones(240), **one.known}, past={"wind": np.ones(240)})]
        if more
        else [one]
    )


def episodes(more: bool) -> list[Episode]:
    made = [episode(f"e{i}", 9, seed=i + 10 * more, task=("push", "pull", "lift")[i % (2 + more)]) for i in range(6)]
    if not more:
        return made
    return [
        dataclasses.replace(one, observations=np.hstack([one.observations, one.observations[:, :1]])) for one in made
    ]


GROWING: list[tuple[Any, Made]] = [
    (StateTokenizer(), states),
    (StateTokenizer(StateConfig(patch=2)), states),
    (DelayTokenizer(), states),
    (PatchTokenizer(), series),
    (SeriesBins.from_config({"known": "auto", "calendar": "auto"}), series),
    (ContinuousTokenizer(ContinuousConfig(return_to_go=True)), episodes),
]
NAMES = [f"{tokenizer.kind}-{i}" for i, (tokenizer, _) in enumerate(GROWING)]


@pytest.mark.parametrize(("tokenizer", "made"), GROWING, ids=NAMES)
def test_what_it_knows_stays_in_front(tokenizer: Any, made: Made) -> None:
    old = tokenizer.fit(made(False))
    grown = growing(restore(describe(old), tokenizer_classes())).fit(made(True))
    assert grows(describe(old), describe(grown))
    assert not accepts(describe(old), describe(grown))
    assert describe(grown)["config"]["grown_from"] == [describe(old)["fingerprint"]]
    assert type(grown).from_config(grown.to_config()).spec == grown.spec
    back = restore(describe(grown), tokenizer_classes())
    assert describe(back) == describe(grown)
    assert back.spec == grown.spec
    for field in old.spec.fields:
        wider = grown.spec[field.name]
        assert wider.role == field.role
        if field.is_symbol:
            assert wider.vocabulary.symbols[: len(field.vocabulary.symbols)] == field.vocabulary.symbols
        elif field.scaling is not None:
            for key in ("location", "scale", "residual_scale"):
                before = np.reshape(getattr(field.scaling, key), (-1, field.width))
                after = np.reshape(getattr(wider.scaling, key), (-1, wider.width))
                np.testing.assert_array_equal(after[:, : before.shape[1]], before)
    record = made(True)[0]
    assert grown.same(grown.decode(grown.encode(record)), grown.canonical(record))


@pytest.mark.parametrize(("tokenizer", "made"), GROWING, ids=NAMES)
def test_where_nothing_is_new_nothing_grows(tokenizer: Any, made: Made) -> None:
    old = tokenizer.fit(made(False))
    assert describe(growing(old).fit(made(False))) == describe(old)


def test_one_task_more_stands_behind_the_others() -> None:
    old = ContinuousTokenizer().fit(episodes(False))
    grown = growing(old).fit([episode("l", 9, task="lift")])
    assert grown.spec["task"].vocabulary.symbols[-3:] == ("pull", "push", "lift")
    assert growing(old).fit([episode("p", 9, task="push")]) is old


def test_a_column_that_stood_still_is_named(caplog: pytest.LogCaptureFixture) -> None:
    old = ContinuousTokenizer().fit(episodes(False))
    moved = [
        dataclasses.replace(one, observations=one.observations + np.arange(10)[:, None]) for one in episodes(False)
    ]
    with caplog.at_level("WARNING"):
        assert growing(old).fit(moved) is old
    assert "observation columns 3 move here" in caplog.text


def test_it_grows_again() -> None:
    first = StateTokenizer().fit(states(False))
    second = growing(first).fit(states(True))
    third = growing(second).fit(states(True, channels=3))
    assert third.grown_from == tuple(describe(t)["fingerprint"] for t in (first, second))
    assert grows(describe(first), describe(third))
    assert third.spec["values"].width == 4


@pytest.mark.parametrize(
    ("tokenizer", "known", "others", "message"),
    [
        (StateTokenizer(), states(True), states(False), "records have 2 channels, fewer than the 3"),
        (PatchTokenizer(), series(True), series(False), "lacks the known covariate 'tide'"),
        (ContinuousTokenizer(), episodes(True), episodes(False), "4 observation columns"),
    ],
)
def test_fewer_channels_are_no_growth(tokenizer: Any, known: list[Any], others: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        growing(tokenizer.fit(known)).fit(others)


def test_tokens_of_one_symbol_have_no_channels() -> None:
    with pytest.raises(ConfigError, match="tokens of chaos_bins have no channels"):
        growing(BinsTokenizer().fit(states(False)))
    with pytest.raises(ConfigError, match="tokens of ts_digits have no channels"):
        growing(DigitsTokenizer())


def test_lineage_is_no_setting() -> None:
    with pytest.raises(ConfigError, match="grown_from"):
        StateTokenizer.from_config({"grown_from": ["abc"]})
