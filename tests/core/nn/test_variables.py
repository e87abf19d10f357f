"""Variables side by side: causal, blind to their order, each in its own units; a single one is a usual model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from core.batching.batch import Batch, collate, make_row
from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.nn.time_attention import TimeAttention
from core.objectives import OBJECTIVES
from core.scaling import Scaling
from core.sequence import Role, Sequence, TokenSpec, real, symbol
from core.vocabulary import Vocabulary

VARIABLES, PATCH = 3, 4
HOURS = Vocabulary(tuple("abcd"))
CONFIG = ModelConfig(width=32, layers=2, heads=2)


def spec(variables: int = VARIABLES, *, delays: int = 1, apart: bool = True) -> TokenSpec:
    scaling = Scaling(least=2, residual=True)
    values = real("values", variables, scaling=scaling, delays=delays, by_channel=apart)
    return TokenSpec((values, symbol("hour", HOURS, Role.KNOWN_AHEAD)), PATCH)


def record(steps: int, seed: int = 0) -> Sequence:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(steps, VARIABLES)).cumsum(0)
    hours = np.arange(5, 5 + steps).astype(np.uint8) % 4 + 5
    observed = generator.random((steps, VARIABLES)) > 0.1
    return Sequence({"values": values, "hour": hours}, observed={"values": observed})


def batch_of(*records: Sequence, of: TokenSpec | None = None) -> Batch:
    batch = collate([make_row(r, of or spec(), eos=False) for r in records], of or spec())
    return batch.map(lambda t: t.double() if t.is_floating_point() else t)


def model_of(of: TokenSpec | None = None, config: ModelConfig = CONFIG) -> SequenceModel:
    torch.manual_seed(0)
    made = SequenceModel(of or spec(), config, {"values": "student_t"}).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return made


def nats(model: SequenceModel, batch: Batch) -> Tensor:
    """(B, T, P, C), NaN where nothing counts."""
    hidden, _ = model(batch.inputs)
    reading = model.readings(batch.inputs)["values"]
    mask = reading.counted(batch.loss_mask["values"])
    found = reading.component_nll(hidden, batch.targets["values"]).masked_fill(~mask, torch.nan)
    return found.detach().unflatten(-1, (PATCH, -1))


def same(a: Tensor, b: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


def test_nothing_depends_on_a_later_step_of_any_variable() -> None:
    model, one = model_of(), record(32)
    whole = nats(model, batch_of(one))
    for patch in range(1, 8):
        other = record(32)
        other.arrays["values"][patch * PATCH :] = 50 + 10 * record(32, seed=1).arrays["values"][patch * PATCH :]
        same(nats(model, batch_of(other))[:, :patch], whole[:, :patch])


def test_a_variable_sees_the_others() -> None:
    model, other = model_of(), record(32)
    other.arrays["values"][:8, 0] += np.arange(8)
    changed = nats(model, batch_of(other)) - nats(model, batch_of(record(32)))
    assert (changed[0, 3:, :, 1:].nan_to_num().abs().amax((1, 2)) > 1e-6).all()


@pytest.mark.parametrize("delays", [1, 2])
def test_another_order_of_the_variables_gives_the_same_in_that_order(delays: int) -> None:
    made = spec(delays=delays)
    model, order = model_of(made), [2, 0, 1]
    plain = nats(model, batch_of(record(32), of=made))
    turned = record(32)
    turned.arrays["values"] = turned.arrays["values"][:, order]
    turned.observed["values"] = turned.observed["values"][:, order]
    model.embed.fields["values"].which.data = model.embed.fields["values"].which.data[order]
    same(nats(model, batch_of(turned, of=made)), plain[..., order])


def test_each_variable_has_its_own_units() -> None:
    model, other = model_of(), record(32)
    factors = np.array([1024.0, 1.0, 2.0**-7])
    other.arrays["values"] = other.arrays["values"] * factors
    shifted = nats(model, batch_of(other)) - torch.from_numpy(np.log(factors))
    same(shifted, nats(model, batch_of(record(32))), 1e-6)


def test_without_others_it_is_the_model_of_one_channel() -> None:
    """One variable, its vector zero: the same weights give the same nats as the usual attention over one channel."""
    alone, usual = model_of(spec(1)), model_of(spec(1, apart=False))
    weights = alone.state_dict()
    names = {name.replace("_.one.", "_."): name for name in weights}
    usual.load_state_dict({name: weights[names[name]] for name in usual.state_dict()})
    alone.embed.fields["values"].which.data.zero_()
    one = record(32)
    one = Sequence(
        {**one.arrays, "values": one.arrays["values"][:, :1]}, observed={"values": one.observed["values"][:, :1]}
    )
    same(nats(alone, batch_of(one, of=spec(1))), nats(usual, batch_of(one, of=spec(1, apart=False))))


@pytest.mark.parametrize("window", [0, 3])
def test_steps_and_chunks_equal_the_whole(window: int) -> None:
    model = model_of(config=ModelConfig(width=32, layers=2, heads=2, kv_heads=1, window=window))
    inputs = batch_of(record(32), record(32, seed=1)).inputs
    with torch.no_grad():
        hidden, _ = model(inputs)
        means = model.readings(inputs)["values"].mean(hidden)
        state = model.init_state(2, 8)
        for t in range(8):
            one = inputs.map(lambda x, t=t: x[:, t])  # type: ignore[misc]
            step, state = model.step(one.fields, state, start=one.start, observed=one.observed)
            same(step, hidden[:, t])
            same(model.readings_now(state)["values"].mean(step[:, None])[:, 0], means[:, t])
        state, parts = model.init_state(2, 8), []
        for begin, end in ((0, 3), (3, 4), (4, 8)):
            chunk, after = model(inputs.map(lambda x, a=begin, b=end: x[:, a:b]), state)  # type: ignore[misc]
            assert after is not None
            parts.append(chunk)
            state = after
        same(torch.cat(parts, 1), hidden)


def test_padding_changes_nothing() -> None:
    model, records = model_of(), [record(32), record(11, seed=1), record(18, seed=2)]
    together = nats(model, batch_of(*records))
    for row, one in enumerate(records):
        alone = nats(model, batch_of(one))
        same(together[row, : alone.shape[1]], alone[0])


def test_rows_of_a_state_can_be_chosen_and_begun_anew() -> None:
    model = model_of()
    inputs = batch_of(record(32), record(32, seed=1)).inputs
    with torch.no_grad():
        hidden, _ = model(inputs)
        _, state = model(inputs.map(lambda x: x[:, :4]), model.init_state(2, 16))
        assert state is not None
        later = inputs.map(lambda x: x[[1, 0], 4:])
        same(model(later, state.select(torch.tensor([1, 0])))[0], hidden[[1, 0], 4:])
        state.reset(torch.tensor([0]))
        first, second = (inputs.map(lambda x, r=r, t=t: x[r : r + 1, t]) for r, t in ((0, 0), (1, 4)))  # type: ignore[misc]
        both = [
            {k: torch.cat((getattr(a, w)[k], getattr(b, w)[k])) for k in getattr(a, w)}
            for w in ("fields", "observed")
            for a, b in [(first, second)]
        ]
        step, _ = model.step(both[0], state, start=torch.cat((first.start, second.start)), observed=both[1])
        same(step, torch.stack((hidden[0, 0], hidden[1, 4])))


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ConfigError, match="attention only"):
        model_of(config=ModelConfig(pattern="mamba2", width=32, layers=1))
    with pytest.raises(ConfigError, match="one for each channel"):
        OBJECTIVES.get("multi_token")(spec(), CONFIG, {})
    with pytest.raises(ConfigError, match="only a real target"):
        real("wind", 2, Role.GIVEN, by_channel=True)
    with pytest.raises(ConfigError, match="the only one"):
        TokenSpec((real("a", 2, by_channel=True), real("b", 1)))
    mixer = TimeAttention(CONFIG, 2)
    with pytest.raises(ConfigError, match="packed"):
        mixer(torch.zeros(1, 4, 2, 32), segments=torch.zeros(1, 4, dtype=torch.int64))


def test_the_spec_survives_its_config() -> None:
    assert TokenSpec.from_config(spec().to_config()) == spec()
    assert spec().variables == VARIABLES
    assert spec(apart=False).variables == 0
