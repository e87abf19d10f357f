"""A training run that takes a second: a few thousand letters, a model of two narrow blocks, bundles of one file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.objectives.next_token import NextToken
from core.sequence import Sequence, Symbols
from core.training.config import TrainingConfig
from core.training.fit import fit
from tests.core.memory_store import LETTERS, MemoryStore

RECIPE = TrainingConfig(
    steps=24, lr=1e-2, warmup_steps=4, val_every=8, save_every=6, log_every=5, precision="fp32", ema=0.9
)


class NamedStore(MemoryStore):
    """Reads like a TokenStore whose rows have ids."""

    @property
    def ids(self):
        return [record.id for record in self.records]


def make_store(tokens=2000, records=4, validation=True):
    """Letters that mostly repeat with period 5, so that there is something to learn."""
    rng = np.random.default_rng(0)
    pattern = np.resize(np.array([5, 6, 7, 8, 5], np.uint8), tokens)
    made = []
    for i in range(records):
        noise = rng.random(tokens) < 0.1
        made.append(
            Sequence({"tokens": np.where(noise, rng.integers(5, 9, tokens), pattern).astype(np.uint8)}, f"record{i}")
        )
    cut = tokens * 9 // 10
    spans = [(i, 0, cut, "train") for i in range(records)] + [(i, cut, tokens, "validation") for i in range(records)]
    return NamedStore(made, Symbols(LETTERS), spans if validation else spans[:records], shard=256)


def make_data(workers=0, validation=True):
    batching = BatchingConfig(batch_size=4, length=16, buffer_shards=4)
    return SequenceDataModule(make_store(validation=validation), batching=batching, seed=1, workers=workers)


def make_model(pattern="A", dropout=0.1):
    torch.manual_seed(0)
    return SequenceModel(Symbols(LETTERS), ModelConfig(pattern=pattern, layers=2, width=16, dropout=dropout))


class Bundles:
    """A bundle writer that remembers what it was called with, and what the weights were then."""

    def __init__(self, model):
        self.model, self.written = model, []

    def __call__(self, path: Path, metrics):
        weights = {name: p.detach().clone() for name, p in self.model.state_dict().items()}
        self.written.append((dict(metrics), weights))
        path.mkdir(exist_ok=True)
        (path / "metrics.json").write_text(json.dumps(metrics))


def train(run, model=None, data=None, bundles=None, callbacks=(), progress=False, **changes):
    """fit() with everything tiny; `changes` are fields of the recipe."""
    model = model or make_model()
    if {"tokens", "minutes"} & set(changes):
        changes = {"steps": 0, **changes}
    return fit(
        model,
        NextToken(model.spec),
        data or make_data(),
        replace(RECIPE, **changes),
        Path(run),
        bundle_writer=bundles or Bundles(model),
        units_per_token=1.0,
        natural_unit="base",
        progress=progress,
        callbacks=callbacks,
    )


def lines(run):
    return [json.loads(line) for line in (Path(run) / "steps.jsonl").read_text().splitlines()]
