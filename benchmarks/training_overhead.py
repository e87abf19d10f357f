"""How much of a training run's time is spent outside forward, backward and optimiser?

    python benchmarks/training_overhead.py            (about a minute on 2 cores)

`core.training.fit` trains a Transformer of width 192 and 4 layers on windows of 16 x 256 out of a store on disk. After
every few steps it is paused, and a bare loop takes as many steps of a copy over the very same batches, already in
memory. So both see the machine in the same moods; the overhead of a chunk is the share of its time that the bare loop
did not need, by the clock and by the processor's time, which other processes disturb less. The median chunk is given.

`outside` is the same asked directly: the share of fit's own time that is not inside Lightning's optimizer step, which
holds forward, backward, clipping and the change of the weights. A busy machine blurs it least.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import lightning as L
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.batching.batch import Batch
from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.objectives.next_token import NextToken
from core.sequence import Sequence, Symbols
from core.store import TokenStore
from core.store.writer import TokenStoreWriter
from core.training.config import TrainingConfig
from core.training.fit import fit
from core.training.module import TrainingModule
from core.training.optimizers import OPTIMIZERS
from core.training.precision import arithmetic
from core.vocabulary import Vocabulary

SPEC = Symbols(Vocabulary(tuple("ACGT")))


def write_store(path: Path, tokens: int) -> TokenStore:
    """Random letters in one record; all of it is trained on."""
    source = {"what": "random letters"}
    with TokenStoreWriter(path, SPEC, {"kind": "none"}, domain="none", source=source) as writer:
        letters = np.random.default_rng(0).integers(5, 9, tokens).astype(np.uint8)
        writer.append(Sequence({"tokens": letters}, "random"))
        return writer.finish(
            spans=np.array([[0, 0, tokens]]),
            span_split=np.array([0], np.uint8),
            counts={"in": 1, "ok": 1},
            split={"rule": "none"},
        )


def now() -> tuple[float, float]:
    return perf_counter(), process_time()


def since(before: tuple[float, float]) -> tuple[float, float]:
    clock, processor = now()
    return clock - before[0], processor - before[1]


class BareLoop(L.Callback):
    """Takes the steps of every chunk once more, with nothing around them."""

    def __init__(self, chunk: int) -> None:
        self.chunk = chunk
        self.batches: list[Batch] = []
        self.inside = 0.0, 0.0
        """(clock, processor) seconds of this chunk inside the optimizer step."""
        self.times: list[list[tuple[float, float]]] = []
        """Per chunk: (clock, processor) seconds of fit's steps, of the bare loop's, and of fit's optimizer steps."""

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, TrainingModule)
        self.network = copy.deepcopy(module.network)
        self.optimizer = OPTIMIZERS.get(module.config.optimizer)(self.network, module.config)
        step = module.optimizer_step

        def timed(*args: Any, **kwargs: Any) -> None:
            began = now()
            step(*args, **kwargs)
            clock, processor = since(began)
            self.inside = self.inside[0] + clock, self.inside[1] + processor

        module.optimizer_step = timed  # type: ignore[method-assign]
        self.began = now()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        assert isinstance(module, TrainingModule)
        self.batches.append(batch)
        if len(self.batches) < self.chunk:
            return
        fitted = since(self.began)
        began = now()
        for batch in self.batches:
            with arithmetic(module.plan.precision, module.device):
                loss = self.network(batch)["loss"]
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), module.config.clip)
            self.optimizer.step()
        self.times.append([fitted, since(began), self.inside])
        self.batches, self.inside = [], (0.0, 0.0)
        self.began = now()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunk", type=int, default=5, help="steps between two pauses")
    parser.add_argument("--chunks", type=int, default=12, help="how many chunks; the first is not counted")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--pattern", default="A")
    parser.add_argument("--width", type=int, default=192, help="32 with one layer shows the overhead's milliseconds")
    parser.add_argument("--layers", type=int, default=4)
    options = parser.parse_args()
    steps = options.chunk * options.chunks
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "store.zarr", 4_000_000)
        data = SequenceDataModule(store, batching=BatchingConfig(batch_size=16, length=256), workers=options.workers)
        model = SequenceModel(SPEC, ModelConfig(pattern=options.pattern, width=options.width, layers=options.layers))
        bare = BareLoop(options.chunk)
        result = fit(
            model,
            NextToken(SPEC),
            data,
            TrainingConfig(
                steps=steps,
                precision=options.precision,
                optimizer=options.optimizer,
                val_every=steps + 1,
                save_every=steps + 1,
            ),
            Path(folder) / "run",
            bundle_writer=lambda path, metrics: None,
            callbacks=[bare],
            progress=False,
        )
    times = np.array(bare.times[1:])  # (chunk, fit or bare or inside, clock or processor)
    shares = 1 - times[:, 1] / times[:, 0]
    spread = 1.25 * shares.std(axis=0, ddof=1) / math.sqrt(len(shares))
    milliseconds = 1e3 * np.median(times, axis=0) / options.chunk
    found = {
        "precision": result.precision,
        "threads": options.threads,
        "chunks": len(times),
        "fit_tokens_per_second": 16 * 256 * 1e3 / milliseconds[0, 0],
    }
    for number, kind in enumerate(("clock", "processor")):
        found[f"fit_ms_per_step_{kind}"] = milliseconds[0, number]
        found[f"bare_ms_per_step_{kind}"] = milliseconds[1, number]
        found[f"overhead_percent_{kind}"] = 100 * np.median(shares[:, number])
        found[f"outside_percent_{kind}"] = 100 * np.median(1 - times[:, 2, number] / times[:, 0, number])
        found[f"standard_error_percent_{kind}"] = 100 * spread[number]
    print(json.dumps({k: round(float(v), 2) if isinstance(v, float) else v for k, v in found.items()}, indent=1))


if __name__ == "__main__":
    main()
