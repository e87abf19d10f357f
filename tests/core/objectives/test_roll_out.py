"""The discrepancy is zero for one distribution and not for two, and its gradient reaches through the free run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.batching.batch import Batch, collate, make_row
from core.decoding.roll_out import Paths
from core.decoding.roll_out import RollOut as Decoding
from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.objectives.roll_out import RollOut, mmd
from core.scaling import Scaling
from core.sequence import Sequence, Symbols, Vectors
from core.vocabulary import Vocabulary

SPEC = Vectors(2, Scaling("constant", (0.0, 0.0), (1.0, 1.0), residual=True), patch=2)


def records(n: int) -> list[Sequence]:
    generator = np.random.default_rng(0)
    return [Sequence({"values": generator.normal(size=(16, 2)).cumsum(0)}) for _ in range(n)]


def batch_of(n: int) -> Batch:
    return collate([make_row(record, SPEC, eos=False) for record in records(n)], SPEC)


def test_the_discrepancy_is_about_zero_for_one_distribution_and_grows_with_a_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(500, 3, generator=generator) for _ in range(2))
    found = [mmd(a, b + shift).item() for shift in (0.0, 0.3, 1.0)]
    assert abs(found[0]) < 0.01
    assert found[0] < found[1] < found[2]
    assert mmd(a, a * torch.tensor([1.0, 1.0, 3.0])).item() > 0.05  # another spread is another distribution


@pytest.mark.parametrize("pattern", ["A", "S", "M"])
def test_a_free_run_is_what_decoding_makes_and_has_a_gradient(pattern: str) -> None:
    torch.manual_seed(0)
    config = ModelConfig(pattern=pattern, width=32, layers=2, headdim=16, d_state=8, context=16)
    model = SequenceModel(SPEC, config, {"values": "mse"})
    batch = batch_of(3)
    objective = RollOut(SPEC, config, {"tokens": 3, "context": 5})
    made = objective.run(model, batch.inputs, 5)
    decoded = Decoding(model.eval(), 16)([r.slice(0, 10) for r in records(3)], 6, Paths(), [(i,) for i in range(3)])
    np.testing.assert_allclose(
        made.detach().numpy().reshape(3, 6, 2), np.stack([d.values[0] for d in decoded]), rtol=1e-4, atol=1e-4
    )
    model.train()
    losses = objective.free_running(model, batch)
    assert set(losses) == {"mmd", "mmd_conditional"}
    torch.stack(list(losses.values())).sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(gradients) > 5
    assert all(g.isfinite().all() for g in gradients)
    assert any(g.abs().max() > 0 for g in gradients)


def test_rows_too_short_to_run_are_left_to_the_next_token() -> None:
    config = ModelConfig(width=32, layers=1)
    assert RollOut(SPEC, config, {"tokens": 8}).free_running(SequenceModel(SPEC, config), batch_of(3)) == {}


def test_symbols_are_refused() -> None:
    with pytest.raises(ConfigError, match="one real target field"):
        RollOut(Symbols(Vocabulary(("a",))), ModelConfig(), {})
