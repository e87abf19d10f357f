"""Processes of a Dask cluster, for tests that kill them."""

import json
import os
import subprocess
import sys

import pytest

from tests.core.prediction.processes import wait_for


@pytest.fixture
def cluster(tmp_path):
    """`dask scheduler` on loopback, with one worker; starts another of either."""
    pytest.importorskip("distributed")
    processes = []

    def begin(*arguments):
        command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
        environment = os.environ | {"PYTHONPATH": os.getcwd()}
        with open(tmp_path / f"dask-{len(processes)}.log", "w") as log:
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path, env=environment))
        return processes[-1]

    def scheduler(port=0):
        file = tmp_path / f"scheduler-{len(processes)}.json"
        arguments = ("--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--scheduler-file", str(file))
        process = begin("dask_scheduler", *arguments)
        wait_for(lambda: file.exists() and file.stat().st_size, process)
        return process, json.loads(file.read_text())["address"]

    def worker(address):
        return begin(
            "dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", "."
        )

    yield scheduler, worker
    for process in processes:
        process.kill()
        process.wait()
