"""A prediction as a command of its own, and a Dask cluster of processes, to be killed."""

import subprocess
import sys
import time

from core.launch.options import LaunchOptions
from core.prediction.options import PredictOptions
from core.prediction.predict import predict
from tests.core.prediction import deadly

OPTIONS = PredictOptions(max_length=41, grammar=True)
SETTINGS = {"what": ("score", "sample"), "rows_per_block": 4, "threads": 1, "batch_tokens": 64}


def start(bundle, store, output, launcher, scheduler=""):
    """`predict` with two workers, as a process."""
    command = [sys.executable, "-m", "tests.core.prediction.processes"]
    return subprocess.Popen([*command, str(bundle), str(store.path), str(output), launcher, scheduler])


def wait_for(sign, process, seconds=120):
    begin = time.perf_counter()
    while not sign():
        assert process.poll() is None, "it ended before the sign came"
        assert time.perf_counter() - begin < seconds
        time.sleep(0.01)


def main():
    bundle, store, output, launcher, scheduler = sys.argv[1:]
    launch = LaunchOptions(workers=2, scheduler=scheduler)
    how = {"launcher": launcher, "launch": launch, "grammar": deadly.harmless}
    predict(bundle, store, output, options=OPTIONS, **SETTINGS, **how)


if __name__ == "__main__":
    main()
