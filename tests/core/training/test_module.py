import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.objectives.next_token import NextToken
from core.sequence import Sequence, Symbols
from core.training.fit import fit
from tests.core.memory_store import LETTERS, MIXED, MemoryStore, mixed
from tests.core.training.tiny import RECIPE, Bundles, lines, make_model, train


def masked_data(batch_size):
    """Windows of which each predicts another number of tokens."""
    rng = np.random.default_rng(0)
    record = Sequence(
        {"tokens": rng.integers(5, 9, 1600).astype(np.uint8)},
        "masked",
        loss_mask={"tokens": rng.random(1600) < np.repeat(rng.random(100), 16)},
    )
    store = MemoryStore([record], Symbols(LETTERS), shard=256)
    return SequenceDataModule(store, batching=BatchingConfig(batch_size=batch_size, length=16, jitter=False))


def test_accumulated_batches_equal_one_of_their_size(tmp_path):
    changes = {"steps": 5, "clip": 0.5, "ema": 0.0, "save_every": 5}
    for name, size, accumulate in (("one", 12, 1), ("four", 3, 4)):
        train(tmp_path / name, make_model(dropout=0.0), masked_data(size), accumulate=accumulate, **changes)
    one, four = lines(tmp_path / "one"), lines(tmp_path / "four")
    assert [line["tokens"] for line in one] == [line["tokens"] for line in four]
    for a, b in zip(one, four, strict=True):
        assert float.fromhex(a["loss"]) == pytest.approx(float.fromhex(b["loss"]), abs=1e-5)
    norms = [pd.read_csv(tmp_path / name / "metrics.csv").grad_norm.dropna() for name in ("one", "four")]
    np.testing.assert_allclose(*norms, rtol=1e-4)
    weights = [load_file(tmp_path / name / "checkpoints/step-000000005/model.safetensors") for name in ("one", "four")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=2e-4, rtol=0)


def test_dropout_is_drawn_anew_every_step_and_by_the_seed(tmp_path):
    class OneBatch(SequenceDataModule):
        """The same rows at every step."""

        def train_batches(self, start_step, stop_step, **place):
            batch = super().train_batches(0, 1, **place).dataset[0]
            return DataLoader([batch] * (stop_step - start_step), batch_size=None)

    def losses(run, seed):
        data = OneBatch(masked_data(4).stores[0], batching=BatchingConfig(batch_size=4, length=16))
        train(tmp_path / run, make_model(dropout=0.5), data, steps=4, lr=1e-12, seed=seed)
        return [line["loss"] for line in lines(tmp_path / run)]

    first = losses("a", 0)
    assert len(set(first)) == 4
    assert losses("b", 0) == first
    assert not set(losses("c", 1)) & set(first)


def test_a_mixed_spec_trains_in_fp32_by_itself(tmp_path):
    torch.manual_seed(0)
    model = SequenceModel(MIXED, ModelConfig(layers=2, width=16))
    data = SequenceDataModule(MemoryStore(mixed(400, 300), MIXED), batching=BatchingConfig(batch_size=2, length=16))
    result = fit(
        model,
        NextToken(MIXED),
        data,
        dataclasses.replace(RECIPE, steps=4, precision="auto"),
        tmp_path / "run",
        bundle_writer=Bundles(model),
        progress=False,
    )
    assert (result.steps, result.precision) == (4, "fp32")
