"""Training steps to be timed: forward, backward and AdamW of our models and their peers, on full or ragged batches.

A `Contender` is one model at one precision with its steps. Ours go through the product's own parts: the objective, the
optimiser's factory, the precision that `auto` means, the batches that the data module makes of a store.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peers import (
    SPECIALS,
    Shape,
    hf_llama,
    hf_loss,
    hf_mamba,
    hf_mamba2,
    lstm,
    lstm_loss,
    n_parameters,
    ours,
)
from core.batching.batch import Batch, Inputs
from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.objectives.next_token import NextToken
from core.sequence import Sequence
from core.store import TokenStoreWriter
from core.training.config import TrainingConfig
from core.training.optimizers import OPTIMIZERS
from core.training.precision import resolve_precision
from core.vocabulary import EOS, PAD

RECORDS_A_BATCH = 12
"""Records of the ragged set over rows of a batch: so many batches are a round."""

Loss = tuple[Callable[[], Tensor], int]
"""Of one batch, and the real tokens in it."""


@dataclass(frozen=True)
class Facts:
    """What stands beside a contender's speed."""

    name: str
    precision: str
    """`fp32`, or `bf16` for autocast."""
    parameters: int
    flops_per_token: float
    """Of forward and backward: 6 times the weights of its matrices, and attention; 0 where nobody counts."""
    steps: int = 1
    """Steps of a round, where its batches differ."""

    @property
    def label(self) -> str:
        return f"{self.name} {self.precision}"


@dataclass
class Contender:
    """A model whose steps are timed; calling it takes the next step and returns the real tokens of its batch."""

    facts: Facts
    batches: Iterator[Loss]
    """Endless."""
    optimizer: torch.optim.Optimizer

    def __call__(self) -> int:
        loss, tokens = next(self.batches)
        with torch.autocast("cpu", torch.bfloat16) if self.facts.precision == "bf16" else nullcontext():
            value = loss()
        value.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return tokens


def contender(name: str, shape: Shape, precision: str) -> Contender:
    """By name: `transformer`, `mamba`, `mamba2` are ours; the keys of PEERS are theirs."""
    full = [shape.ids(seed) for seed in range(2)]
    if name in PEERS:
        make, loss = PEERS[name]
        model = make(shape)
        return _theirs(name, model, precision, [(partial(loss, model, ids), shape.tokens) for ids in full])
    mask = torch.ones(shape.batch, shape.length, dtype=torch.bool)
    rows = np.zeros((shape.batch, 3), np.int64)
    batch = Batch(Inputs({"tokens": full[0]}), {"tokens": full[1]}, {"tokens": mask}, rows)
    return _ours(name, shape, precision, [batch])


PEERS: dict[str, tuple[Callable[[Shape], nn.Module], Callable[..., Tensor]]] = {
    "hf_llama": (hf_llama, hf_loss),
    "hf_mamba_mambapy": (hf_mamba, hf_loss),
    "hf_mamba2_chunk64": (partial(hf_mamba2, chunk=64), hf_loss),
    "hf_mamba2_default": (hf_mamba2, hf_loss),
    "nn.LSTM": (lstm, lstm_loss),
}


def _ours(name: str, shape: Shape, precision: str, batches: list[Batch]) -> Contender:
    model = ours(shape, name)
    objective = NextToken(model.spec)

    def loss(batch: Batch) -> Tensor:
        hidden, _ = model(batch.inputs)
        return objective.loss(hidden, model.readings(batch.inputs), batch)["loss"]

    precision = resolve_precision(precision, model.spec, torch.device("cpu"))
    flops = model.flops_per_token(shape.length)
    return Contender(
        Facts(f"foretell {name}", precision, n_parameters(model), flops, len(batches)),
        cycle([(partial(loss, batch), batch.n_tokens) for batch in batches]),
        OPTIMIZERS.get("adamw")(model, TrainingConfig(steps=1)),
    )


def _theirs(name: str, model: nn.Module, precision: str, batches: list[Loss]) -> Contender:
    assert precision != "auto", "`auto` is ours"
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    return Contender(Facts(name, precision, n_parameters(model), 0.0, len(batches)), cycle(batches), optimizer)


def ragged(shape: Shape, precision: str) -> tuple[Contender, Contender]:
    """Our transformer and Llama on the same records of log-normal lengths, length / 16 to length.

    Ours takes them as the data module puts them into buckets. Theirs takes them in random order, each batch padded to
    its longest record, with an attention mask. Both see EOS; only real tokens count.
    """
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.normal(np.log(shape.length / 3), 0.6, RECORDS_A_BATCH * shape.batch))
    records = [
        rng.integers(SPECIALS, shape.vocabulary, n)
        for n in lengths.clip(shape.length / 16, shape.length - 1).astype(int).tolist()
    ]
    batches = _bucketed(shape, records)
    model = hf_llama(shape)
    padded: list[Loss] = []
    for first in range(0, len(records), shape.batch):
        rows = [np.append(record, EOS) for record in records[first : first + shape.batch]]
        longest = max(map(len, rows))
        ids = torch.tensor(np.stack([np.pad(row, (0, longest - len(row)), constant_values=PAD) for row in rows]))
        padded.append((partial(hf_loss, model, ids, (ids != PAD).long()), sum(map(len, rows))))
    assert sum(tokens for _, tokens in padded) == sum(batch.n_tokens for batch in batches)
    return _ours("transformer", shape, precision, batches), _theirs("hf_llama", model, precision, padded)


def _bucketed(shape: Shape, records: list[np.ndarray]) -> list[Batch]:
    """One epoch of a store of the records."""
    model_spec = ours(shape, "transformer").spec
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = {"kind": "benchmark", "version": 1, "config": {}, "fingerprint": "0" * 64}
        with TokenStoreWriter(
            Path(folder) / "store.zarr", model_spec, tokenizer, domain="none", source={"what": "random"}
        ) as writer:
            for number, record in enumerate(records):
                writer.append(Sequence({"tokens": record.astype(np.uint16)}, f"r{number}"))
            store = writer.finish(
                spans=np.array([[i, 0, len(record)] for i, record in enumerate(records)]),
                span_split=np.zeros(len(records), np.uint8),
                counts={"in": len(records), "ok": len(records)},
                split={"rule": "none"},
            )
        batching = BatchingConfig(kind="buckets", batch_size=shape.batch, length=shape.length)
        data = SequenceDataModule(store, batching=batching)
        return list(data.train_batches(0, data.steps_per_epoch()))
