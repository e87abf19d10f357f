"""How fast do batches come out of a token store, beside a numpy memmap of the same bytes, and is memory flat?

    python benchmarks/loader.py --dir /tmp/loader [--json]

Makes a store of random letters (uint8) and a plain file of the same bytes where they are missing. Store: shuffled
windows through SequenceDataModule as in training, checksums on, one process, no views. Memmap: windows at random
places, the same int64 tensors made of them, nothing checked. Rounds of equal length are read from either in turn, and
the median round is given; the file cache is warm for both. Seconds of this process's CPU stand beside those of the
clock: on a busy machine they are the ones to compare.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.sequence import Sequence, Symbols
from core.store import TokenStore, TokenStoreWriter
from core.vocabulary import BOS, SPECIALS, Vocabulary

LETTERS = Vocabulary(tuple("ACGT"))
TOKENIZER = {"kind": "benchmark", "version": 1, "config": {}, "fingerprint": "0" * 64}


def make(folder: Path, tokens: int) -> tuple[Path, Path]:
    """The store and the plain file of the same bytes, made where they are missing."""
    store, plain = folder / f"letters-{tokens}.zarr", folder / f"letters-{tokens}.bin"
    if store.exists() and plain.exists():
        return store, plain
    folder.mkdir(parents=True, exist_ok=True)
    letters = np.random.default_rng(0).integers(len(SPECIALS), len(LETTERS), tokens, dtype=np.uint8)
    letters.tofile(plain)
    record = tokens // 10
    with TokenStoreWriter(store, Symbols(LETTERS), TOKENIZER, domain="benchmark", source={}, overwrite=True) as writer:
        for i in range(10):
            writer.append(Sequence({"tokens": letters[i * record : (i + 1) * record]}, f"r{i}"))
        writer.finish(
            spans=np.array([(i, 0, record) for i in range(10)]),
            span_split=np.zeros(10, np.uint8),
            counts={"in": 10, "ok": 10},
            split={"rule": "given"},
        )
    return store, plain


class Memory:
    """The most that this process has held since it was made, in MB above what it held then."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self.growth = 0.0

    def look(self) -> None:
        self.growth = max(self.growth, (self._process.memory_info().rss - self._before) / 2**20)


def store_round(data: SequenceDataModule, first: int, steps: int, memory: Memory) -> None:
    for number, batch in enumerate(data.train_batches(first, first + steps)):
        assert batch.targets["tokens"].dtype == torch.int64
        if number % 200 == 0:
            memory.look()


def memmap_round(plain: Path, batch_size: int, length: int, seed: int, steps: int) -> None:
    letters = np.memmap(plain, np.uint8, "r")
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        starts = rng.integers(0, len(letters) - length, batch_size)
        targets = torch.from_numpy(np.stack([letters[s : s + length] for s in starts]).astype(np.int64))
        inputs = torch.full_like(targets, BOS)
        inputs[:, 1:] = targets[:, :-1]


def seconds(work: Callable[[], None]) -> tuple[float, float]:
    """Of the clock, and of this process's CPU."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dir", type=Path, required=True, help="where the store and the plain file are kept")
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    store_path, plain = make(options.dir, options.tokens)

    memory = Memory()
    config = BatchingConfig(length=options.length, batch_size=options.batch_size)
    data = SequenceDataModule(TokenStore.open(store_path), batching=config, workers=options.workers)
    steps = data.steps_per_epoch() - 1
    rounds: dict[str, list[tuple[float, float]]] = {"store": [], "memmap": []}
    for n in range(options.rounds):
        rounds["store"].append(seconds(partial(store_round, data, n * steps, steps, memory)))
        rounds["memmap"].append(seconds(partial(memmap_round, plain, options.batch_size, options.length, n, steps)))
    tokens = steps * options.batch_size * options.length
    result: dict[str, float] = {key: getattr(options, key) for key in ("tokens", "length", "batch_size", "workers")}
    for name, times in rounds.items():
        clock, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        result[f"{name}_tokens_per_second"] = tokens / clock
        result[f"{name}_tokens_per_cpu_second"] = tokens / cpu
    result["ratio"] = result["store_tokens_per_second"] / result["memmap_tokens_per_second"]
    result["peak_rss_growth_mb"] = memory.growth
    if options.json:
        print(json.dumps(result))
        return
    print(f"windows of {options.length}, batches of {options.batch_size}, {options.tokens:,} tokens, median round")
    for name in rounds:
        clock, cpu = result[f"{name}_tokens_per_second"] / 1e6, result[f"{name}_tokens_per_cpu_second"] / 1e6
        print(f"{name:7} {clock:7.1f} M tokens/s {cpu:9.1f} M tokens per CPU second")
    print(f"ratio   {result['ratio']:7.2f}")
    print(f"memory  {result['peak_rss_growth_mb']:7.0f} MB above imports")
    print("bars: store 20 M tokens/s, memory 500 MB")


if __name__ == "__main__":
    main()
