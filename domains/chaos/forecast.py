"""Trajectories continued for a user: arrays, files or Trajectories in, what comes next out.

    ahead = foretell.load("run").forecast(history, 300)          # history (T, C), or "history.csv"
    ahead[0].values                                             # (300, C)

A deterministic system has one future, so what is fed back is the mean; with `quantiles` those of drawn paths come
with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.chaos.evaluation import forecasts
from domains.chaos.source import Trajectory, as_trajectory, open_source


@dataclass(frozen=True)
class Continuation:
    """What a model says comes after a trajectory."""

    id: str
    path: Trajectory
    """The next steps, one path."""
    levels: tuple[float, ...] = ()
    quantiles: NDArray[np.float64] | None = None
    """(Q, H, C), where levels were asked for; NaN where no path holds a value."""

    @property
    def values(self) -> NDArray[np.float64]:
        """(H, C) of the path."""
        return self.path.values


def forecast(
    model: Any,
    data: Any,
    horizon: int,
    *,
    quantiles: Sequence[float] = (),
    draws: int = 100,
    seed: int = 0,
    temperature: float = 0.0,
    **options: Any,
) -> list[Continuation]:
    """The next `horizon` steps of every trajectory in `data`.

    Args:
        model: a `foretell.Model` of this domain; its `engine` and `tokenizer` are used.
        data: an array (T, C), a Trajectory, files, or a list of one kind of them.
        quantiles: levels between 0 and 1.
        draws: paths that quantiles are taken of, where the readout does not give them.
        temperature: of the path of a model of symbols; 0 takes the likeliest symbol. Its quantiles are of paths drawn
            at this temperature, or at 1 where it is 0.
        options: how files are read; see `open_source` (dt, channels, id_column ...).

    Raises:
        ConfigError: a horizon or level that is not allowed.
        InputError: a trajectory that cannot be read, named.
    """
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
        raise ConfigError(f"horizon: got {horizon!r}, allowed: a positive whole number of steps")
    levels = tuple(float(level) for level in quantiles)
    if not all(0 < level < 1 for level in levels):
        raise ConfigError(f"quantiles: got {list(quantiles)}, allowed: levels between 0 and 1")
    tokenizer, engine = model.tokenizer, model.engine
    histories = _histories(data, options)
    paths = forecasts.forecast(engine, tokenizer, histories, horizon, temperature=temperature, seed=seed)
    found = [
        Continuation(one.id, replace(one, values=path, purpose="series", context=0, noise=0.0))
        for one, path in zip(histories, paths, strict=True)
    ]
    if not levels:
        return found
    if any(field.is_symbol for field in tokenizer.spec.targets):
        several = [one for one in histories for _ in range(draws)]
        drawn = forecasts.forecast(engine, tokenizer, several, horizon, temperature=temperature or 1.0, seed=seed)
        clouds = [np.stack(drawn[i * draws : (i + 1) * draws]) for i in range(len(histories))]
        asked = [np.nanquantile(cloud, levels, axis=0) for cloud in clouds]
    else:
        encoded = [tokenizer.encode(one) for one in histories]
        said = engine.forecast(encoded, horizon, levels=levels, draws=draws, seed=seed)
        asked = [np.asarray(more.quantiles, np.float64) for more in said]
    return [replace(one, levels=levels, quantiles=values) for one, values in zip(found, asked, strict=True)]


def _histories(data: Any, options: dict[str, Any]) -> list[Trajectory]:
    """Raises InputError for the first one that cannot be read."""
    if isinstance(data, Trajectory | np.ndarray):
        return [as_trajectory(data)]
    items: list[Any] = [data] if isinstance(data, str | os.PathLike) else list(data)
    if items and all(isinstance(item, str | os.PathLike) for item in items):
        return _read([Path(item) for item in items], options)
    if options:
        raise ConfigError(f"{next(iter(options))}= says how files are read, and no file is given")
    return [as_trajectory(item) for item in items]


def _read(paths: Iterable[Path], options: dict[str, Any]) -> list[Trajectory]:
    found = []
    for item in open_source(path=paths, **options):
        if isinstance(item, Reject):
            raise InputError(str(item))
        found.append(item)
    return found
