import json
import logging
import shutil

import pytest
import torch

from core.errors import IntegrityError, ResourceError
from core.training.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint, sweep
from core.training.course import Course
from core.training.state import TrainingState
from tests.core.training.full_disk import files_of_at_most


def state(value=1.0, averages=False):
    weights = {"model.a": torch.full((3, 2), value), "model.b": torch.tensor(value)}
    optimizer = {"model.a::exp_avg": torch.full((3, 2), -value), "model.a::step": torch.tensor(value)}
    return TrainingState(weights, optimizer, {"model.a": torch.zeros(3, 2)} if averages else None)


def course(step):
    return Course(step=step, tokens=10 * step, best_val=1.5, logs={"steps.jsonl": 7}).to_config()


def test_what_is_saved_comes_back(tmp_path):
    path = save_checkpoint(tmp_path, state(2.0, averages=True), course(5), keep=2)
    assert newest_checkpoint(tmp_path) == path
    loaded = load_checkpoint(path)
    for mine, theirs in (
        (loaded.state.weights, state(2.0).weights),
        (loaded.state.optimizer, state(2.0).optimizer),
        (loaded.state.averages, state(averages=True).averages),
    ):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], t) for name, t in theirs.items())
    again = Course()
    again.restore(loaded.course)
    assert again.to_config() == course(5)
    assert {p.suffix for p in path.iterdir()} == {".safetensors", ".json"}


def test_tensors_that_share_memory_are_saved_once_each(tmp_path):
    a = torch.arange(6.0).view(2, 3)
    path = save_checkpoint(tmp_path, TrainingState({"a": a, "tied": a, "turned": a.T}, {}, None), course(1), keep=2)
    loaded = load_checkpoint(path).state.weights
    assert torch.equal(loaded["a"], a)
    assert torch.equal(loaded["tied"], a)
    assert torch.equal(loaded["turned"], a.T)


def test_the_newest_are_kept(tmp_path):
    for step in (1, 2, 30, 4, 5):
        save_checkpoint(tmp_path, state(), course(step), keep=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000004", "step-000000005", "step-000000030"]


def truncate(path):
    (path / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes()[:-1])


def flip(path):
    data = bytearray((path / "optimizer.safetensors").read_bytes())
    data[-1] ^= 1
    (path / "optimizer.safetensors").write_bytes(data)


def lose_manifest(path):
    (path / "manifest.json").unlink()


def lose_file(path):
    (path / "course.json").unlink()


def garble_manifest(path):
    (path / "manifest.json").write_text("[]")


@pytest.mark.parametrize("damage", [truncate, flip, lose_manifest, lose_file, garble_manifest])
def test_a_damaged_checkpoint_is_skipped_and_named(tmp_path, caplog, damage):
    good = save_checkpoint(tmp_path, state(1.0), course(1), keep=2)
    bad = save_checkpoint(tmp_path, state(2.0), course(2), keep=2)
    damage(bad)
    with caplog.at_level(logging.WARNING):
        assert newest_checkpoint(tmp_path) == good
    assert "step-000000002" in caplog.text
    assert (tmp_path / "step-000000002.damaged").exists()
    # set aside, it does not count among those that are kept
    save_checkpoint(tmp_path, state(), course(2), keep=2)
    assert good.exists()


def test_leftovers_of_a_killed_save_are_no_checkpoints_and_are_swept(tmp_path):
    folder = tmp_path / "checkpoints"
    good = save_checkpoint(folder, state(), course(1), keep=2)
    for name in ("step-000000002.partial-77", "step-000000001.replaced-77", "step-000000000.dropped"):
        shutil.copytree(good, folder / name)
    (tmp_path / "bundle.partial-77").mkdir()
    (tmp_path / "plan.json.partial-77").write_text("")
    assert newest_checkpoint(folder) == good
    sweep(tmp_path)
    assert [p.name for p in folder.iterdir()] == [good.name]
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoints"]


def test_a_checkpoint_of_a_later_version_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, state(), course(1), keep=2)
    about = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**about, "format_version": 2}))
    with pytest.raises(IntegrityError, match="format_version 2"):
        newest_checkpoint(tmp_path)


def test_nothing_there_is_none(tmp_path):
    assert newest_checkpoint(tmp_path / "missing") is None


@pytest.mark.parametrize("limit", [0, 150, 250])
def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, limit):
    for step in (1, 2):
        save_checkpoint(tmp_path, state(), course(step), keep=2)
    with files_of_at_most(limit), pytest.raises(ResourceError, match="step-000000003") as error:
        save_checkpoint(tmp_path, state(), course(3), keep=2)
    assert error.value.exit_code == 5
    assert f"The last good checkpoint is {tmp_path / 'step-000000002'}" in error.value.hint
    assert sorted(tmp_path.iterdir()) == [tmp_path / "step-000000001", tmp_path / "step-000000002"]
    assert newest_checkpoint(tmp_path) == tmp_path / "step-000000002"
