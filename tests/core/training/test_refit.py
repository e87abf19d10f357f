"""The solved last layer: what least squares gives, no worse in validation, gone from what training goes on with."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.scaling import Scaling
from core.sequence import Sequence, TokenSpec, real
from core.training.fit import FitResult
from core.training.refit import add, check, solve
from tests.core.tiny import DNA, tiny_model
from tests.core.training.tiny import Bundles, NamedStore, train

SPEC = TokenSpec((real("values", 2, scaling=Scaling("constant", (0.0, 1.0), (1.0, 2.0), residual=True)),))


def model_of(spec: TokenSpec = SPEC, readout: str = "mse") -> SequenceModel:
    torch.manual_seed(0)
    return SequenceModel(spec, ModelConfig(width=16, layers=1, headdim=8, context=16), {"values": readout})


def data_of() -> SequenceDataModule:
    """Two oscillators, whose next step is a linear function of what was."""
    t = np.arange(600)[:, None]
    values = np.cos(t * np.array([0.3, 0.11]) + np.arange(2)) * np.array([1.0, 3.0]) + 1
    record = Sequence({"values": values.astype(np.float32)}, "a")
    store = NamedStore([record], SPEC, [(0, 0, 500, "train"), (0, 500, 600, "validation")], shard=256)
    return SequenceDataModule(store, batching=BatchingConfig(length=16, stride=8, batch_size=8))


def trained(folder: Path, **changes: Any) -> tuple[SequenceModel, Bundles, FitResult]:
    model = model_of()
    bundles = Bundles(model)
    return model, bundles, train(folder, model, data_of(), bundles, steps=12, **changes)


def test_it_is_the_least_squares_solution() -> None:
    model = model_of()
    readout = model.readouts["values"]
    generator = torch.Generator().manual_seed(0)
    hidden, wanted = torch.randn(4, 50, 16, generator=generator), torch.randn(4, 50, 2, generator=generator)
    mask = torch.rand(4, 50, 2, generator=generator) > 0.2
    sums = (torch.zeros(17, 17, dtype=torch.float64), torch.zeros(17, 2, dtype=torch.float64))

    class Plain:
        def counted(self, m):
            return m

        def scaled(self, target):
            return target

    add(sums, hidden, Plain(), wanted, mask)
    solve(readout, *sums)
    rows = mask.all(-1)
    x = np.c_[hidden[rows].double().numpy(), np.ones(int(rows.sum()))]
    expected = np.linalg.lstsq(x, wanted[rows].double().numpy(), rcond=None)[0]
    found = np.r_[readout.proj.weight.detach().numpy().T, readout.proj.bias.detach().numpy()[None]]
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_bundle_is_better_and_training_keeps_its_own_weights(tmp_path: Path, ema: float) -> None:
    plain, _, before = trained(tmp_path / "plain", ema=ema)
    model, bundles, after = trained(tmp_path / "solved", ema=ema, refit=True)
    assert after.best_val < before.best_val
    for one, other in zip(plain.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, other)
    metrics, weights = bundles.written[-1]
    assert (metrics["step"], metrics["val_nll"]) == (12, after.best_val)
    assert not torch.equal(weights["readouts.values_.proj.weight"], model.readouts["values"].proj.weight)


def test_a_run_that_was_stopped_is_solved_when_it_ends(tmp_path: Path) -> None:
    _, _, whole = trained(tmp_path / "whole", refit=True)
    trained(tmp_path / "two", refit=True)
    shutil.rmtree(max((tmp_path / "two" / "checkpoints").iterdir()))
    _, bundles, again = trained(tmp_path / "two", refit=True)
    assert 0 < again.resumed_from < 12
    assert math.isclose(again.best_val, whole.best_val)
    assert len(bundles.written) >= 1


def test_a_run_whose_last_step_was_not_followed_by_a_solution_makes_up_for_it(tmp_path: Path) -> None:
    _, _, whole = trained(tmp_path / "whole", refit=True)
    with patch("core.training.refit.Refit.on_train_batch_end", lambda *given: None):  # as where a signal came
        trained(tmp_path / "cut", refit=True)
    _, bundles, again = trained(tmp_path / "cut", refit=True)
    assert again.resumed_from == 12
    assert math.isclose(again.best_val, whole.best_val)
    assert len(bundles.written) == 1
    _, bundles, _ = trained(tmp_path / "whole", refit=True)
    assert not bundles.written


def test_a_solution_that_is_worse_is_not_kept(tmp_path: Path) -> None:
    with patch("core.training.refit.solve", lambda readout, *sums: readout.proj.weight.data.fill_(5.0)):
        _, _, spoilt = trained(tmp_path / "spoilt", refit=True)
    _, _, plain = trained(tmp_path / "plain")
    assert spoilt.best_val == plain.best_val
    assert spoilt.last_val == plain.last_val


def test_models_without_a_mean_are_refused() -> None:
    with pytest.raises(ConfigError, match="no mse readout"):
        check(tiny_model(DNA), "auto")
    with pytest.raises(ConfigError, match="no mse readout"):
        check(model_of(readout="student_t"), "auto")
    with pytest.raises(ConfigError, match="sharded"):
        check(model_of(), "fsdp")
