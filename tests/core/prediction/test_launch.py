"""Whoever runs the blocks, the bytes are the same; what dies is replaced, and a row that kills is left out and told."""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from core.bundle import load_bundle
from core.errors import ConfigError, IntegrityError, StoppedError
from core.launch import LAUNCHERS, Work
from core.launch.dask import _client as dask_client
from core.launch.inprocess import run as in_process
from core.launch.killers import killers
from core.launch.options import LaunchOptions
from core.launch.stop import Stop
from core.prediction.job import Job
from core.prediction.plan import make_plan
from core.prediction.predict import predict
from core.prediction.store import PredictionStore
from core.store import TokenStore
from tests.core.prediction import deadly
from tests.core.prediction.processes import OPTIONS, start, wait_for
from tests.core.prediction.test_predict import LENGTHS, keys
from tests.core.tiny import records, tiny_model, write_bundle, write_store

TWO = LaunchOptions(workers=2)


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle", tiny_model())


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "in.zarr", records(*LENGTHS), shard_tokens=128)


@pytest.fixture
def with_killers(tmp_path):
    """Rows 6 and 9 are nothing but T."""
    made = records(*LENGTHS)
    for row in (6, 9):
        made[row] = replace(made[row], arrays={"tokens": np.full(12, deadly.T, made[row].arrays["tokens"].dtype)})
    return write_store(tmp_path / "killers.zarr", made)


def run(bundle, store, output, grammar=deadly.harmless, **changes):
    settings = {"what": ("score", "sample"), "options": OPTIONS, "rows_per_block": 4, "threads": 1, "batch_tokens": 64}
    return predict(bundle, store.path, output, **(settings | {"grammar": grammar} | changes))


def assert_equal_stores(a, b):
    assert keys(a) == keys(b)
    assert not list(a.rglob("*.partial-*"))


def test_several_processes_write_the_bytes_of_one(tmp_path, bundle, store):
    run(bundle, store, tmp_path / "whole.zarr")
    seen = []
    report = run(bundle, store, tmp_path / "out.zarr", launcher="local", launch=TWO, progress=seen.append)
    assert (report.rows, report.ok, report.blocks_kept, len(seen)) == (19, 19, 0, 5)
    assert_equal_stores(tmp_path / "out.zarr", tmp_path / "whole.zarr")
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(tmp_path, bundle, store, monkeypatch):
    run(bundle, store, tmp_path / "whole.zarr")
    monkeypatch.setenv(deadly.ONCE, str(tmp_path / "died"))
    report = run(bundle, store, tmp_path / "out.zarr", deadly.dies_once, launcher="local", launch=TWO)
    assert (tmp_path / "died").exists()
    assert report.ok == 19
    assert_equal_stores(tmp_path / "out.zarr", tmp_path / "whole.zarr")


def test_what_a_killed_worker_was_writing_is_removed(tmp_path, bundle, store):
    run(bundle, store, tmp_path / "whole.zarr")

    def kills_a_worker(work):
        LAUNCHERS.get("inprocess")(work)
        (work.job.plan.output / "blocks/00000.json.partial-4711").write_bytes(b"half of it")

    LAUNCHERS.add("kills_a_worker_for_a_test", kills_a_worker)
    run(bundle, store, tmp_path / "out.zarr", launcher="kills_a_worker_for_a_test")
    assert_equal_stores(tmp_path / "out.zarr", tmp_path / "whole.zarr")


