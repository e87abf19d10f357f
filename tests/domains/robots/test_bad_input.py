"""A file with bad episodes among good ones: each is rejected by name and code, and the others are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import InputError
from core.ingest import prepare_store, rejects_path
from core.split import SplitConfig
from core.store import TokenStore
from domains.robots.source import open_source
from domains.robots.tokenizer import ContinuousTokenizer

h5py = pytest.importorskip("h5py")
GOOD, STEPS = 7, 5
Arrays = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What is wrong with an episode of Pendulum (three sensors, a torque from -2 to 2), and what is said of it."""

    change: Callable[[Arrays], Any]
    code: str
    says: str


def put(name: str, step: int, value: float) -> Callable[[Arrays], Any]:
    return lambda arrays: arrays[name].__setitem__(step, value)


CASES = {
    "an observation too many": Case(
        lambda a: a.update(observations=np.zeros((STEPS + 2, 3))), "shape", "7 observations, 5 actions"
    ),
    "a reward too few": Case(lambda a: a.update(rewards=np.zeros(STEPS - 1)), "shape", "5 actions and 4 rewards"),
    "NaN action": Case(put("actions", 2, np.nan), "nan_action", "NaN at step 2"),
    "action outside the space": Case(put("actions", 4, 2.5), "outside_space", "x1 = 2.5, outside -2..2"),
    "another width": Case(
        lambda a: a.update(observations=np.zeros((STEPS + 1, 4))), "wrong_width", "4 observation columns, expected 3"
    ),
    "infinite observation": Case(put("observations", 1, np.inf), "not_finite", "infinite observation at step 1"),
    "infinite reward": Case(put("rewards", 0, -np.inf), "not_finite", "infinite reward at step 0"),
    "no steps": Case(
        lambda a: a.update(observations=np.zeros((1, 3)), actions=np.zeros((0, 1)), rewards=np.zeros(0)),
        "too_short",
        "episode_8",
    ),
    "no actions": Case(lambda a: a.pop("actions"), "missing_array", "actions"),
}


def file_of(path: Path, changes: Iterable[Callable[[Arrays], Any]]) -> Path:
    """GOOD episodes, and between them one for every change."""
    drawn = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for number, change in enumerate([None, *changes, *[None] * (GOOD - 1)]):
            arrays: Arrays = {
                "observations": drawn.uniform(-1, 1, (STEPS + 1, 3)),
                "actions": drawn.uniform(-2, 2, (STEPS, 1)),
                "rewards": drawn.uniform(-1, 0, STEPS),
            }
            if change is not None:
                change(arrays)
            group = file.create_group(f"episode_{number}")
            for name, values in arrays.items():
                group[name] = values
    return path


def prepared(path: Path, out: Path, **limits: Any) -> None:
    source = open_source(path=path, env="Pendulum-v1")
    split = SplitConfig(rule="random", validation=0.2, test=0.2)
    prepare_store(source, ContinuousTokenizer(), out, split=split, domain="robots", **limits)


def test_bad_episodes_are_named_and_the_others_are_kept(tmp_path: Path) -> None:
    path, out = file_of(tmp_path / "mine.hdf5", (case.change for case in CASES.values())), tmp_path / "mine.zarr"
    prepared(path, out, max_bad=0.7)
    assert len(TokenStore.open(out)) == GOOD
    found = [json.loads(line) for line in rejects_path(out).read_text().splitlines()]
    rejects = {reject["index"]: reject for reject in found}
    assert len(found) == len(rejects) == len(CASES)
    for number, (name, case) in enumerate(CASES.items(), 1):
        reject = rejects[number]
        assert (reject["reason"], reject["file"]) == (case.code, str(path)), name
        assert reject["id"].endswith(f"episode_{number}"), name
        assert case.says in reject["message"], name


def test_more_bad_episodes_than_allowed_stop_the_work_before_anything_is_kept(tmp_path: Path) -> None:
    path = file_of(tmp_path / "mine.hdf5", [CASES["NaN action"].change])
    with pytest.raises(InputError, match=f"1 of {GOOD + 1}"):
        prepared(path, tmp_path / "mine.zarr")
    assert not (tmp_path / "mine.zarr").exists()
