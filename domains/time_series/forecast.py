"""Forecasts of series that a user has: a frame, files, arrays or Series in, a frame with ids and stamps out.

    frame = foretell.load("run").forecast(history, 24, quantiles=(0.1, 0.5, 0.9))

The whole history is given; a model reads what its context holds. Works for every tokenizer of the domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.formats.columns import ColumnTable
from domains.formats.frame_columns import USUAL_IDS, USUAL_TIMES
from domains.formats.frames import memory_table
from domains.formats.series import Series
from domains.formats.stamps import localize, read_stamps
from domains.formats.table import find_column
from domains.formats.time_grid import advance, stamps_of
from domains.time_series.forecasting import forecast_contexts
from domains.time_series.source.records import open_source

if TYPE_CHECKING:
    import pandas as pd

Known = Mapping[str, Mapping[str, NDArray[np.float64]]]


def forecast(
    model: Any,
    data: Any,
    horizon: int,
    *,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    draws: int = 0,
    seed: int = 0,
    known: Any = None,
    **options: Any,
) -> pd.DataFrame:
    """The next `horizon` steps of every series in `data`.

    Args:
        model: a `foretell.Model` of this domain; its `engine` and `tokenizer` are used.
        data: a pandas DataFrame (long or wide), files, arrays or Series; everything that `open_source` reads.
        quantiles: levels between 0 and 1.
        draws: paths, where quantiles are not exact; 0: 100, of bins and digits 20.
        known: future values of the covariates that are known ahead, where the model has any: a long frame with the
            ids and stamps of the steps to come, or id to covariate to (horizon,) values.
        options: how `data` is read; the fields of `SourceConfig` (id_column, time_column, target, freq, timezone ...).

    Returns: a long frame `unique_id, ds, mean, q0.1, ...`, series in the order in which they came; with a column
        `channel` where the model forecasts several. `ds` goes on from the history, on the same clocks; it counts steps
        from 0 where the series has no stamps. The mean of a model of quantiles is its median.

    Raises:
        ConfigError: a horizon or level that is not allowed.
        InputError: a series that cannot be read or of which no value is there, named; covariates that are missing.
    """
    import pandas as pd

    if not isinstance(horizon, int) or isinstance(horizon, bool) or horizon < 1:
        raise ConfigError(f"horizon: got {horizon!r}, allowed: a positive whole number")
    levels = [float(level) for level in quantiles]
    if not all(0 < level < 1 for level in levels):
        raise ConfigError(f"quantiles: got {list(quantiles)}, allowed: levels between 0 and 1")
    tokenizer = model.tokenizer
    settings = {key: tokenizer.config.listed(key) for key in ("known", "past")}
    several = tokenizer.width > 1
    reading = {**settings, **({"channels": "together"} if several else {}), **options}
    histories = _histories(data, reading)
    coming = _known_ahead(known, histories, horizon, tokenizer.config.listed("known"), options)
    ahead = [tokenizer.ahead(series, horizon, coming.get(series.id)) for series in histories]
    given = [a for a in ahead if a is not None]
    said = forecast_contexts(
        model.engine,
        tokenizer,
        [tokenizer.encode_context(series) for series in histories],
        horizon,
        levels=levels,
        draws=draws,
        seed=seed,
        ahead=given if len(given) == len(histories) else None,
    )
    rows = [(s, f, c) for s, f in zip(histories, said, strict=True) for c in range(len(s.channels))]
    columns: dict[str, Any] = {
        "unique_id": np.repeat(_original_ids(data, [s.id for s, _, _ in rows], options), horizon),
        "ds": np.concatenate([_stamps_ahead(s, horizon) for s, _, _ in rows]),
    }
    if several:
        columns["channel"] = np.repeat([s.channels[c] for s, _, c in rows], horizon)
    columns["mean"] = np.concatenate([f.mean[:, c] for _, f, c in rows])
    for i, level in enumerate(levels):
        columns[f"q{level:g}"] = np.concatenate([f.quantiles[i, :, c] for _, f, c in rows])
    return pd.DataFrame(columns)


def _histories(data: Any, options: Mapping[str, Any]) -> list[Series]:
    """Every series. Raises InputError for the first that cannot be read: a forecast must not be missing silently."""
    found: list[Series] = []
    for record in open_source(path=data, **options):
        if isinstance(record, Reject):
            raise InputError(record.message)
        if np.isnan(record.values).all():
            raise InputError(f"series '{record.id}' has no value at all, nothing can be forecast from it")
        found.append(record)
    return found


def _original_ids(data: Any, ids: list[str], options: Mapping[str, Any]) -> list[Any]:
    """Ids as a frame from Python spells them, so that it can be joined with the forecasts: numbers stay numbers."""
    if not hasattr(data, "columns"):
        return ids
    frame = memory_table(data).frame
    column = find_column([str(c) for c in frame.columns], options.get("id_column"), USUAL_IDS, "id_column")
    spelled = {} if column is None else {str(value): value for value in frame[column].unique().tolist()}
    return [spelled[i] for i in ids] if all(i in spelled for i in ids) else ids


def _stamps_ahead(series: Series, horizon: int) -> Any:
    """(horizon,) the stamps after a series on its own clocks, or step numbers."""
    import pandas as pd

    if series.start is None or series.freq is None:
        return np.arange(len(series), len(series) + horizon)
    stamps = pd.to_datetime(stamps_of(advance(series.start, series.freq, len(series)), series.freq, horizon))
    if series.timezone is not None:
        stamps = stamps.tz_localize("UTC").tz_convert(series.timezone).tz_localize(None)
    return stamps.to_numpy("datetime64[ns]")


def _known_ahead(
    known: Any, histories: Sequence[Series], horizon: int, names: Sequence[str], options: Mapping[str, Any]
) -> Known:
    """Per series the future values of each covariate, as far as they are given."""
    if known is None or not names:
        return {}
    if isinstance(known, Mapping):
        return known
    table = memory_table(known)
    columns = [str(c) for c in table.frame.columns]
    identity = find_column(columns, options.get("id_column"), USUAL_IDS, "id_column")
    given_time = options.get("time_column")
    time = find_column(columns, given_time if isinstance(given_time, str) else None, USUAL_TIMES, "time_column")
    for name in names:
        find_column(columns, name, (), "known")
    ids = table.frame[identity].astype(str).to_numpy() if identity else np.full(len(table.frame), histories[0].id)
    stamps = _stamps_of_known(table, ids, time, options)
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for series in histories:
        rows = np.flatnonzero(ids == _base(series.id, ids))
        if stamps is not None and series.start is not None and series.freq is not None:
            wanted = stamps_of(advance(series.start, series.freq, len(series)), series.freq, horizon).astype(np.int64)
            order = rows[np.argsort(stamps[rows], kind="stable")]
            at = np.searchsorted(stamps[order], wanted)
            there = at < len(order)
            there[there] = stamps[order[at[there]]] == wanted[there]
            rows = order[at[there]]
        found[series.id] = {name: table.frame[name].to_numpy(np.float64)[rows[:horizon]] for name in names}
    return found


def _stamps_of_known(
    table: ColumnTable, ids: NDArray[Any], time: str | None, options: Mapping[str, Any]
) -> NDArray[np.int64] | None:
    """Nanoseconds of the rows' stamps; None where they are step numbers or there is no time column."""
    from collections import Counter

    if time is None:
        return None
    stamps = read_stamps(table.frame[time], options.get("time_format"))
    if not stamps.clock:
        return None
    if options.get("timezone") is not None:
        localize(stamps, np.unique(ids, return_inverse=True)[1], options["timezone"], Counter())
    return stamps.values


def _base(record: str, ids: NDArray[Any]) -> str:
    """The id in the frame of a series that may be named `id.target`."""
    return record if record in ids else record.rpartition(".")[0]
