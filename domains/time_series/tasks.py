"""Two more tasks of the same model (Timer, arXiv 2402.02368, section 4): filling gaps, and scoring how odd a step is.

    filled = fill_gaps(model, frame)
    odd = anomaly_scores(model, frame, threshold=anomaly_threshold(model.engine, store, model.tokenizer))

A causal model knows the past only: a gap is filled with the median of what it expects there, given all that was
observed before the gap; what comes after it is not used. A look at both sides needs another kind of model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, InputError
from core.rejects import Reject
from core.sequence import Sequence as Tokens
from domains.formats.series import Series
from domains.time_series.forecasting import coming_fields, forecast_contexts
from domains.time_series.source.records import open_source
from domains.time_series.tokenizer.shared import SeriesTokenizer

if TYPE_CHECKING:
    import pandas as pd

    from core.store import TokenStore

FALSE_ALARMS = 0.001
"""Share of ordinary steps above the threshold: about one an hourly series and six weeks."""


class Scorer(Protocol):
    """What of core.engine.Engine is used here."""

    model: Any

    def score(self, sequences: Iterable[Tokens], *, mode: str) -> Iterable[Any]: ...


def fill_gaps(model: Any, data: Any, *, draws: int = 0, seed: int = 0, **options: Any) -> pd.DataFrame:
    """Every series with its missing steps filled.

    Args:
        model: a `foretell.Model` of this domain.
        data: as for `forecast`; gaps of its grid count as missing too.
        draws, seed: of the paths whose median fills a gap longer than the model predicts at once.
        options: how `data` is read; the fields of `SourceConfig`.

    Returns: a long frame `unique_id, ds, y, filled`; `filled` is True where y is the model's. Missing steps before the
        first value do not come back (there is nothing that they could be filled from).

    Raises InputError for a series that cannot be read.
    """
    parts = []
    for series in _histories(model, data, options):
        values, was_missing = fill_series(model.engine, model.tokenizer, series, draws=draws, seed=seed)
        parts.append(_frame(series, {"y": values, "filled": was_missing}))
    return _stacked(parts)


def fill_series(
    engine: Any, tokenizer: SeriesTokenizer[Any], series: Series, *, draws: int = 0, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(T,) values without gaps and which of them were filled; gaps of the same length are forecast together.

    Earlier gaps stay missing in the context of later ones: the model reads what was observed, not what it made up.
    """
    values = series.values[:, 0].copy()
    missing = np.isnan(values)
    starts, stops = _runs(missing)
    lengths = stops - starts
    sequence = tokenizer.encode_context(series)
    places = tokenizer.step_starts(sequence)
    for length in np.unique(lengths):
        gaps = starts[(lengths == length) & (starts > 0)]
        if not len(gaps):
            continue
        ahead = [coming_fields(tokenizer, sequence, int(places[g]), int(places[g + length])) for g in gaps]
        given = [a for a in ahead if a is not None]
        found = forecast_contexts(
            engine,
            tokenizer,
            [sequence.slice(0, int(places[g])) for g in gaps],
            int(length),
            levels=(0.5,),
            draws=draws,
            seed=seed,
            ahead=given if len(given) == len(gaps) else None,
        )
        for gap, said in zip(gaps, found, strict=True):
            values[gap : gap + length] = said.quantiles[0, :, 0]
    return values, missing


def anomaly_scores(model: Any, data: Any, *, threshold: float | None = None, **options: Any) -> pd.DataFrame:
    """How unlikely the model finds every step, given what came before it.

    Args:
        threshold: nats above which a step counts as an anomaly; see `anomaly_threshold`.

    Returns: a long frame `unique_id, ds, y, nats`, with `anomaly` where there is a threshold. `nats` is the negative
        log-density per step in raw units; NaN for missing steps and the first ones, which nothing precedes.

    Raises InputError for a series that cannot be read.
    """
    histories = _histories(model, data, options)
    scores = nats_per_step(model.engine, model.tokenizer, [model.tokenizer.encode_context(s) for s in histories])
    parts = []
    for series, nats in zip(histories, scores, strict=True):
        columns: dict[str, NDArray[Any]] = {"y": series.values[:, 0], "nats": nats}
        if threshold is not None:
            columns["anomaly"] = np.nan_to_num(nats, nan=-np.inf) > threshold
        parts.append(_frame(series, columns))
    return _stacked(parts)


