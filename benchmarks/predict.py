"""What `predict` over a store costs beyond the bare forward passes, and what its safety costs.

    python benchmarks/predict.py [--rows 4096] [--pattern A] [--repeats 5] [--json]

Bare: the model and its readout over the same rows in batches of the same size, already in memory as tensors. Both are
run in turn; medians are compared, also of the processor time, which other processes disturb less. Safety is the time
inside checksums, fsync, markers and the completion of the store.
Bars (BARS.md, issue 2): overhead <= 5 %, safety <= 3 % of the wall time, memory flat in the number of rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import core.prediction.block
import core.prediction.predict
from core.batching.batch import Batch, collate, make_row
from core.bundle import save_bundle
from core.nn.config import size_config
from core.nn.model import SequenceModel
from core.sequence import Sequence, Symbols
from core.store import TokenStore, TokenStoreWriter
from core.tokenizer import fingerprint
from core.vocabulary import SPECIALS, Vocabulary

LENGTH, BATCH_TOKENS = 256, 4096


def make(folder: Path, rows: int, pattern: str, size: str) -> tuple[SequenceModel, TokenStore]:
    """A random model of the given size and a store of random letters, rows of LENGTH."""
    spec = Symbols(Vocabulary(tuple("ACGT")))
    body: dict[str, Any] = {"kind": "letters", "version": 1, "config": {}}
    tokenizer = {**body, "fingerprint": fingerprint(body)}
    torch.manual_seed(0)
    model = SequenceModel(spec, size_config(size, pattern, context=LENGTH)).eval()
    save_bundle(folder / "bundle", model, tokenizer=tokenizer, domain="dna", metrics={}, card="", training={})
    letters = np.random.default_rng(0).integers(len(SPECIALS), len(SPECIALS) + 4, (rows, LENGTH)).astype(np.uint8)
    with TokenStoreWriter(folder / "in.zarr", spec, tokenizer, domain="dna", source={"what": "random"}) as writer:
        for i, row in enumerate(letters):
            writer.append(Sequence({"tokens": row}, id=str(i)))
        spans = np.array([(i, 0, LENGTH) for i in range(rows)], dtype=np.int64)
        store = writer.finish(
            spans=spans, span_split=np.zeros(rows, np.uint8), counts={"in": rows, "ok": rows}, split={"rule": "given"}
        )
    return model, store


def batches(model: SequenceModel, store: TokenStore) -> list[Batch]:
    """All rows as the engine would batch them."""
    size = BATCH_TOKENS // (LENGTH + 1)
    rows = [make_row(store[row], model.spec, eos=True) for row in range(len(store))]
    return [collate(rows[first : first + size], model.spec) for first in range(0, len(rows), size)]


def bare(model: SequenceModel, made: list[Batch]) -> float:
    """Seconds of the forward passes with the likelihoods."""
    begin = time.perf_counter()
    with torch.inference_mode():
        for batch in made:
            hidden, _ = model(batch.inputs)
            model.readouts["tokens"].nll(hidden, batch.targets["tokens"])  # type: ignore[operator]
    return time.perf_counter() - begin


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
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--pattern", default="A")
    parser.add_argument("--size", default="s")
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
        (core.prediction.predict, "_create"),
        (core.prediction.predict, "_complete"),
    ):
        watch.wrap(module, name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, store = make(folder, args.rows, args.pattern, args.size)
        made = batches(model, store)
        bare(model, made[:4])
        alone, whole, safe, cpu = [], [], [], []
        for i in range(args.repeats):
            cpu_begin = time.process_time()
            alone.append(bare(model, made))
            cpu_middle = time.process_time()
            watch.seconds, begin = 0.0, time.perf_counter()
            core.prediction.predict.predict(
                folder / "bundle",
                folder / "in.zarr",
                folder / f"out{i}.zarr",
                what=["score", "token_scores"],
                threads=args.threads,
                batch_tokens=BATCH_TOKENS,
            )
            whole.append(time.perf_counter() - begin)
            safe.append(watch.seconds)
            cpu.append((time.process_time() - cpu_middle) / (cpu_middle - cpu_begin) - 1)
    result = {
        "rows": args.rows,
        "length": LENGTH,
        "pattern": args.pattern,
        "parameters": model.n_parameters,
        "threads": args.threads,
        "seconds_bare": statistics.median(alone),
        "seconds_predict": statistics.median(whole),
        "overhead": statistics.median(whole) / statistics.median(alone) - 1,
        "overhead_cpu": statistics.median(cpu),
        "safety": statistics.median(s / w for s, w in zip(safe, whole, strict=True)),
        "tokens_per_second": args.rows * LENGTH / statistics.median(whole),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if args.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:20} {value:.4g}" if isinstance(value, float) else f"{key:20} {value}")


if __name__ == "__main__":
    main()
