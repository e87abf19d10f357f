"""Files of episodes in the layouts of Minari, D4RL, LeRobot and diffusion policy, written here as those write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import InputError
from core.rejects import Reject
from domains.formats.episodes import RawEpisode, ends_checked
from domains.formats.episodes_hdf5 import EpisodesHdf5
from domains.formats.lerobot import LeRobot
from domains.formats.replay_zarr import ReplayZarr

h5py = pytest.importorskip("h5py")
LENGTHS = (4, 6, 3)


def arrays(steps: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "observations": rng.standard_normal((steps, 3)).astype(np.float32),
        "actions": rng.standard_normal((steps, 2)).astype(np.float32),
        "rewards": rng.standard_normal(steps),
    }


def write_minari(path: Path, nested: bool = False) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["env_spec"] = json.dumps({"id": "CartPole-v1"})
        for number, steps in enumerate(LENGTHS):
            one, group = arrays(steps, number), file.create_group(f"episode_{number}")
            seen = np.concatenate([one["observations"], one["observations"][:1]])
            if nested:
                inner = group.create_group("observations", track_order=True)
                inner["pose"], inner["arm"] = seen[:, :2], seen[:, 2:]
            else:
                group["observations"] = seen
            group["actions"], group["rewards"] = one["actions"], one["rewards"]
            group["terminations"] = np.arange(steps) == steps - 1
            group["truncations"] = np.zeros(steps, bool)
            group.attrs["seed"] = 10 + number
    return path


def write_d4rl(path: Path, **more: np.ndarray) -> Path:
    total = sum(LENGTHS)
    one = arrays(total)
    ends = np.cumsum(LENGTHS) - 1
    with h5py.File(path, "w") as file:
        for name, array in one.items():
            file[name] = array
        file["terminals"] = np.isin(np.arange(total), ends[:1])
        file["timeouts"] = np.isin(np.arange(total), ends[1:2])
        for name, array in more.items():
            file[name] = array
    return path


def test_minari_keeps_the_observation_after_the_last_action(tmp_path: Path) -> None:
    reader = EpisodesHdf5(write_minari(tmp_path / "main_data.hdf5"))
    found = list(reader)
    assert reader.records_in == len(found) == 3
    assert reader.facts.env_id == "CartPole-v1"
    for number, (one, steps) in enumerate(zip(found, LENGTHS, strict=True)):
        assert isinstance(one, RawEpisode)
        truth = arrays(steps, number)
        assert np.array_equal(one.observations[""][:-1], truth["observations"])
        assert np.array_equal(one.actions[""], truth["actions"])
        assert (one.terminated, one.truncated, one.seed) == (True, False, 10 + number)


def test_nested_observations_keep_their_order_and_may_be_chosen(tmp_path: Path) -> None:
    path = write_minari(tmp_path / "nested.hdf5", nested=True)
    first = next(iter(EpisodesHdf5(path)))
    assert set(first.observations) == {"pose", "arm"}
    chosen = next(iter(EpisodesHdf5(path, ("arm",))))
    assert list(chosen.observations) == ["arm"]
    refused = next(iter(EpisodesHdf5(path, ("leg",))))
    assert isinstance(refused, Reject)
    assert "no observations 'leg'" in refused.message


def test_d4rl_is_cut_where_it_terminates_or_times_out(tmp_path: Path) -> None:
    found = list(EpisodesHdf5(write_d4rl(tmp_path / "walker.hdf5")))
    assert [len(e.actions[""]) for e in found] == list(LENGTHS)
    assert [e.terminated for e in found] == [True, False, False]
    assert [e.truncated for e in found] == [False, True, True]
    whole = arrays(sum(LENGTHS))
    assert np.array_equal(np.concatenate([e.observations[""] for e in found]), whole["observations"])
    later = whole["observations"] + 1
    more = list(EpisodesHdf5(write_d4rl(tmp_path / "next.hdf5", next_observations=later)))
    assert [len(e.observations[""]) for e in more] == [n + 1 for n in LENGTHS]
    assert np.array_equal(more[0].observations[""][-1], later[LENGTHS[0] - 1])


def test_damaged_and_foreign_hdf5_is_refused(tmp_path: Path) -> None:
    whole = write_d4rl(tmp_path / "a.hdf5").read_bytes()
    (tmp_path / "cut.hdf5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        list(EpisodesHdf5(tmp_path / "cut.hdf5"))
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(InputError, match="neither Minari's"):
        EpisodesHdf5(tmp_path / "b.hdf5")
    path = write_d4rl(tmp_path / "c.hdf5")
    with h5py.File(path, "a") as file:
        del file["rewards"]
        file["rewards"] = np.zeros(5)
    with pytest.raises(InputError, match="different numbers of steps"):
        list(EpisodesHdf5(path))


def write_replay(path: Path, ends: Any, steps: int = sum(LENGTHS)) -> Path:
    import zarr

    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    one = arrays(steps)
    data, meta = group.create_group("data"), group.create_group("meta")
    for name, array in (
        ("state", one["observations"]),
        ("action", one["actions"]),
        ("img", np.zeros((steps, 4, 4, 3))),
    ):
        data.create_array(name, data=array)
    meta.create_array("episode_ends", data=np.asarray(ends))
    return path


def test_a_replay_buffer_is_cut_at_its_ends_and_pictures_are_left(tmp_path: Path) -> None:
    reader = ReplayZarr(write_replay(tmp_path / "r.zarr", np.cumsum(LENGTHS)))
    found = list(reader)
    assert [len(e.actions[""]) for e in found] == list(LENGTHS)
    assert list(found[0].observations) == ["state"]
    whole = arrays(sum(LENGTHS))
    assert np.array_equal(np.concatenate([e.actions[""] for e in found]), whole["actions"])


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ([4, 4, 13], "do not increase: end 1 is 4"),
        ([4, 3, 13], "do not increase"),
        ([4, 10, 14], "the last episode ends at step 14, the arrays have 13"),
        ([4, 10], "3 steps belong to none"),
        ([4.0, 13.0], "expected whole numbers"),
    ],
)
def test_ends_that_make_no_episodes_are_refused(tmp_path: Path, ends: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ReplayZarr(write_replay(tmp_path / "r.zarr", ends))
    with pytest.raises(InputError, match=message):
        ends_checked(np.asarray(ends), 13, "here")


def write_lerobot(folder: Path, total: int = 3, skip: int | None = None) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "meta").mkdir(parents=True)
    (folder / "data" / "chunk-000").mkdir(parents=True)
    info = {"codebase_version": "v3.0", "total_episodes": total, "fps": 10}
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    pq.write_table(pa.table({"task_index": [0, 1], "task": ["lift", "stack"]}), folder / "meta" / "tasks.parquet")
    rows: dict[str, list] = {
        k: [] for k in ("observation.state", "action", "episode_index", "frame_index", "task_index")
    }
    for number, steps in enumerate(LENGTHS):
        one = arrays(steps, number)
        for step in range(steps):
            if (number, step) == (1, skip):
                continue
            rows["observation.state"].append(one["observations"][step].tolist())
            rows["action"].append(one["actions"][step].tolist())
            rows["episode_index"].append(number)
            rows["frame_index"].append(step)
            rows["task_index"].append(number % 2)
    table = pa.table(rows)
    pq.write_table(table.slice(0, 7), folder / "data" / "chunk-000" / "file-000.parquet")
    pq.write_table(table.slice(7), folder / "data" / "chunk-000" / "file-001.parquet")
    return folder


def test_lerobot_episodes_may_go_on_in_the_next_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    reader = LeRobot(write_lerobot(tmp_path / "set"))
    found = list(reader)
    assert reader.records_in == 3
    assert [len(e.actions[""]) for e in found] == list(LENGTHS)
    assert [e.task for e in found] == ["lift", "stack", "lift"]
    for number, one in enumerate(found):
        assert np.allclose(one.observations["observation.state"], arrays(LENGTHS[number], number)["observations"])


def test_lerobot_with_lost_steps_or_episodes_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    items = list(LeRobot(write_lerobot(tmp_path / "lost", skip=2)))
    assert [item.reason for item in items if isinstance(item, Reject)] == ["missing_steps"]
    with pytest.raises(InputError, match="tells of 5 episodes, the Parquet files hold 3"):
        list(LeRobot(write_lerobot(tmp_path / "few", total=5)))
