import math

import pytest
import torch

from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.nn.config import size_config
from core.nn.model import SequenceModel
from core.sequence import Symbols
from tests.core.memory_store import LETTERS
from tests.core.training.tiny import lines, make_store, train


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["transformer", "mamba2"])
def test_a_model_of_a_hundred_million_parameters_takes_a_real_step(tmp_path, pattern):
    torch.manual_seed(0)
    model = SequenceModel(Symbols(LETTERS), size_config("l", pattern))
    assert 65e6 < model.n_parameters < 135e6
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    data = SequenceDataModule(make_store(), batching=BatchingConfig(batch_size=2, length=128), seed=1, val_tokens=256)
    result = train(tmp_path / "run", model, data, steps=1, val_every=1, save_every=1, ema=0.0)
    (step,) = lines(tmp_path / "run")
    assert 0 < float.fromhex(step["loss"]) < 3 * math.log(len(LETTERS))
    assert math.isfinite(result.best_val)
    moved = [name for name, p in model.named_parameters() if not torch.equal(p, before[name])]
    assert len(moved) == len(before)
