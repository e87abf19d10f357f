"""Episodes drawn from a model of several tasks: each is of one task, from nothing a task by the seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import foretell
from core.ingest import prepare_store
from core.split import SplitConfig
from domains import DOMAINS
from domains.robots.source import open_source
from tests.domains.robots.conftest import episode


def test_a_drawn_episode_is_of_one_task(tmp_path: Path) -> None:
    made = [episode(f"e{i}", 10, seed=i, task=("push", "pull", "turn")[i % 3]) for i in range(9)]
    DOMAINS.get("robots").load("writer")(tmp_path / "e.jsonl", made)
    store = tmp_path / "s.zarr"
    opened = open_source(path=tmp_path / "e.jsonl")
    tokenizer = DOMAINS.get("robots").make_tokenizer()
    prepare_store(opened, tokenizer, store, split=SplitConfig(rule="random"), domain="robots")
    model = foretell.train(store, tmp_path / "run", size="xs", steps=1, seed=0)
    drawn = model.sample(8, max_length=6, seed=1)
    tasks = [one.record.task for one in drawn]
    assert set(tasks) <= {"push", "pull", "turn"}
    assert len(set(tasks)) > 1
    again = model.sample(8, max_length=6, seed=1)
    assert [one.record.task for one in again] == tasks
    assert all(
        np.array_equal(a.record.actions, b.record.actions, equal_nan=True) for a, b in zip(drawn, again, strict=True)
    )
    going_on = model.sample(2, max_length=8, prefix=episode("p", 3, task="pull"), seed=1)
    assert {one.record.task for one in going_on} == {"pull"}
