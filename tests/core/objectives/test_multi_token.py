"""Further heads predict further tokens, relative to what is known at their position, and leave validation alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.batching.batch import Batch, collate, make_row
from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.objectives.multi_token import MultiToken
from core.objectives.next_token import NextToken
from core.scaling import Scaling
from core.sequence import Sequence, Symbols, TokenSpec, Vectors
from core.vocabulary import Vocabulary

LETTERS = Symbols(Vocabulary(("A", "B")))
SERIES = Vectors(2, Scaling("constant", (0.0, 0.0), (1.0, 1.0), residual=True, residual_scale=(0.1, 0.1)))
MODEL = ModelConfig(width=32, layers=1)


def batch_of(spec: TokenSpec) -> Batch:
    generator = np.random.default_rng(0)
    arrays = [
        {"tokens": generator.integers(5, 7, n).astype(np.uint8), "values": generator.normal(size=(n, 2))}
        for n in (9, 6)
    ]
    records = [Sequence({name: a[name] for name in spec.names}) for a in arrays]
    return collate([make_row(record, spec, eos=True) for record in records], spec)


@pytest.mark.parametrize("spec", [LETTERS, SERIES])
@pytest.mark.parametrize("heads", ["parallel", "sequential"])
def test_the_loss_is_that_of_the_next_token_and_a_share_of_the_later_ones(spec: TokenSpec, heads: str) -> None:
    torch.manual_seed(0)
    model, batch = SequenceModel(spec, MODEL), batch_of(spec)
    objective = MultiToken(spec, MODEL, {"tokens": 3, "weight": 0.5, "heads": heads})
    hidden, _ = model(batch.inputs)
    found = objective.loss(hidden, model.readings(batch.inputs), batch)
    plain = NextToken(spec).loss(hidden, model.readings(batch.inputs), batch)
    later = [found["loss/ahead_2"], found["loss/ahead_3"]]
    torch.testing.assert_close(found["loss"], plain["loss"] + 0.5 * torch.stack(later).mean())
    found["loss"].backward()
    assert all(p.grad is not None for p in objective.modules.parameters())
    objective.modules.eval()
    alone = objective.loss(hidden, model.readings(batch.inputs), batch)
    assert alone.keys() == plain.keys()
    torch.testing.assert_close(alone["loss"], plain["loss"])


def test_a_head_is_scored_on_the_token_that_it_predicts() -> None:
    """Heads that pass the hidden state on are next-token readouts of a later target."""
    model, batch = SequenceModel(LETTERS, MODEL), batch_of(LETTERS)
    objective = MultiToken(LETTERS, MODEL, {"tokens": 2})
    objective.modules["head2"] = torch.nn.Identity()
    hidden, _ = model(batch.inputs)
    found = objective.loss(hidden, model.readings(batch.inputs), batch)
    nats = model.readings(batch.inputs)["tokens"].nll(hidden[:, :-1], batch.targets["tokens"][:, 1:])
    mask = batch.loss_mask["tokens"][:, 1:]
    torch.testing.assert_close(found["loss/ahead_2"], (nats * mask).sum() / mask.sum())


def test_the_horizon_grows_with_the_run() -> None:
    objective = MultiToken(LETTERS, MODEL, {"tokens": 4, "curriculum": 0.5})
    horizons = []
    for objective.progress in (0.0, 0.1, 0.2, 0.4, 0.5, 1.0):
        horizons.append(objective.horizon)
    assert horizons == [1, 1, 2, 3, 4, 4]


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="unknown key 'token'; did you mean 'tokens'"):
        MultiToken(LETTERS, MODEL, {"token": 3})
    with pytest.raises(ConfigError, match=r"objective\.tokens: got 1"):
        MultiToken(LETTERS, MODEL, {"tokens": 1})
    with pytest.raises(ConfigError, match="unknown key"):
        NextToken(LETTERS, MODEL, {"weight": 1})
