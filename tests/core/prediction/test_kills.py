"""Whatever process is killed, at ten moments each: every row is there once, and the bytes are those of a quiet run."""

import random
import time

import psutil
import pytest

from core.launch.options import LaunchOptions
from core.prediction.predict import predict
from tests.core.prediction import deadly
from tests.core.prediction.processes import OPTIONS, SETTINGS, start
from tests.core.prediction.test_predict import LENGTHS, keys
from tests.core.tiny import records, tiny_model, write_bundle, write_store

pytestmark = pytest.mark.slow
KILLS = 10


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle", tiny_model())


@pytest.fixture
def store(tmp_path):
    """143 blocks of four rows."""
    return write_store(tmp_path / "in.zarr", records(*(LENGTHS * 30)), shard_tokens=128)


@pytest.fixture
def whole(tmp_path, bundle, store):
    """The keys of an undisturbed run."""
    finish(bundle, store, tmp_path / "whole.zarr")
    return keys(tmp_path / "whole.zarr")


def finish(bundle, store, output, **how):
    settings = SETTINGS | {"options": OPTIONS, "grammar": deadly.harmless} | how
    report = predict(bundle, store.path, output, **settings)
    assert (report.rows, report.ok) == (len(store), len(store))


def blocks(output):
    return len(list(output.glob("blocks/*.json")))


class Moments:
    """Random ones, seeded: each a few blocks after the last, and a little more."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def wait(self, output, process):
        """Returns False where the run came to its end before."""
        wanted = blocks(output) + self.chance.randint(1, 5)
        while blocks(output) < wanted and process.poll() is None:
            time.sleep(0.005)
        time.sleep(self.chance.random() / 10)
        return process.poll() is None


def assert_nothing_is_left(output, whole):
    assert keys(output) == whole
    left = [path.name for path in output.parent.iterdir() if path.name.startswith(f"{output.name}.")]
    assert not left
    assert not list(output.rglob("*.partial-*"))
    assert not (output / ".lock").exists()


def test_workers(tmp_path, bundle, store, whole):
    output, moments, killed = tmp_path / "out.zarr", Moments(1), 0
    process = start(bundle, store, output, "local")
    while killed < KILLS and moments.wait(output, process):
        workers = [p for p in psutil.Process(process.pid).children() if "spawn_main" in " ".join(p.cmdline())]
        moments.chance.choice(workers).kill()
        killed += 1
    assert killed == KILLS
    assert process.wait(300) == 0
    assert_nothing_is_left(output, whole)


def test_coordinators(tmp_path, bundle, store, whole):
    output, moments = tmp_path / "out.zarr", Moments(2)
    for _ in range(KILLS):
        process = start(bundle, store, output, "local")
        assert moments.wait(output, process), "it ended before it was killed"
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        assert not psutil.wait_procs(workers, timeout=60)[1]
    finish(bundle, store, output)
    assert_nothing_is_left(output, whole)


def test_dask_workers(tmp_path, bundle, store, whole, cluster):
    scheduler, worker = cluster
    output, moments = tmp_path / "out.zarr", Moments(3)
    _, address = scheduler()
    running = [worker(address), worker(address)]
    process = start(bundle, store, output, "dask", address)
    for _ in range(KILLS):
        assert moments.wait(output, process), "it ended before a worker was killed"
        doomed = running.pop(moments.chance.randrange(2))
        doomed.kill()
        doomed.wait()
        running.append(worker(address))
    assert process.wait(300) == 0
    assert_nothing_is_left(output, whole)


def test_dask_schedulers(tmp_path, bundle, store, whole, cluster):
    scheduler, worker = cluster
    output, moments = tmp_path / "out.zarr", Moments(4)
    for _ in range(KILLS):
        doomed, address = scheduler()
        hand = worker(address)
        process = start(bundle, store, output, "dask", address)
        assert moments.wait(output, process), "it ended before its scheduler was killed"
        doomed.kill()
        hand.kill()  # which would look for its scheduler for a minute
        assert process.wait(120) != 0
    _, address = scheduler()
    worker(address)
    finish(bundle, store, output, launcher="dask", launch=LaunchOptions(scheduler=address))
    assert_nothing_is_left(output, whole)
