"""Baselines on systems where it is known what each of them can do."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from domains.chaos.evaluation.baselines import BASELINES, Material
from domains.chaos.evaluation.baselines.analogues import (
    NearestNeighbour,
    Parroting,
    Persistence,
    fit_nearest_neighbour,
    fit_parroting,
)
from domains.chaos.evaluation.baselines.material import best, ridge_solutions, rolled
from domains.chaos.evaluation.baselines.regressions import all_terms, fit_nvar, fit_var, monomials
from domains.chaos.evaluation.baselines.reservoir import WASHOUT, _segments, fit_esn
from domains.chaos.evaluation.horizon import nrmse, valid_steps


@pytest.fixture(scope="module")
def lorenz(orbit) -> Material:
    """4,000 points to learn from, a fifth of what the benchmark has."""
    train = orbit("lorenz63", 4000)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    other = (orbit("lorenz63", 4000, 1) - mean) / deviation
    cuts = [(other[i - 150 : i], other[i : i + 200]) for i in range(150, 3700, 220)]
    contexts, truths = (np.stack(part) for part in zip(*cuts, strict=True))
    return Material([(train - mean) / deviation], contexts, truths, 30.0)


def validity(material: Material, forecaster) -> float:
    errors = nrmse(forecaster.roll_out(material.contexts, material.truths.shape[1]), material.truths, np.ones(3))
    return float(valid_steps(errors, 0.4).mean() / 30)


def test_the_ladder_of_baselines_on_lorenz_63(lorenz: Material) -> None:
    """The example: each rung is worth more than the one below; fits that are exact polynomials most."""
    found = {
        "persistence": validity(lorenz, Persistence()),
        "var": validity(lorenz, fit_var(lorenz)),
        "context_parroting": validity(lorenz, fit_parroting(lorenz)),
        "nearest_neighbour": validity(lorenz, fit_nearest_neighbour(lorenz)),
        "esn": validity(lorenz, fit_esn(lorenz, nodes=200)),
        "nvar": validity(lorenz, fit_nvar(lorenz)),
    }
    assert found["persistence"] < found["var"] < found["context_parroting"] < found["nearest_neighbour"]
    assert found["nearest_neighbour"] < found["esn"]
    assert found["esn"] > 3
    assert found["nvar"] > 4.5


def test_every_name_is_the_name_of_what_is_fitted(lorenz: Material) -> None:
    few = lorenz.part(600, 4)
    for name, fit in BASELINES.items():
        if name != "esn_500":
            assert fit(few).name == name
    assert fit_esn(few, nodes=40).name == "esn_500"


def test_a_context_is_parroted_as_a_period() -> None:
    wave = np.sin(2 * np.pi * np.arange(100) / 25)[None, :, None]
    for motif in (1, 5, 10):
        continued = Parroting(motif).roll_out(wave, 60)
        if motif > 1:  # a single value does not tell the way up from the way down
            assert continued[0, :, 0] == pytest.approx(np.sin(2 * np.pi * np.arange(100, 160) / 25), abs=1e-9)
    assert Parroting(20).roll_out(wave[:, :7], 5).shape == (1, 5, 1)


def test_a_neighbour_from_training_is_followed_to_its_end_and_on(orbit) -> None:
    train = orbit("henon", 300)
    model = NearestNeighbour([train], 1)
    assert np.array_equal(model.roll_out(train[None, 90:101], 50)[0], train[101:151])
    long = model.roll_out(train[None, 240:251], 120)[0]
    assert np.array_equal(long[:49], train[251:])
    assert np.isfinite(long).all()
    steps = (long[49:, None] == train[None]).all(axis=2).any(axis=1)
    assert steps.all()


def test_linear_systems_are_learned_exactly_by_var() -> None:
    turn = 0.999 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    states = [np.array([1.0, 0.0])]
    for _ in range(800):
        states.append(turn @ states[-1])
    series = np.array(states)
    cut = series[600:][None]
    material = Material([series[:600]], cut[:, :50], cut[:, 50:150], 10.0)
    assert np.abs(fit_var(material).roll_out(cut[:, :50], 100) - cut[:, 50:150]).max() < 1e-6


def test_polynomial_maps_are_learned_exactly_by_nvar(orbit) -> None:
    series = orbit("henon", 1500)
    material = Material([series[:1000]], series[None, 1000:1020], series[None, 1020:1060], 2.4)
    model = fit_nvar(material)
    errors = np.abs(model.roll_out(series[None, 1200:1210], 30)[0] - series[1210:1240])
    assert errors[0].max() < 1e-9
    assert errors[15].max() < 1e-2  # grown by e^(0.42 x 15)


def test_monomials_are_all_products_up_to_the_degree() -> None:
    terms = all_terms(2, 3)
    assert len(terms) == 10
    found = monomials(np.array([[2.0, 3.0]]), terms)[0]
    assert sorted(found) == sorted([1, 2, 3, 4, 6, 9, 8, 12, 18, 27])


def test_ridges_shrink_what_they_should() -> None:
    draw = np.random.default_rng(0)
    features, weights = draw.normal(size=(200, 4)), draw.normal(size=(4, 2))
    exact, shrunk = ridge_solutions(features, features @ weights, (0.0, 1.0))
    assert exact == pytest.approx(weights)
    assert shrunk == pytest.approx(weights / 2, abs=0.05)
    copied = np.concatenate([features, features[:, :1]], axis=1)  # two equal columns
    assert np.abs(copied @ ridge_solutions(copied, features @ weights, (1e-12,))[0] - features @ weights).max() < 1e-4


def test_a_runaway_is_given_up_and_does_not_spread() -> None:
    states = np.array([[[1.0]], [[0.1]]])
    found = rolled(lambda history: history[:, -1] * np.where(history[:, -1] >= 1, 10.0, 1.0), states, 6)
    assert found[0, :, 0].tolist() == [10, 100, 1000, np.inf, np.inf, np.inf]
    assert found[1, :, 0].tolist() == [0.1] * 6


def test_the_best_is_chosen_by_validation_roll_outs() -> None:
    truths = np.zeros((2, 40, 1))
    material = Material([np.zeros((9, 1))], np.zeros((2, 3, 1)), truths, 10.0)
    models = [
        SimpleNamespace(name=str(wrong), roll_out=lambda contexts, steps, wrong=wrong: truths + wrong)
        for wrong in (0.5, 0.3, 0.2, 0.3)
    ]
    assert best(material, models).name == "0.2"
    nothing = Material(material.train, truths[:0], truths[:0], 10.0)
    assert best(nothing, models).name == "0.5"


def test_reservoirs_read_every_step_of_training_once() -> None:
    """Stretches run side by side, each with a washout that counts for another one."""
    series = [np.arange(2500.0)[:, None], 10_000 + np.arange(60.0)[:, None]]
    seen = []
    for values, counted in _segments(series):
        seen += (values[:, 1:][counted[:, :-1]]).ravel().tolist()
    assert len(seen) == len(set(seen))
    assert set(seen) == set(range(WASHOUT + 1, 2500)) | set(range(10_031, 10_060))


def test_a_reservoir_is_a_function_of_its_seed(lorenz: Material) -> None:
    few = lorenz.part(400, 2)
    first, again, other = (fit_esn(few, nodes=40, seed=seed).roll_out(few.contexts, 5) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_reservoirpy_computes_the_same_states(lorenz: Material) -> None:
    """The cross-check: another library's reservoir with our matrices takes the same steps."""
    nodes = pytest.importorskip("reservoirpy.nodes")
    ours = fit_esn(lorenz.part(400, 2), nodes=50)
    matrices = {"W": ours.connections.toarray(), "Win": ours.inputs, "bias": ours.biases.ravel()}
    theirs = nodes.Reservoir(lr=ours.leak, **matrices)
    series = lorenz.contexts[0]
    expected = theirs.run(series)
    states = np.zeros((50, 1))
    for t, values in enumerate(series):
        states = ours.advance(states, values[:, None])
        assert states[:, 0] == pytest.approx(expected[t], abs=1e-9)
