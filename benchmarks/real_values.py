"""How fast are windows of real values, free runs of many systems, and roll-outs from many starts?

    python benchmarks/real_values.py [--json OUT]

Three questions, on the threads given (one by default), medians of five; seconds of this process's CPU stand beside
those of the clock, since on a busy machine they are the ones to compare.

    windows    out of a store to batches, 28 patches of 24 hours with a calendar, 32 to a batch, scaling left to the
               model
    free_runs  2,000 points of 40 three-dimensional systems, a roll-out of means (size xs, a window of 4 states)
    starts     300 steps from 100 starts (size xs)
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.engine import Engine
from core.nn.config import size_config
from core.nn.model import SequenceModel
from core.scaling import Scaling
from core.sequence import Role, Sequence, TokenSpec, Vectors, real, symbol
from core.store import TokenStore, TokenStoreWriter
from core.vocabulary import Vocabulary

HOURS = Vocabulary(tuple(f"h{i}" for i in range(168)))
SERIES = TokenSpec((real("values", 1, scaling=Scaling(freeze=168)), symbol("hour", HOURS, Role.KNOWN_AHEAD)), patch=24)
STATES = Vectors(3, Scaling("constant", (0.0,) * 3, (1.0,) * 3, residual=True, residual_scale=(0.2,) * 3))
TOKENIZER = {"kind": "benchmark", "version": 1, "config": {}, "fingerprint": "0" * 64}
WINDOWS = 3200
"""In one round of the first question."""


def hourly_store(folder: Path) -> TokenStore:
    """Forty series of 20,000 hours, a hundredth of them missing."""
    generator = np.random.default_rng(0)
    n, steps = 40, 20_000
    path = folder / "hourly.zarr"
    with TokenStoreWriter(path, SERIES, TOKENIZER, domain="benchmark", source={}) as writer:
        for i in range(n):
            values = generator.normal(size=(steps, 1)).cumsum(0).astype(np.float32)
            hours = (5 + np.arange(steps) % 168).astype(np.uint8)
            there = generator.random((steps, 1)) > 0.01
            writer.append(Sequence({"values": values, "hour": hours}, f"s{i}", {"values": there}))
        writer.finish(
            spans=np.array([(i, 0, steps) for i in range(n)]),
            span_split=np.zeros(n, np.uint8),
            counts={"in": n, "ok": n},
            split={"rule": "given"},
        )
    return TokenStore.open(path)


def windows_of(store: TokenStore) -> Callable[[], object]:
    batching = BatchingConfig(length=28 * 24, stride=24, batch_size=32)
    data = SequenceDataModule(store, None, batching)
    step = 0

    def read() -> None:
        nonlocal step
        for _ in data.train_batches(step, step + WINDOWS // 32):
            pass
        step += WINDOWS // 32

    return read


def engine() -> Engine:
    torch.manual_seed(0)
    model = SequenceModel(
        STATES, size_config("xs", "transformer", window=4, norm="none", context=32), {"values": "mse"}
    )
    return Engine(model.eval())


def starts(n: int) -> list[Sequence]:
    generator = np.random.default_rng(0)
    return [Sequence({"values": generator.normal(size=(31, 3)).astype(np.float32)}) for _ in range(n)]


def timed(task: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median seconds by the clock and of the CPU, after a round that does not count."""
    task()
    wall, cpu = [], []
    for _ in range(repeats):
        began, busy = time.perf_counter(), time.process_time()
        task()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - busy)
    return {"seconds": round(statistics.median(wall), 3), "cpu_seconds": round(statistics.median(cpu), 3)}


def measure(repeats: int) -> dict[str, Any]:
    """One object a question, with its bar."""
    with tempfile.TemporaryDirectory() as folder:
        found = timed(windows_of(hourly_store(Path(folder))), repeats)
    windows = {**found, "windows_per_second": round(WINDOWS / found["cpu_seconds"]), "bar": "1,000 windows/s a core"}
    model = engine()
    free = timed(lambda: model.roll_out(starts(40), 2000), repeats)
    roll = timed(lambda: model.roll_out(starts(100), 300), repeats)
    return {
        "windows": windows,
        "free_runs": {**free, "bar": "180 s"},
        "starts": {**roll, "bar": "5 s"},
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="OUT")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    found = measure(options.repeats)
    for question, facts in found.items():
        print(f"{question:<10} {json.dumps(facts)}")
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
