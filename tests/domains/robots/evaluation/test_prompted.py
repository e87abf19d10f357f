"""Demonstrations before an episode: read and not learned, and read again before the model acts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import ConfigError, RecordError
from core.ingest import prepare_store
from core.split import SplitConfig
from core.store import TokenStore
from core.tokenizer import restore
from domains import DOMAINS, tokenizer_classes
from domains.own_data import split_config
from domains.robots.evaluation import evaluate
from domains.robots.evaluation.model_policy import ModelPolicy
from domains.robots.source import open_source
from domains.robots.source.environments import Where
from domains.robots.source.episode import Episode, prompted
from domains.robots.tokenizer import ComponentsTokenizer, ContinuousTokenizer
from tests.domains.robots.conftest import episode
from tests.domains.robots.evaluation.test_evaluate import untrained


def pair(seed: int = 0) -> tuple[Episode, Episode, Episode]:
    demonstration, query = episode("d", 5, seed=seed), episode("q", 7, seed=seed + 50)
    return demonstration, query, prompted(query, [demonstration])


def test_a_prompt_stands_before_the_episode_and_does_not_count() -> None:
    demonstration, query, one = pair()
    assert (one.prompt, len(one)) == (6, 13)
    assert one.total == pytest.approx(query.total)
    np.testing.assert_array_equal(one.query.observations, query.observations)
    np.testing.assert_array_equal(one.query.actions, query.actions)
    np.testing.assert_array_equal(one.part(0, 5).observations, demonstration.observations)
    assert (one.part(4, 9).prompt, one.part(6, 9).prompt, one.part(0, 3).prompt) == (2, 0, 3)
    assert np.isnan(one.actions[5]).all()


def test_loss_is_on_the_query_only_and_the_round_trip_holds() -> None:
    records = [pair(seed)[2] for seed in range(4)]
    tokenizer = ContinuousTokenizer.from_config({"tell_task": False}).fit(records)
    for record in records:
        sequence = tokenizer.encode(record)
        assert sequence.loss_mask["action"].tolist() == [False] * 7 + [True] * 7
        assert set(sequence.loss_mask) == {"action", "observation"}
        assert tokenizer.same(tokenizer.decode(sequence), tokenizer.canonical(record))


def test_an_action_missing_inside_a_demonstration_or_a_tokenizer_without_prompts_is_refused() -> None:
    _, _, one = pair()
    broken = one.actions.copy()
    broken[2, 0] = np.nan
    with pytest.raises(RecordError, match="NaN at step 2"):
        ContinuousTokenizer().fit([Episode("q", one.observations, broken, one.rewards, prompt=6)])
    with pytest.raises(RecordError, match="robots_components does not read"):
        ComponentsTokenizer().fit([one])


def test_made_episodes_have_demonstrations_of_their_own_and_the_model_reads_one_before_it_acts(tmp_path: Path) -> None:
    source = open_source("classic", episodes=6, demonstrations=1, max_steps=12, reference_episodes=0)
    path = tmp_path / "prompted.zarr"
    split = split_config(source, 0, {})
    assert isinstance(split, SplitConfig)
    tokenizer: Any = DOMAINS.get("robots").make_tokenizer("robots_continuous", {})
    prepare_store(source, tokenizer, path, split=split, domain="robots")
    store = TokenStore.open(path)
    assert len(store) == 6
    assert sorted(store.labels("seed").tolist()) == [1, 3, 5, 7, 9, 11]
    learned: Any = restore(store.tokenizer, tokenizer_classes())
    engine = untrained(learned, context=64)
    table = evaluate(
        engine, store, learned, out=tmp_path / "out", figures=False, episodes=2, max_steps=5, resamples=100,
        baselines=["random", "expert", "behaviour_cloning"],
    )  # fmt: skip
    assert table.find("return_mean").n == 2
    prompt = learned.decode(store[0])
    policy = ModelPolicy(engine.model, learned, prompts={"CartPole-v1": prompt.part(0, prompt.prompt)})
    policy.begin([Where("CartPole-v1")] * 2, [0, 1])
    assert policy.reader.count.tolist() == [prompt.prompt + 1] * 2
    assert np.isnan(policy.last).all()


def test_held_out_tasks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"data.held_out: 'drawer' is none"):
        open_source("classic", held_out=["drawer"])