@pytest.mark.slow
def test_a_row_that_kills_is_refused_and_the_others_are_done(tmp_path, bundle, with_killers):
    launch = LaunchOptions(workers=1)
    report = run(bundle, with_killers, tmp_path / "out.zarr", deadly.eight_t_kill, launcher="local", launch=launch)
    assert (report.rows, report.ok, report.refused) == (19, 17, {"worker_killed": 2})
    found = PredictionStore.open(tmp_path / "out.zarr")
    assert [entry["row"] for entry in found.refused()] == [6, 9]
    assert np.isnan(found["nll"][[6, 9]]).all()
    run(bundle, with_killers, tmp_path / "whole.zarr")
    others = np.delete(np.arange(19), [6, 9])
    assert np.allclose(found["nll"][others], PredictionStore.open(tmp_path / "whole.zarr")["nll"][others], atol=1e-4)
    again = run(bundle, with_killers, tmp_path / "out.zarr", deadly.eight_t_kill, launcher="local", launch=launch)
    assert again.blocks_kept == again.blocks


@pytest.mark.slow
def test_the_search_finds_every_killer_of_a_block(tmp_path, bundle):
    made = records(*[5] * 16)
    for row in (0, 7, 8, 15):
        made[row] = replace(made[row], arrays={"tokens": np.full(9, deadly.T, made[row].arrays["tokens"].dtype)})
    store = write_store(tmp_path / "in.zarr", made)
    settings = {"what": ("sample",), "options": OPTIONS, "rows_per_block": 16, "threads": 1}
    plan = make_plan(load_bundle(bundle), store, tmp_path / "out.zarr", **settings)
    assert killers(Job(plan, deadly.eight_t_kill), 0) == [0, 7, 8, 15]
    assert killers(Job(plan, deadly.harmless), 0) == []


@pytest.mark.parametrize("deadly_items", [set(), {0}, {6}, {2, 3}])
@pytest.mark.parametrize("killed_from_outside", [0, 1, 4])
def test_a_worker_that_something_else_ends_while_it_is_searched_costs_no_item(
    deadly_items, killed_from_outside, monkeypatch
):
    tries = []

    class Stub:
        def __init__(self, job):
            pass

        def try_items(self, block, items):
            tries.append(items)
            return len(tries) - 1 != killed_from_outside and not deadly_items & set(items)

        def end(self):
            pass

    monkeypatch.setattr("core.launch.killers.Worker", Stub)
    assert killers(SimpleNamespace(items=lambda block: 7), 0) == sorted(deadly_items)


@pytest.mark.slow
def test_damage_costs_its_own_blocks_only(tmp_path, bundle, store):
    shard = store.path / "fields/tokens/c/1"
    data = bytearray(shard.read_bytes())
    data[10] ^= 1
    shard.write_bytes(data)
    damaged = TokenStore.open(store.path)
    with pytest.raises(IntegrityError, match=r"could not be made; all others are there:\n  block \d, rows \d+ to \d+"):
        run(bundle, damaged, tmp_path / "out.zarr", launcher="local", launch=TWO)
    with pytest.raises(IntegrityError):
        run(bundle, damaged, tmp_path / "one.zarr")
    there, one = (PredictionStore.open(tmp_path / name, incomplete=True) for name in ("out.zarr", "one.zarr"))
    assert there["status"].tolist() == one["status"].tolist()


def test_ranges_are_done_apart_and_who_finishes_last_completes(tmp_path, bundle, store):
    run(bundle, store, tmp_path / "whole.zarr")
    first = run(bundle, store, tmp_path / "out.zarr", block_range=(3, 9))
    assert (first.missing, first.rows, first.blocks_kept) == (3, 7, 0)
    with pytest.raises(IntegrityError, match="3 of 5 blocks are missing"):
        PredictionStore.open(tmp_path / "out.zarr")
    last = run(bundle, store, tmp_path / "out.zarr", block_range=(0, 3))
    assert (last.missing, last.rows, last.ok) == (0, 19, 19)
    assert_equal_stores(tmp_path / "out.zarr", tmp_path / "whole.zarr")
    with pytest.raises(ConfigError, match=r"block_range: got \[3, 3\]"):
        run(bundle, store, tmp_path / "out.zarr", block_range=(3, 3))


