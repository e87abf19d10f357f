"""Training is killed at random moments and during saves; the run folder ends up as if it never was."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.core.training.run_tiny import run, write_store
from tests.core.training.test_fit import assert_same_run

KILLS = 10
CHANGES = {"steps": 120, "save_every": 4, "val_every": 10, "accumulate": 2, "log_every": 7}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def processes():
    """Starts real processes in which torch and Lightning are imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.core.training.run_tiny"])
    return context


def run_with_forked_workers(*arguments):
    """Loader workers as on any Linux; a process from a fork server would start a server of its own for them."""
    multiprocessing.set_start_method("fork", force=True)
    run(*arguments)


def finish(process):
    process.start()
    process.join()
    assert process.exitcode == 0


def kill(process, folder, step, delay, *, in_a_save):
    """SIGKILL `delay` seconds after the log has `step` steps, or as soon after that as a checkpoint is half-written."""

    def reached():
        log = folder / "steps.jsonl"
        enough = log.exists() and log.read_bytes().count(b"\n") >= step
        return enough and (not in_a_save or list((folder / "checkpoints").glob("step-*.partial-*")))

    process.start()
    while process.is_alive() and not reached():
        time.sleep(0.0002)
    time.sleep(0 if in_a_save else delay)
    process.kill()
    while psutil.pid_exists(process.pid):
        time.sleep(0.001)


@pytest.mark.parametrize("workers", [0, 2])
def test_ten_kills_change_nothing(tmp_path, processes, workers):
    write_store(tmp_path / "store.zarr")

    def start(folder):
        return processes.Process(
            target=run_with_forked_workers, args=(folder, CHANGES, tmp_path / "store.zarr", workers)
        )

    finish(start(tmp_path / "whole"))
    draw = random.Random(workers)
    killed, leftovers = [], 0
    for number, step in enumerate(sorted(draw.randrange(CHANGES["steps"] - 8) for _ in range(KILLS))):
        process = start(tmp_path / "run")
        kill(process, tmp_path / "run", step, draw.uniform(0, 0.05), in_a_save=number % 3 == 2)
        killed.append(process)  # its loader workers live on for seconds, while the next one starts
        leftovers += bool(list((tmp_path / "run").rglob("*.partial-*")))
    assert leftovers >= KILLS // 3
    finish(start(tmp_path / "run"))
    for process in killed:
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    assert not [p for p in (tmp_path / "run").rglob("*") if ".partial" in p.name or ".damaged" in p.name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_batch_system_stop_a_run_with_workers_cleanly(tmp_path, number):
    """The signal reaches the whole process group, loader workers included, as a terminal or a scheduler sends it."""
    write_store(tmp_path / "store.zarr")
    script = [tmp_path / "run", json.dumps({**CHANGES, "steps": 5000}), tmp_path / "store.zarr", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.core.training.run_tiny", *map(str, script)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    log = tmp_path / "run/steps.jsonl"
    while process.poll() is None and not (log.exists() and log.stat().st_size > 2000):
        time.sleep(0.01)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number, errors
    assert "The same command again goes on from there." in errors
    assert "Traceback" not in errors