def anomaly_threshold(
    engine: Scorer, store: TokenStore, tokenizer: SeriesTokenizer[Any], *, false_alarms: float = FALSE_ALARMS
) -> float:
    """Nats that a share `false_alarms` of the validation part's steps exceeds.

    Raises ConfigError for a share outside (0, 1), InputError where no validation step is scored.
    """
    if not 0 < false_alarms < 1:
        raise ConfigError(f"false_alarms: got {false_alarms}, allowed: a share above 0 and below 1")
    spans = store.spans("validation")
    scores = [nats[np.isfinite(nats)] for nats in span_nats(engine, store, tokenizer, spans)]
    found = np.concatenate([*scores, np.zeros(0)])
    if not len(found):
        raise InputError(
            f"{store.path} has no validation step that a threshold could be calibrated on",
            hint="Prepare the store with split.validation= above 0.",
        )
    return float(np.quantile(found, 1 - false_alarms))


def span_nats(
    engine: Scorer, store: TokenStore, tokenizer: SeriesTokenizer[Any], spans: NDArray[np.int64]
) -> list[NDArray[np.float64]]:
    """Per span (sequence, start, stop) of tokens the nats of each of its steps, read with a context before it."""
    found = []
    for row, start, stop in spans.tolist():
        sequence = store[row]
        starts = tokenizer.step_starts(sequence)
        back = int(starts[np.searchsorted(starts, max(0, start - int(engine.model.config.context)))])
        piece = sequence.slice(back, stop)
        before = int(np.searchsorted(tokenizer.step_starts(piece), start - back))
        found.append(nats_per_step(engine, tokenizer, [piece])[0][before:])
    return found


def nats_per_step(
    engine: Scorer, tokenizer: SeriesTokenizer[Any], sequences: Sequence[Tokens]
) -> list[NDArray[np.float64]]:
    """Per sequence (T,) negative log-density of each step in raw units; NaN where nothing was predicted.

    Symbols have a probability; divided by the width of their bin, or by the unit of their last digit, it is a density.
    """
    found = []
    for sequence, score in zip(sequences, engine.score(sequences, mode="windows"), strict=True):
        nats = np.asarray(score.token_nll, np.float64)[: len(sequence)]
        if tokenizer.spec.targets[0].is_symbol:
            nats = nats + tokenizer.log_volume(sequence)
            if not tokenizer.token_is_step:
                starts = tokenizer.step_starts(sequence)[:-1]
                nats = np.add.reduceat(nats, starts) if len(starts) else np.zeros(0)
            nats[np.isnan(tokenizer.decode(sequence).values[:, 0])] = np.nan
        found.append(nats)
    return found


def _histories(model: Any, data: Any, options: dict[str, Any]) -> list[Series]:
    tokenizer = model.tokenizer
    if tokenizer.width > 1:
        raise ConfigError(
            f"this works on one channel, the model has {tokenizer.width}", hint="Prepare with data.channels=apart."
        )
    settings = {key: tokenizer.config.listed(key) for key in ("known", "past")}
    found = []
    for record in open_source(path=data, **{**settings, **options}):
        if isinstance(record, Reject):
            raise InputError(record.message)
        found.append(record)
    return found


def _runs(flags: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where runs of True start and stop."""
    edges = np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


def _frame(series: Series, columns: dict[str, NDArray[Any]]) -> pd.DataFrame:
    import pandas as pd

    from domains.time_series.tokenizer.calendar import local_stamps

    stamps = local_stamps(series.start, series.freq, series.timezone, len(series))
    when = np.arange(len(series)) if stamps is None else stamps
    return pd.DataFrame({"unique_id": series.id, "ds": when, **columns})


def _stacked(parts: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(parts, ignore_index=True)
