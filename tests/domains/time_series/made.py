"""Series, stores and a stand-in for the engine, made by code, for the tests of this domain."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from core.ingest import prepare_store
from core.split import SplitConfig
from core.store import TokenStore
from domains.formats.series import Series
from domains.time_series.source import open_source
from domains.time_series.tokenizer import PatchTokenizer

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2024-01-01", "ns")


def daily(n: int, *, seed: int = 0, level: float = 10.0, noise: float = 0.1, name: str = "a") -> Series:
    """An hourly series whose days are alike, but for noise."""
    rng = np.random.default_rng(seed)
    values = level + np.sin(2 * np.pi * np.arange(n) / 24) + rng.normal(0, noise, n)
    return Series(name, values, start=START, freq="h")


def make_store(path: Path, series: Iterable[Series], tokenizer: Any = None, **split: Any) -> TokenStore:
    source = open_source(path=list(series))
    config = SplitConfig(**{**source.suggested_split, **split})
    prepare_store(source, tokenizer or PatchTokenizer(), path, split=config, domain="time_series", max_bad=1.0)
    return TokenStore.open(path)


class SeasonalEngine:
    """Forecasts the last day again, with bands of a fixed width; likelihoods are those of a Gaussian around it."""

    def __init__(self, season: int = 24, width: float = 0.5) -> None:
        self.season, self.width = season, width
        self.model = SimpleNamespace(config=SimpleNamespace(context=512))
        self.asked: list[Any] = []

    def forecast(self, contexts, horizon, *, levels, draws, seed, ahead) -> list[SimpleNamespace]:
        from scipy.stats import norm

        found = []
        self.asked += [ahead]
        for context in contexts:
            values, observed = context.arrays["values"].astype(float), context.observed.get("values")
            if observed is not None:
                values = np.where(observed, values, np.nan)
            last = values[-self.season :]
            day = np.where(np.isnan(last), np.nanmean(values, axis=0), last)
            mean = np.resize(day, (horizon, values.shape[1]))
            spread = self.width * norm.ppf(np.asarray(levels))[:, None, None]
            found.append(SimpleNamespace(mean=mean, quantiles=mean + spread, levels=levels))
        return found

    def score(self, sequences, *, mode):
        assert mode == "windows"
        for sequence in sequences:
            values = sequence.arrays["values"][:, 0].astype(float)
            said = np.concatenate([np.full(self.season, np.nan), values[: -self.season]])
            z = (values - said) / self.width
            yield SimpleNamespace(token_nll=0.5 * z**2 + np.log(self.width * np.sqrt(2 * np.pi)))


class RepeatEngine:
    """Draws symbols: what comes after a prefix is the tokens of its last day again."""

    def __init__(self, tokenizer: Any, context: int = 256, season: int = 24) -> None:
        self.tokenizer, self.season = tokenizer, season
        self.model = SimpleNamespace(config=SimpleNamespace(context=context))

    def sample(self, prefixes, *, max_length, min_length, draws, seed, grammar, ahead, rows):
        found = []
        for prefix in prefixes:
            assert len(prefix) < max_length == min_length
            starts = self.tokenizer.step_starts(prefix)
            tokens = prefix.arrays["tokens"]
            again = np.resize(tokens[starts[-1 - self.season] :], max_length - len(prefix))
            whole = type(prefix)({"tokens": np.concatenate([tokens, again])}, prefix.id)
            found += [SimpleNamespace(sequence=whole)] * draws
        return found

    def score(self, sequences, *, mode):
        for sequence in sequences:
            yield SimpleNamespace(token_nll=np.ones(len(sequence)))
