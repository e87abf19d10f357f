import numpy as np
import pytest

from core.finetuning import regressions
from core.finetuning.regressions import Fitted, logistic, ridge

sklearn = pytest.importorskip("sklearn.linear_model")
RNG = np.random.default_rng(0)


def test_ridge_finds_a_line_and_shrinks_noise():
    x = RNG.normal(3, 2, (80, 5))
    y = np.stack([x @ [1.0, 0, -2, 0, 0.5] + 7, RNG.normal(size=80)], axis=1)
    y[:10, 0] = np.nan
    model = ridge(x[:60], y[:60], x[60:], y[60:])
    np.testing.assert_allclose(model(x[60:])[:, 0], y[60:, 0], atol=0.1)
    assert np.abs(model(x[60:])[:, 1] - np.nanmean(y[:60, 1])).max() < 1


def test_ridge_is_scikit_learns_for_wide_and_tall_features(monkeypatch):
    monkeypatch.setattr(regressions, "PENALTIES", np.array([5.0]))
    for rows, columns in ((30, 50), (50, 8)):
        x, y = RNG.normal(size=(rows, columns)), RNG.normal(size=(rows, 1))
        model = ridge(x, y, x, y)
        z = (x - x.mean(0)) / x.std(0)
        np.testing.assert_allclose(model(x)[:, 0], sklearn.Ridge(alpha=5.0).fit(z, y[:, 0]).predict(z), atol=1e-8)


def test_logistic_is_scikit_learns(monkeypatch):
    monkeypatch.setattr(regressions, "LOGISTIC_PENALTIES", (2.0,))
    x = RNG.normal(size=(90, 4))
    kind = (x[:, 0] + RNG.normal(0, 0.5, 90) > 0).astype(int) + (x[:, 1] > 0.8)
    model = logistic(x, np.eye(3)[kind], x, np.eye(3)[kind], exclusive=True)
    z = (x - x.mean(0)) / x.std(0)
    expected = sklearn.LogisticRegression(C=0.5, max_iter=1000).fit(z, kind).predict_proba(z)
    np.testing.assert_allclose(regressions.chances(model(x), True), expected, atol=2e-3)


def test_classes_that_each_hold_or_not_skip_what_is_not_known():
    x = RNG.normal(size=(200, 3))
    y = (x[:, :2] > 0).astype(float)
    y[::3, 0] = np.nan
    model = logistic(x[:150], y[:150], x[150:], y[150:], exclusive=False)
    said = regressions.chances(model(x[150:]), False) > 0.5
    known = np.isfinite(y[150:])
    assert (said == (y[150:] == 1))[known].mean() > 0.9


def test_a_constant_feature_is_harmless():
    fitted = ridge(np.ones((9, 2)), np.arange(9.0)[:, None], np.ones((3, 2)), np.ones((3, 1)))
    assert isinstance(fitted, Fitted)
    np.testing.assert_allclose(fitted(np.ones((1, 2))), 4.0)