def test_a_job_travels_as_json(tmp_path, bundle, store):
    plan = make_plan(load_bundle(bundle), store, tmp_path / "out.zarr", what=("sample",), options=OPTIONS, threads=1)
    job = Job.from_config(json.loads(json.dumps(Job(plan, deadly.harmless).to_config())))
    assert (job.plan.hash, job.grammar, job.other_strand) == (plan.hash, deadly.harmless, None)
    assert isinstance(job.open().grammar, deadly.OnlyA)


def test_launch_options_are_checked():
    for bad in ({"workers": -1}, {"sbatch": ("--array=0-3",)}, {"sbatch": ("cpu",)}):
        with pytest.raises(ConfigError):
            LaunchOptions(**bad)


@pytest.mark.slow
def test_a_signal_ends_workers_between_batches(tmp_path, bundle, store):
    process = start(bundle, store, tmp_path / "out.zarr", "local")
    wait_for(lambda: (tmp_path / "out.zarr").exists(), process)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    run(bundle, store, tmp_path / "out.zarr")
    run(bundle, store, tmp_path / "whole.zarr")
    assert_equal_stores(tmp_path / "out.zarr", tmp_path / "whole.zarr")


@pytest.mark.slow
def test_dask_without_a_scheduler_starts_its_own_and_finds_killers(tmp_path, bundle, with_killers):
    pytest.importorskip("distributed")
    launch = LaunchOptions(workers=1)
    report = run(bundle, with_killers, tmp_path / "out.zarr", deadly.eight_t_kill, launcher="dask", launch=launch)
    assert report.refused == {"worker_killed": 2}


@pytest.mark.slow
def test_own_dask_workers_keep_their_memory_and_leave_no_trace(tmp_path, bundle, store):
    """Dask sets MALLOC_TRIM_THRESHOLD_=65536 for the workers that it starts, and leaves it in the process."""
    pytest.importorskip("distributed")
    plan = make_plan(load_bundle(bundle), store, tmp_path / "out.zarr", what=("score",), threads=1)
    work = SimpleNamespace(job=Job(plan), todo=[0], options=LaunchOptions(workers=1))
    before = dict(os.environ)
    with dask_client(work) as client:
        assert set(client.run(os.environ.get, "MALLOC_TRIM_THRESHOLD_").values()) == {None}
    assert dict(os.environ) == before


@pytest.mark.slow
@pytest.mark.usefixtures("sbatch")
def test_an_array_of_slurm_writes_the_same_bytes(tmp_path, bundle, store, with_killers):
    run(bundle, store, tmp_path / "whole.zarr")
    launch = LaunchOptions(workers=3, sbatch=("--partition=cpu",), setup="export FROM_SETUP=1")
    report = run(bundle, store, tmp_path / "out.zarr", launcher="slurm", launch=launch)
    assert report.ok == 19
    assert_equal_stores(tmp_path / "out.zarr", tmp_path / "whole.zarr")
    script = (tmp_path / "out.zarr.slurm/array.sh").read_text()
    assert "#SBATCH --partition=cpu\n" in script
    assert "export FROM_SETUP=1\n" in script
    assert "block 1 is done" in (tmp_path / "out.zarr.slurm/task-1.log").read_text()
    killed = run(bundle, with_killers, tmp_path / "k.zarr", deadly.eight_t_kill, launcher="slurm", launch=launch)
    assert killed.refused == {"worker_killed": 2}


def test_without_slurm_it_says_so(tmp_path, bundle, store, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="no sbatch here"):
        run(bundle, store, tmp_path / "out.zarr", launcher="slurm")


def test_a_launcher_that_is_stopped_raises(bundle, store, tmp_path):
    from core.bundle import load_bundle

    stop = Stop()
    stop.signum = signal.SIGTERM
    plan = make_plan(load_bundle(bundle), store, tmp_path / "out.zarr", what=("score",), rows_per_block=4, threads=1)
    work = Work(Job(plan), [0, 1], lambda block: None, lambda block, message: None, stop, LaunchOptions())
    with pytest.raises(StoppedError):
        in_process(work)
