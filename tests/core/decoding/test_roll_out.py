"""Roll-outs: the model reads its own predictions, by whatever batch, and a path is a function of its counters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.batching.batch import collate, make_row
from core.engine import Engine
from core.errors import ConfigError, InputError
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.scaling import Scaling
from core.sequence import Role, Sequence, TokenSpec, real, symbol
from core.vocabulary import Vocabulary
from tests.core.tiny import DNA, tiny_model

HOURS = Vocabulary(tuple("abcdef"))
PLAIN = TokenSpec((real("values", 2, scaling=Scaling("constant", (0.0, 1.0), (1.0, 2.0), residual=True)),))
PATCHED = TokenSpec(
    (real("values", 1, scaling=Scaling(least=2)), symbol("hour", HOURS, Role.KNOWN_AHEAD)),
    patch=4,
)


def model_of(spec: TokenSpec, pattern: str = "A", readout: str = "student_t", context: int = 32) -> SequenceModel:
    torch.manual_seed(0)
    config = ModelConfig(pattern=pattern, width=32, layers=2, headdim=16, d_state=8, context=context)
    model = SequenceModel(spec, config, {"values": readout})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def series(steps: int, spec: TokenSpec, seed: int = 0) -> Sequence:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(steps, spec["values"].width)).cumsum(0)
    arrays = {"values": values, "hour": generator.integers(5, 11, steps).astype(np.uint8)}
    return Sequence({name: arrays[name] for name in spec.names}, f"s{seed}")


def by_definition(model: SequenceModel, context: Sequence, steps: int, future: Sequence | None) -> np.ndarray:
    """Means fed back, the whole row read anew for every patch."""
    spec, patch = model.spec, model.spec.patch
    known, made = {n: a.copy() for n, a in context.arrays.items()}, 0
    while made < steps:
        row = {"values": np.concatenate([known["values"], np.zeros((patch, spec["values"].width))])}
        if future is not None:
            row["hour"] = np.concatenate([context.arrays["hour"], future.arrays["hour"]])[: len(row["values"])]
            row["hour"] = np.pad(row["hour"], (0, len(row["values"]) - len(row["hour"])), constant_values=5)
        batch = collate([make_row(Sequence(row), spec, eos=False)], spec)
        with torch.inference_mode():
            hidden, _ = model(batch.inputs)
            mean = model.readings(batch.inputs)["values"].mean(hidden)[0, -1]
        known["values"] = np.concatenate([known["values"], mean.numpy().reshape(patch, -1)])
        made += patch
    return known["values"][len(context) : len(context) + steps]


@pytest.mark.parametrize("pattern", ["A", "S", "M", "SA"])
@pytest.mark.parametrize("spec", [PLAIN, PATCHED], ids=["plain", "patched"])
def test_a_roll_out_is_reading_the_row_anew_for_every_patch(spec: TokenSpec, pattern: str) -> None:
    model = model_of(spec, pattern, context=64).eval()
    context, ahead = series(16, spec), series(18, spec, seed=1) if spec.patch > 1 else None
    (found,) = Engine(model).roll_out([context], 18, ahead=None if ahead is None else [ahead])
    np.testing.assert_allclose(found[0], by_definition(model, context, 18, ahead), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["mean", "sample", "quantile"])
def test_batches_and_order_change_nothing(mode: str) -> None:
    model = model_of(PLAIN)
    engine, contexts = Engine(model), [series(n, PLAIN, seed=n) for n in (5, 20, 5, 31, 12)]
    kwargs = {"mode": mode, "draws": 3, "levels": (0.1, 0.9), "seed": 7}
    together = engine.roll_out(contexts, 9, **kwargs)
    assert [t.shape for t in together] == [({"mean": 1, "sample": 3, "quantile": 2}[mode], 9, 2)] * 5
    alone = Engine(model, exact=True).roll_out(contexts, 9, **kwargs)
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_paths_differ_by_seed_row_and_number_and_are_the_same_again() -> None:
    engine, context = Engine(model_of(PLAIN)), series(20, PLAIN)
    first, second = engine.roll_out([context, context], 5, mode="sample", draws=2, seed=1)
    (again,) = engine.roll_out([context], 5, mode="sample", draws=2, seed=1)
    np.testing.assert_allclose(again, first, rtol=1e-5)
    assert not np.allclose(first[0], first[1])
    assert not np.allclose(first, second)
    assert not np.allclose(engine.roll_out([context], 5, mode="sample", draws=2, seed=2)[0], again)


def test_paths_of_levels_do_not_cross_and_hold_the_mean() -> None:
    levels = (0.05, 0.5, 0.95)
    (found,) = Engine(model_of(PLAIN, readout="gaussian")).roll_out(
        [series(20, PLAIN)], 1, mode="quantile", levels=levels
    )
    assert (np.diff(found, axis=0) > 0).all()
    (mean,) = Engine(model_of(PLAIN, readout="gaussian")).roll_out([series(20, PLAIN)], 1)
    np.testing.assert_allclose(found[1], mean[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pattern", ["A", "S"])
def test_a_long_roll_out_stays_within_what_attention_was_trained_on(pattern: str) -> None:
    model = model_of(PLAIN, pattern, context=8)
    read = []
    model.backbone.blocks[0].register_forward_pre_hook(lambda module, args: read.append(args[0].shape[1]))
    (found,) = Engine(model).roll_out([series(100, PLAIN)], 40)
    assert found.shape == (1, 40, 2)
    assert np.isfinite(found).all()
    assert max(read) <= 8
    assert (len(read) > 1) == (pattern == "A")


def test_a_forecast_within_a_patch_is_exact_and_beyond_it_by_paths() -> None:
    model = model_of(PATCHED)
    engine, context, ahead = Engine(model), series(16, PATCHED), series(12, PATCHED, seed=1)
    (short,) = engine.forecast([context], 4, ahead=[ahead], levels=(0.9, 0.1))
    (longer,) = engine.forecast([context], 12, ahead=[ahead], levels=(0.1, 0.9), draws=50)
    assert short.levels == (0.1, 0.9)
    assert short.quantiles.shape == (2, 4, 1)
    assert longer.quantiles.shape == (2, 12, 1)
    np.testing.assert_allclose(longer.quantiles[:, :4], short.quantiles, rtol=1e-5)
    assert (np.diff(longer.quantiles, axis=0) > 0).all()


def test_a_context_may_be_short_partly_missing_or_empty() -> None:
    engine = Engine(model_of(PATCHED))
    context = series(10, PATCHED)
    context.observed["values"] = np.arange(10)[:, None] % 3 > 0
    for given in (context, context.slice(0, 3), context.slice(0, 0)):
        (found,) = engine.roll_out([given], 6, ahead=[series(6, PATCHED)])
        assert np.isfinite(found).all()
    context.observed["values"] = np.zeros((10, 1), bool)
    with pytest.raises(InputError, match="'s0': none of the last 10 values"):
        engine.roll_out([context], 6, ahead=[series(6, PATCHED)])


def test_what_cannot_be_rolled_out_is_said() -> None:
    with pytest.raises(ConfigError, match="one real target"):
        Engine(tiny_model(DNA)).roll_out([], 3)
    with pytest.raises(ConfigError, match="hour of the steps to come"):
        Engine(model_of(PATCHED)).roll_out([series(8, PATCHED)], 3)
    with pytest.raises(ConfigError, match="`ahead` has 2 steps, the forecast 3"):
        Engine(model_of(PATCHED)).roll_out([series(8, PATCHED)], 3, ahead=[series(2, PATCHED)])
    with pytest.raises(ConfigError, match=r"roll_out\.mode"):
        Engine(model_of(PLAIN)).roll_out([series(8, PLAIN)], 3, mode="men")


def test_samples_of_real_values_are_drawn_paths_with_their_likelihood() -> None:
    model = model_of(PLAIN)
    samples = Engine(model).sample([series(6, PLAIN)], max_length=10, draws=2, seed=3)
    assert [len(s.sequence) for s in samples] == [10, 10]
    for sample in samples:
        (score,) = Engine(model).score([sample.sequence], mode="windows")
        assert float(score.token_nll[6:].sum()) == pytest.approx(sample.nll, rel=1e-3)
