"""A model of real values: steps, chunks and padding change nothing; likelihoods are those of raw values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from core.batching.batch import Batch, collate, make_row
from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.scaling import Scaling
from core.sequence import Role, Sequence, TokenSpec, real, symbol
from core.vocabulary import Vocabulary

HOURS = Vocabulary(tuple("abcd"))
SPEC = TokenSpec(
    (
        real("values", 2, scaling=Scaling(least=2, residual=True), delays=2, lag=3),
        real("wind", 1, Role.GIVEN, Scaling(method="mean_abs", least=1)),
        symbol("hour", HOURS, Role.KNOWN_AHEAD),
    ),
    patch=3,
)
READOUTS = ("gaussian", "student_t", "quantile", "mse")


def record(steps: int, seed: int = 0) -> Sequence:
    generator = np.random.default_rng(seed)
    arrays = {
        "values": generator.normal(size=(steps, 2)).cumsum(0),
        "wind": generator.normal(size=(steps, 1)),
        "hour": generator.integers(5, 9, steps).astype(np.uint8),
    }
    return Sequence(arrays, observed={"values": generator.random((steps, 2)) > 0.1})


def batch_of(*steps: int) -> Batch:
    batch = collate([make_row(record(n, seed=i), SPEC, eos=False) for i, n in enumerate(steps)], SPEC)
    return batch.map(lambda t: t.double() if t.is_floating_point() else t)


def model_of(config: ModelConfig, readout: str = "student_t") -> SequenceModel:
    torch.manual_seed(0)
    made = SequenceModel(SPEC, config, {"values": readout}).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return made


def nats(model: SequenceModel, batch: Batch) -> Tensor:
    hidden, _ = model(batch.inputs)
    reading = model.readings(batch.inputs)["values"]
    mask = reading.counted(batch.loss_mask["values"])
    return reading.component_nll(hidden, batch.targets["values"]).masked_fill(~mask, torch.nan)


def test_step_by_step_equals_parallel(config: ModelConfig) -> None:
    model, inputs = model_of(config), batch_of(24, 24).inputs
    assert inputs.start is not None
    with torch.no_grad():
        hidden, _ = model(inputs)
        means = model.readings(inputs)["values"].mean(hidden)
        state = model.init_state(2, 8)
        for t in range(8):
            one = inputs.map(lambda x, t=t: x[:, t])  # type: ignore[misc]
            step, state = model.step(one.fields, state, start=one.start, observed=one.observed)
            torch.testing.assert_close(step, hidden[:, t], rtol=0, atol=1e-9)
            mean = model.readings_now(state)["values"].mean(step[:, None])
            torch.testing.assert_close(mean[:, 0], means[:, t], rtol=1e-9, atol=1e-9)


def test_chunk_by_chunk_equals_whole_also_for_readings(config: ModelConfig) -> None:
    model, batch = model_of(config), batch_of(24, 24)
    with torch.no_grad():
        whole = nats(model, batch)
        state, parts = model.init_state(2, 8), []
        for begin, end in ((0, 3), (3, 4), (4, 8)):
            inputs = batch.inputs.map(lambda x, a=begin, b=end: x[:, a:b])  # type: ignore[misc]
            reading = model.readings(inputs, state)["values"]
            hidden, after = model(inputs, state)
            assert after is not None
            mask = reading.counted(batch.loss_mask["values"][:, begin:end])
            found = reading.component_nll(hidden, batch.targets["values"][:, begin:end])
            parts.append(found.masked_fill(~mask, torch.nan))
            state = after
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-9, atol=1e-9, equal_nan=True)


def test_padding_changes_nothing(config: ModelConfig) -> None:
    model = model_of(config)
    together = nats(model, batch_of(24, 11, 17))
    for row, steps in ((0, 24), (1, 11), (2, 17)):
        batch = collate([make_row(record(steps, seed=row), SPEC, eos=False)], SPEC)
        alone = nats(model, batch.map(lambda t: t.double() if t.is_floating_point() else t))
        torch.testing.assert_close(together[row, : alone.shape[1]], alone[0], rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("readout", [r for r in READOUTS if r != "mse"])
def test_likelihoods_are_densities_of_raw_values(readout: str) -> None:
    spec = TokenSpec((real("values", 1, scaling=Scaling("constant", (50.0,), (7.0,), arcsinh=True)),))
    torch.manual_seed(0)
    model = SequenceModel(spec, ModelConfig(width=32, layers=1), {"values": readout}).double()
    grid = 50 + 7 * torch.sinh(torch.linspace(-12, 12, 40_001).double())
    hidden = torch.randn(1, 1, 32).double()
    inputs = collate([make_row(Sequence({"values": np.array([[48.0]])}), spec, eos=False)], spec).inputs
    reading = model.readings(inputs.map(lambda t: t.double() if t.is_floating_point() else t))["values"]
    density = (-reading.nll(hidden.expand(len(grid), 1, -1), grid[:, None, None])[:, 0]).exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=2e-3)
    assert reading.icdf(hidden, torch.tensor(0.5).double()).item() == pytest.approx(50, abs=5)


def test_what_is_relative_to_nothing_does_not_count() -> None:
    model, batch = model_of(ModelConfig(width=32, layers=1)), batch_of(24)
    found = nats(model, batch)
    assert found[:, 0].isnan().all()  # nothing was read yet
    assert found[:, 2:].isfinite().any(-1).all()
    assert math.isfinite(float(found.detach().nanmean()))


UNREAD = TokenSpec(
    (
        real("values", 2),
        symbol("choice", HOURS, read=False),
        real("wish", 2, scaling=Scaling("constant", (3.0, 4.0), (2.0, 5.0)), read=False),
        real("kept", 1, Role.GIVEN, read=False),
    )
)


def unread_record(steps: int, seed: int) -> Sequence:
    generator = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {name: generator.normal(size=(steps, 2)) for name in ("values", "wish")}
    arrays |= {"choice": generator.integers(5, 9, steps).astype(np.uint8), "kept": generator.normal(size=(steps, 1))}
    return Sequence(arrays, observed={"wish": generator.random((steps, 2)) > 0.2})


def test_an_unread_target_is_predicted_and_changes_nothing_that_follows(config: ModelConfig) -> None:
    """Neither hidden states nor predictions depend on it, in parallel or step by step; its loss does."""
    torch.manual_seed(0)
    model = SequenceModel(UNREAD, config).double()
    one, other = unread_record(9, 1), unread_record(9, 2)
    changed = Sequence({**other.arrays, "values": one.arrays["values"]}, observed=other.observed)
    batches = [
        collate([make_row(s, UNREAD, eos=False)], UNREAD).map(lambda t: t.double() if t.is_floating_point() else t)
        for s in (one, changed)
    ]
    with torch.no_grad():
        hidden, again = (model(batch.inputs)[0] for batch in batches)
        torch.testing.assert_close(hidden, again, rtol=0, atol=0)
        wishes = [model.readings(batch.inputs)["wish"].nll(hidden, batch.targets["wish"]) for batch in batches]
        assert not torch.allclose(*wishes)
        state = model.init_state(1, 9)
        inputs = batches[0].inputs
        assert inputs.start is not None
        for t in range(9):
            step, state = model.step({"values": inputs.fields["values"][:, t]}, state, start=inputs.start[:, t])
            torch.testing.assert_close(step, hidden[:, t], rtol=0, atol=1e-9)
        mean = model.readings_now(state)["wish"].mean(step[:, None])
        torch.testing.assert_close(mean[:, 0], model.readings(inputs)["wish"].mean(hidden)[:, -1])
    assert {name.split(".")[2] for name in model.state_dict() if name.startswith("embed.")} == {"values_"}
    assert {"choice", "wish"} < set(model.readout_kinds)


def test_only_a_field_without_memory_can_be_left_unread() -> None:
    for wrong in (
        lambda: real("x", 1, Role.KNOWN_AHEAD, read=False),
        lambda: real("x", 1, delays=2, read=False),
        lambda: real("x", 1, scaling=Scaling(), read=False),
        lambda: real("x", 1, by_channel=True, read=False),
    ):
        with pytest.raises(ConfigError, match="'x' is not read"):
            wrong()
    with pytest.raises(ConfigError, match="nothing to predict from"):
        TokenSpec((real("x", 1, read=False),))


def test_a_spec_says_what_is_not_read_and_nothing_else_of_it() -> None:
    assert TokenSpec.from_config(UNREAD.to_config()) == UNREAD
    assert ["read" in field for field in UNREAD.to_config()] == [False, True, True, True]
