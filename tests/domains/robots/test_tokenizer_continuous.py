"""One token a step: the contract, the order of what is read and predicted, what is missing, the prompts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from core.batching.batch import make_row
from core.errors import ConfigError, RecordError
from domains.robots.source.episode import Episode
from domains.robots.source.spaces import Space, box, choice
from domains.robots.tokenizer import ContinuousTokenizer
from domains.robots.tokenizer.continuous import to_go
from tests.domains.robots.conftest import episode
from tests.tokenizer_kit import TokenizerContract

MIXED = Space((*box(2, "grip", -1, 1).parts, *choice(3, "gear").parts))


def mixed(name: str = "m", steps: int = 9, seed: int = 0, **more: Any) -> Episode:
    one = episode(name, steps, seed=seed, space=MIXED, **more)
    gears = np.random.default_rng(seed + 100).integers(0, 3, steps)
    return replace(one, actions=np.concatenate([one.actions[:, :2], gears[:, None]], axis=1))


def fitted(episodes: list[Episode], **options: Any) -> ContinuousTokenizer:
    return ContinuousTokenizer.from_config(options).fit(episodes)


@st.composite
def records(draw: Any) -> Episode:
    one = mixed("r", draw(st.integers(1, 20)), draw(st.integers(0, 99)), final=draw(st.booleans()))
    if draw(st.booleans()):
        seen = one.observations.copy()
        seen[draw(st.integers(0, len(seen) - 1)), draw(st.integers(0, 2))] = np.nan
        one = replace(one, observations=seen)
    if draw(st.booleans()):
        one = replace(one, actions=np.full_like(one.actions, np.nan))
    return one


class TestContinuous(TokenizerContract):
    training = [mixed(f"t{i}", 12, i) for i in range(4)]
    unfitted = ContinuousTokenizer()
    tokenizer = ContinuousTokenizer().fit(training)
    records = records()
    refused = [
        (replace(mixed("wide"), observations=np.zeros((10, 5))), "wrong_width"),
        (replace(mixed("other"), actions=np.zeros((9, 2)), action_space=box(2)), "other_actions"),
        (replace(mixed("nan"), actions=np.where(np.arange(9)[:, None] == 4, np.nan, mixed().actions)), "nan_action"),
        (replace(mixed("far"), actions=mixed().actions + np.array([0, 5.0, 0])), "outside_space"),
        (replace(mixed("half"), actions=mixed().actions * [1, 1, 0] + [0, 0, 0.5]), "outside_space"),
        (replace(mixed("inf"), rewards=np.full(9, np.inf)), "not_finite"),
        (replace(mixed("blind"), observations=np.full((10, 4), np.nan)), "no_values"),
        (Episode("none", np.zeros((1, 4)), np.zeros((0, 3)), np.zeros(0), action_space=MIXED), "empty"),
    ]

    def size(self, record: Episode) -> float:
        return len(record) + 1

    def test_extension_keeps_ids(self) -> None:
        with pytest.raises(ConfigError, match="no symbols to add to"):
            self.tokenizer.extend(self.symbols)


def test_what_is_read_before_an_action_is_the_observation_it_answers() -> None:
    one = mixed(steps=6)
    tokenizer = fitted([one])
    row = make_row(tokenizer.encode(one), tokenizer.spec, eos=False)
    for step in range(6):
        position = step + 1  # predicts token step + 1, which holds the action of that step
        assert np.allclose(row.fields["observation"][position, :3], one.observations[step, :3])
        assert np.allclose(row.targets["action"][position], one.actions[step, :2])
        assert row.targets["choice_1"][position] == one.actions[step, 2] + 5
        assert np.allclose(row.targets["observation"][position, :3], one.observations[step + 1, :3])
    assert not row.loss_mask["action"][0].any(), "no action led to the first observation"


def test_a_constant_column_comes_back_and_is_neither_read_nor_predicted() -> None:
    one = mixed()
    tokenizer = fitted([one])
    sequence = tokenizer.encode(one)
    assert tokenizer.config.constant == (False, False, False, True)
    assert not sequence.observed["observation"][:, 3].any()
    odd = replace(one, observations=one.observations + np.array([0, 0, 0, 1.0]))
    assert tokenizer.decode(tokenizer.encode(odd)).observations[0, 3] == 3.5


def test_an_episode_without_actions_predicts_observations_only() -> None:
    one = mixed()
    tokenizer = fitted([one])
    sequence = tokenizer.encode(replace(one, actions=np.full_like(one.actions, np.nan)))
    row = make_row(sequence, tokenizer.spec, eos=False)
    assert not row.loss_mask["action"].any()
    assert not row.loss_mask["choice_1"].any()
    assert row.loss_mask["observation"][:, :3].all()


def test_return_to_go_is_given_with_the_observation_it_starts_from() -> None:
    one = mixed(steps=5)
    tokenizer = fitted([one], return_to_go=True)
    ahead = tokenizer.encode(one).arrays["return_to_go"][:, 0]
    assert ahead[0] == pytest.approx(one.rewards.sum(), rel=1e-5)
    assert ahead[-1] == 0
    assert np.allclose(ahead[:-1] - ahead[1:], one.rewards, atol=1e-5)
    assert np.allclose(to_go(one.rewards), ahead[:-1], atol=1e-5)


def test_the_past_action_lies_so_many_steps_back() -> None:
    one = mixed(steps=6)
    sequence = fitted([one], past=2).encode(one)
    assert np.allclose(sequence.arrays["past_action"][3:], one.actions[:4, :2], atol=1e-6)
    assert not sequence.observed["past_action"][:3].any()


def test_several_tasks_are_told_to_the_model() -> None:
    both = [mixed("x", task="push"), mixed("y", task="pull")]
    tokenizer = fitted(both)
    assert tokenizer.config.tasks == ("pull", "push")
    assert set(tokenizer.encode(both[0]).arrays["task"].tolist()) == {6}
    with pytest.raises(RecordError, match="'z' is of task 'pushh'; did you mean 'push'"):
        tokenizer.encode(mixed("z", task="pushh"))


def test_a_dropped_sensor_is_missing_in_the_whole_window_and_only_it() -> None:
    one = mixed(steps=30)
    tokenizer = fitted([one], sensor_drop=1.0)
    sequence = tokenizer.encode(one)
    arrays = {**sequence.arrays, "observed/observation": sequence.observed["observation"]}
    seen = tokenizer.view_window(arrays, np.random.default_rng(0))["observed/observation"]
    lost = (sequence.observed["observation"] & ~seen).all(0)
    assert lost.sum() <= 1
    assert (seen | ~sequence.observed["observation"])[:, ~lost].all()
    drops = {
        int((~tokenizer.view_window(arrays, np.random.default_rng(s))["observed/observation"]).all(0).sum())
        for s in range(20)
    }
    assert 2 in drops, "beside the constant column one is dropped"


def wished(name: str = "w", steps: int = 9, seed: int = 0, **more: Any) -> Episode:
    """With intended actions beside those that were done."""
    one = mixed(name, steps, seed, **more)
    return replace(one, intended=mixed(name, steps, seed + 50).actions)


class TestIntended(TestContinuous):
    training = [wished(f"t{i}", 12, i) for i in range(4)]
    unfitted = ContinuousTokenizer.from_config({"intended": True, "read_actions": False})
    tokenizer = unfitted.fit(training)
    records = st.one_of(records(), st.builds(wished, steps=st.integers(1, 20), seed=st.integers(0, 99)))
    refused = [
        (replace(wished("nan"), intended=np.where(np.arange(9)[:, None] == 4, np.nan, mixed().actions)), "nan_action"),
        (replace(wished("far"), intended=mixed().actions + np.array([0, 5.0, 0])), "outside_space"),
        (replace(wished("inf"), intended=mixed().actions + np.array([0, np.inf, 0])), "not_finite"),
    ]


@pytest.mark.parametrize("read_actions", [True, False])
def test_what_was_intended_is_predicted_and_what_was_done_is_read_or_not(read_actions: bool) -> None:
    one = wished(steps=6)
    tokenizer = fitted([one], intended=True, read_actions=read_actions, predict_observations=False)
    spec = tokenizer.spec
    assert [f.name for f in spec.targets] == ["intended", "intended_1"]
    assert not any(f.read for f in spec.targets)
    read = {f.name for f in spec.read_fields}
    assert read == ({"observation", "action", "choice_1"} if read_actions else {"observation"})
    row = make_row(tokenizer.encode(one), spec, eos=False)
    assert one.intended is not None
    for step in range(6):
        assert np.allclose(row.targets["intended"][step + 1], one.intended[step, :2])
        assert row.targets["intended_1"][step + 1] == one.intended[step, 2] + 5
        assert np.allclose(row.fields["action"][step + 1], one.actions[step - 1, :2]) or not step
    again = tokenizer.decode(tokenizer.encode(one))
    assert again.intended is not None
    assert np.allclose(again.intended, one.intended)
    assert np.allclose(again.wanted, one.intended)
    assert np.allclose(again.actions, one.actions)


def test_an_unknown_intention_is_not_learned() -> None:
    tokenizer = fitted([wished()], intended=True)
    row = make_row(tokenizer.encode(mixed()), tokenizer.spec, eos=False)
    assert not row.loss_mask["intended"].any()
    assert not row.loss_mask["intended_1"].any()
    with pytest.raises(ConfigError, match="no training episode says what its expert intended"):
        fitted([mixed()], intended=True)


def test_settings_that_fingerprints_are_older_than_stand_in_a_config_only_where_they_differ() -> None:
    assert not {"intended", "read_actions"} & set(ContinuousTokenizer().to_config())
    changed = ContinuousTokenizer.from_config({"intended": True, "read_actions": False})
    assert changed.to_config()["intended"] is True
    assert changed.to_config()["read_actions"] is False
    with pytest.raises(ConfigError, match=r"tokenizer.read_actions: got 'no'"):
        ContinuousTokenizer.from_config({"read_actions": "no"})
