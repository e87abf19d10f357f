"""Regressions on given features, fitted in a second: what fine-tuning starts from and is measured against.

Ridge in closed form (Hoerl and Kennard 1970) through the smaller of the two Gram matrices, logistic regression by
L-BFGS. The penalty is chosen on the validation part; features are standardised on the training part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

Values = NDArray[np.float64]
PENALTIES = np.logspace(-1, 5, 13)
"""Of ridge on standardised features."""
LOGISTIC_PENALTIES = (1e-1, 1.0, 1e1, 1e2, 1e3)
"""Of logistic regression, on the sum over records."""
_ITERATIONS = 300
MOST_ROWS = 20_000
"""Training rows of a logistic regression, or tokens: it takes seconds then."""


@dataclass(frozen=True)
class Fitted:
    """y = (x - shift) / scale W + b; logits of classes."""

    shift: Values
    scale: Values
    weights: Values
    """(F, K)"""
    bias: Values
    """(K,)"""

    def __call__(self, x: Values) -> Values:
        """(N, F) -> (N, K)."""
        return (x - self.shift) / self.scale @ self.weights + self.bias


def ridge(x: Values, y: Values, held_x: Values, held_y: Values) -> Fitted:
    """Numbers y (N, K), NaN where not known, each with its own penalty."""
    shift, scale = x.mean(0), np.maximum(x.std(0), 1e-6)
    z, held = (x - shift) / scale, (held_x - shift) / scale
    weights, bias = np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1])
    for k in range(y.shape[1]):
        there, held_there = np.isfinite(y[:, k]), np.isfinite(held_y[:, k])
        if not there.any():
            continue
        mean, centre = y[there, k].mean(), z[there].mean(0)
        found = _ridge_path(z[there] - centre, y[there, k] - mean)
        errors = [np.square((held[held_there] - centre) @ w + mean - held_y[held_there, k]).sum() for w in found]
        weights[:, k] = found[int(np.argmin(errors))] if held_there.any() else found[len(found) // 2]
        bias[k] = mean - centre @ weights[:, k]
    return Fitted(shift, scale, weights, bias)


def _ridge_path(z: Values, y: Values) -> list[Values]:
    """Weights (F,) for every penalty, by one eigendecomposition of the smaller Gram matrix."""
    if z.shape[0] < z.shape[1]:
        eigen, vectors = np.linalg.eigh(z @ z.T)
        aim = vectors.T @ y
        return [z.T @ (vectors @ (aim / (np.maximum(eigen, 0) + p))) for p in PENALTIES]
    eigen, vectors = np.linalg.eigh(z.T @ z)
    aim = vectors.T @ (z.T @ y)
    return [vectors @ (aim / (np.maximum(eigen, 0) + p)) for p in PENALTIES]


def logistic(
    x: Values, y: Values, held_x: Values, held_y: Values, *, exclusive: bool, weights: Values | None = None
) -> Fitted:
    """Classes y (N, K) of 0 and 1, NaN where not known.

    Args:
        exclusive: softmax over the classes, where a record is of one; else each class alone.
        weights: (K,) of the classes.
    """
    if len(x) > MOST_ROWS:
        even = np.linspace(0, len(x) - 1, MOST_ROWS).astype(int)
        x, y = x[even], y[even]
    shift, scale = x.mean(0), np.maximum(x.std(0), 1e-6)
    z, held = (x - shift) / scale, (held_x - shift) / scale
    k = y.shape[1]
    start = np.zeros((x.shape[1] + 1, k))
    best: tuple[float, Values] = (np.inf, start)
    for penalty in reversed(LOGISTIC_PENALTIES):  # from the stiffest on, each from the one before
        start = _logistic(z, y, penalty, start, exclusive, weights)
        loss = log_loss(held @ start[:-1] + start[-1], held_y, exclusive) if len(held) else 0.0
        if loss < best[0]:
            best = (loss, start)
    return Fitted(shift, scale, best[1][:-1], best[1][-1])


def _logistic(z: Values, y: Values, penalty: float, start: Values, exclusive: bool, weights: Values | None) -> Values:
    known = np.isfinite(y)
    aim = np.where(known, y, 0.0)
    each = np.ones_like(aim) if weights is None else np.where(aim > 0.5, weights, 1.0)
    if exclusive and weights is not None:
        each = np.broadcast_to((aim * weights).sum(1, keepdims=True), aim.shape)

    def value(flat: Values) -> tuple[float, Values]:
        w = flat.reshape(start.shape)
        logits = z @ w[:-1] + w[-1]
        if exclusive:
            logs = log_softmax(logits, axis=1)
            loss, slope = -(each * aim * logs).sum(), each * (np.exp(logs) - aim)
        else:
            loss = (known * each * (np.logaddexp(0, logits) - aim * logits)).sum()
            slope = known * each * (expit(logits) - aim)
        gradient = np.concatenate([z.T @ slope + penalty * w[:-1], slope.sum(0)[None]])
        return float(loss + 0.5 * penalty * np.square(w[:-1]).sum()), gradient.ravel()

    found = minimize(value, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
    return np.asarray(found.x).reshape(start.shape)


def chances(logits: Values, exclusive: bool) -> Values:
    """Probabilities (N, K)."""
    found: Values = softmax(logits, axis=1) if exclusive else expit(logits)
    return found


def log_loss(logits: Values, y: Values, exclusive: bool) -> float:
    """The mean negative log-likelihood of y (N, K) in nats."""
    known = np.isfinite(y)
    aim = np.where(known, y, 0.0)
    if exclusive:
        return float(-(aim * log_softmax(logits, axis=1)).sum() / max(1, known.all(1).sum()))
    return float((known * (np.logaddexp(0, logits) - aim * logits)).sum() / max(1, known.sum()))
