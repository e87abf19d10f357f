"""What `predict` over a store costs beyond the bare forward passes, and what its safety costs.

    python benchmarks/predict.py [--rows 4096] [--length 256] [--pattern A] [--every 1] [--repeats 5] [--json]

Bare: the model and its readout over the same rows in batches of the same size, already in memory as tensors. After each
block of `predict`, or each `--every`-th, its rows are run bare, so that both meet the same machine; times a row are
compared and medians taken, also of the processor time, which other processes disturb less. Safety is the time inside
checksums, fsync, markers and the completion of the store.
Bars: overhead <= 5 %, safety <= 3 % of the wall time, memory flat in the number of rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

import core.prediction.block
import core.prediction.claim
import core.prediction.predict
from core.batching.batch import Batch, collate, make_row
from core.bundle import save_bundle
from core.nn.config import size_config
from core.nn.model import SequenceModel
from core.sequence import Sequence, Symbols
from core.store import TokenStore, TokenStoreWriter
from core.tokenizer import fingerprint
from core.vocabulary import SPECIALS, Vocabulary

BATCH_TOKENS = 4096


def make(folder: Path, rows: int, pattern: str, size: str, length: int = 256) -> tuple[SequenceModel, TokenStore]:
    """A random model of the given size and a store of random letters, rows of `length`."""
    spec = Symbols(Vocabulary(tuple("ACGT")))
    body: dict[str, Any] = {"kind": "letters", "version": 1, "config": {}}
    tokenizer = {**body, "fingerprint": fingerprint(body)}
    torch.manual_seed(0)
    model = SequenceModel(spec, size_config(size, pattern, context=length)).eval()
    save_bundle(folder / "bundle", model, tokenizer=tokenizer, domain="dna", metrics={}, card="", training={})
    letters = np.random.default_rng(0).integers(len(SPECIALS), len(SPECIALS) + 4, (rows, length)).astype(np.uint8)
    with TokenStoreWriter(folder / "in.zarr", spec, tokenizer, domain="dna", source={"what": "random"}) as writer:
        for i, row in enumerate(letters):
            writer.append(Sequence({"tokens": row}, id=str(i)))
        spans = np.array([(i, 0, length) for i in range(rows)], dtype=np.int64)
        store = writer.finish(
            spans=spans, span_split=np.zeros(rows, np.uint8), counts={"in": rows, "ok": rows}, split={"rule": "given"}
        )
    return model, store


def batches(model: SequenceModel, store: TokenStore, start: int = 0, stop: int | None = None) -> list[Batch]:
    """Rows [start, stop) as the engine would batch them."""
    size = BATCH_TOKENS // (int(store.offsets[1]) + 1)
    rows = [make_row(store[row], model.spec, eos=True) for row in range(start, len(store) if stop is None else stop)]
    return [collate(rows[first : first + size], model.spec) for first in range(0, len(rows), size)]


def bare(model: SequenceModel, made: list[Batch]) -> float:
    """Seconds of the forward passes with the likelihoods."""
    begin = time.perf_counter()
    with torch.inference_mode():
        for batch in made:
            hidden, _ = model(batch.inputs)
            model.readouts["tokens"].nll(hidden, batch.targets["tokens"])  # type: ignore[operator]
    return time.perf_counter() - begin


class Bare:
    """Runs the rows of each `every`-th block bare once `predict` has done it, and adds up what that took."""

    def __init__(self, model: SequenceModel, store: TokenStore, every: int = 1) -> None:
        self.model, self.store, self.every = model, store, every
        self.done = self.blocks = self.rows = 0
        self.aside = Times()
        self.spent = Times()

    def __call__(self, progress: Any) -> None:
        first, self.done, self.blocks = self.done, progress.rows_done, self.blocks + 1
        if (self.blocks - 1) % self.every:
            return
        with self.aside.measured():
            made = batches(self.model, self.store, first, self.done)
            self.rows += self.done - first
            with self.spent.measured():
                bare(self.model, made)


class Times:
    """Seconds of the clock and of the processor."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


class Stopwatch:
    """Adds up the seconds inside functions of a module."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wrap(self, module: Any, name: str) -> None:
        inner: Callable[..., Any] = getattr(module, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - begin

        setattr(module, name, timed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--pattern", default="A")
    parser.add_argument("--size", default="s")
    parser.add_argument("--every", type=int, default=1, help="run the rows of each so many-th block bare")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    watch = Stopwatch()
    for module, name in (
        (core.prediction.block, "write_files_durably"),
        (core.prediction.block, "marker_bytes"),
        (core.prediction.predict, "read_marker"),
        (core.prediction.claim, "_create"),
        (core.prediction.predict, "_complete"),
    ):
        watch.wrap(module, name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, store = make(folder, args.rows, args.pattern, args.size, args.length)
        bare(model, batches(model, store, 0, 64))
        alone, whole, safe, cpu = [], [], [], []
        for i in range(args.repeats):
            watch.seconds, run, beside = 0.0, Times(), Bare(model, store, args.every)
            with run.measured():
                core.prediction.predict.predict(
                    folder / "bundle",
                    folder / "in.zarr",
                    folder / f"out{i}.zarr",
                    what=["score", "token_scores"],
                    threads=args.threads,
                    batch_tokens=BATCH_TOKENS,
                    progress=beside,
                )
            share = beside.rows / args.rows
            alone.append(beside.spent.wall / share)
            whole.append(run.wall - beside.aside.wall)
            safe.append(watch.seconds / whole[-1])
            cpu.append((run.cpu - beside.aside.cpu) / (beside.spent.cpu / share) - 1)
    result = {
        "rows": args.rows,
        "length": args.length,
        "pattern": args.pattern,
        "parameters": model.n_parameters,
        "threads": args.threads,
        "every": args.every,
        "seconds_bare": statistics.median(alone),
        "seconds_predict": statistics.median(whole),
        "overhead": statistics.median(w / a - 1 for w, a in zip(whole, alone, strict=True)),
        "overhead_cpu": statistics.median(cpu),
        "safety": statistics.median(safe),
        "tokens_per_second": args.rows * args.length / statistics.median(whole),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if args.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:20} {value:.4g}" if isinstance(value, float) else f"{key:20} {value}")


if __name__ == "__main__":
    main()
