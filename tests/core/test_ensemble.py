"""Several models as one: probabilities and forecasts are the mean of theirs, and what has no mean is refused."""

from __future__ import annotations

import numpy as np
import pytest

from core.engine import Engine
from core.ensemble import Ensemble
from core.errors import ConfigError
from core.sequence import Sequence
from tests.core.decoding.test_roll_out import PATCHED, PLAIN, model_of, series
from tests.core.tiny import DNA, MIXED, records, tiny_model

LENGTHS = (3, 0, 40, 7)
MODELS = [tiny_model(seed=seed) for seed in range(3)]


def test_a_token_has_the_mean_of_the_members_probabilities() -> None:
    given = records(*LENGTHS)
    found = list(Ensemble(MODELS).score(iter(given)))
    alone = [list(Engine(model).score(given)) for model in MODELS]
    for one, members in zip(found, zip(*alone, strict=True), strict=True):
        probability = np.exp(-np.stack([m.token_nll for m in members]).astype(np.float64)).mean(0)
        assert np.allclose(np.exp(-one.token_nll), probability, atol=1e-6, equal_nan=True)
        assert one.n_tokens == members[0].n_tokens
        assert one.nll <= np.mean([m.nll for m in members]) + 1e-4  # Jensen's inequality


def test_fields_are_averaged_each_for_itself_and_keep_what_is_not_counted() -> None:
    given = records(9, 5, spec=MIXED)
    models = [tiny_model(MIXED, seed=seed) for seed in range(2)]
    for one, a, b in zip(*(engine.nats(given) for engine in (Ensemble(models), *map(Engine, models))), strict=True):
        assert list(one) == ["values", "action"]
        for name, nats in one.items():
            assert np.array_equal(np.isnan(nats), np.isnan(a[name]))
            assert np.allclose(np.exp(-nats), (np.exp(-a[name]) + np.exp(-b[name])) / 2, equal_nan=True, atol=1e-6)


def test_next_symbols_are_a_distribution() -> None:
    (given,) = records(12)
    said = Ensemble(MODELS).next_symbols(given)
    assert np.allclose(np.exp(said).sum(-1), 1, atol=1e-5)
    assert np.allclose(np.exp(said), np.mean([np.exp(Engine(m).next_symbols(given)) for m in MODELS], 0), atol=1e-6)


def test_one_model_is_itself() -> None:
    given = records(*LENGTHS)
    for one, other in zip(Ensemble(MODELS[:1]).score(given), Engine(MODELS[0]).score(given), strict=True):
        assert np.allclose(one.token_nll, other.token_nll, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("horizon", [4, 10])
def test_forecasts_are_the_mean_level_by_level(horizon: int) -> None:
    models = [model_of(PATCHED, readout="gaussian"), tiny_model(PATCHED, seed=5, context=32)]
    context, ahead = series(20, PATCHED), [series(horizon, PATCHED, seed=1)]
    asked = {"levels": (0.1, 0.9), "draws": 8, "ahead": ahead}
    (found,) = Ensemble(models).forecast(iter([context]), horizon, **asked)
    alone = [Engine(model).forecast([context], horizon, **asked)[0] for model in models]
    assert np.allclose(found.mean, (alone[0].mean + alone[1].mean) / 2)
    assert np.allclose(found.quantiles, (alone[0].quantiles + alone[1].quantiles) / 2)
    assert (found.quantiles[0] <= found.quantiles[1]).all()


@pytest.mark.parametrize("pattern", ["A", "S"])
def test_a_roll_out_feeds_the_mean_back_to_each(pattern: str) -> None:
    models = [model_of(PLAIN, pattern, "gaussian"), tiny_model(PLAIN, pattern=pattern, seed=3, context=32)]
    context = series(20, PLAIN)
    (found,) = Ensemble(models).roll_out([context], 6)
    grown = context
    for step in range(6):
        ahead = [Engine(model).roll_out([grown], 1)[0][0] for model in models]
        expected = np.mean(ahead, 0)
        assert np.allclose(found[0, step : step + 1], expected, rtol=1e-3, atol=1e-3)
        values = np.concatenate([grown.arrays["values"], found[0, step : step + 1]]).astype(np.float32)
        grown = Sequence({"values": values})


@pytest.mark.parametrize("mode", ["sample", "quantile"])
def test_one_model_rolls_out_as_itself(mode: str) -> None:
    model, context, ahead = model_of(PATCHED), series(20, PATCHED), [series(12, PATCHED, seed=1)]
    asked = {"mode": mode, "draws": 3, "levels": (0.2, 0.8), "ahead": ahead}
    (found,), (alone,) = (engine.roll_out([context], 12, **asked) for engine in (Ensemble([model]), Engine(model)))
    assert found.shape == alone.shape
    assert np.allclose(found, alone, rtol=1e-5)


def test_quantile_paths_are_the_mean_of_theirs_and_rows_do_not_mix() -> None:
    models = [model_of(PATCHED, readout="gaussian"), tiny_model(PATCHED, seed=5, context=32)]
    contexts = [series(20, PATCHED, seed=k) for k in range(3)]
    ahead = [series(4, PATCHED, seed=9)] * 3
    asked = {"mode": "quantile", "levels": (0.1, 0.9)}
    together = Ensemble(models).roll_out(contexts, 4, ahead=ahead, **asked)
    first, second = (Engine(model).roll_out(contexts, 4, ahead=ahead, **asked) for model in models)
    for one, a, b in zip(together, first, second, strict=True):
        assert np.allclose(one, (a + b) / 2, rtol=1e-4, atol=1e-5)
    longer = [series(12, PATCHED, seed=9)] * 3
    asked = {"mode": "sample", "draws": 3}
    paths = Ensemble(models).roll_out(contexts, 12, ahead=longer, **asked)
    (alone,) = Ensemble(models).roll_out(contexts[1:2], 12, ahead=longer[:1], rows=[1], **asked)
    assert np.allclose(alone, paths[1], rtol=1e-3, atol=1e-4)
    assert np.abs(np.diff(alone, axis=0)).max() > 0.01


def test_what_has_no_mean_is_refused() -> None:
    both = Ensemble(MODELS[:2])
    with pytest.raises(ConfigError, match="2 models together do not draw samples"):
        both.sample(1, max_length=4)
    with pytest.raises(ConfigError, match="do not embed"):
        both.embed(records(3))
    with pytest.raises(ConfigError, match="must read the same tokens"):
        Ensemble([tiny_model(DNA), tiny_model(MIXED)])
    with pytest.raises(ConfigError, match="must have the same readouts"):
        Ensemble([model_of(PLAIN, readout="mse"), model_of(PLAIN, readout="gaussian")])
    with pytest.raises(ConfigError, match="no models"):
        Ensemble([])
    unlike = Ensemble([model_of(PLAIN, "A"), model_of(PLAIN, "S")])
    with pytest.raises(ConfigError, match="the same layers"):
        unlike.roll_out([series(8, PLAIN)], 2)
