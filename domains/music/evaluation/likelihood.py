"""Nats per token, per note and per beat: the model beside n-grams of every order on the same tokens, piece by piece."""

from __future__ import annotations

import lzma
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.evaluation import MODEL, MetricTable, Totals
from core.order import permutation
from core.sequence import Sequence as Tokens
from core.spans import read_spans
from core.store import TokenStore
from core.tokenizer import Tokenizer
from core.vocabulary import SPECIALS
from domains.music.evaluation.ngrams import NGrams

Spans = NDArray[np.int64]
Values = NDArray[np.float64]
_KEYS = tuple(range(-5, 7))


class Scorer(Protocol):
    """What of core.engine.Engine is used here."""

    def score_spans(self, store: TokenStore, spans: Spans) -> Iterable[NDArray[np.float32]]: ...

    def embed(self, sequences: Iterable[Tokens], *, pooling: str) -> Iterable[NDArray[np.float32]]: ...

    def sample(self, prefixes: Any, *, max_length: int, **options: Any) -> list[Any]: ...


@dataclass(frozen=True)
class Baselines:
    """Fitted tables, and the order that did best on the validation split (the highest where there is none)."""

    tables: dict[str, NGrams]
    """"": as the pieces stand. "_all_keys": each in all twelve keys, as the model is trained."""
    chosen: str
    """Such as `order_4` or `order_7_all_keys`."""

    def names(self) -> list[str]:
        return [f"order_{k}{suffix}" for suffix, table in self.tables.items() for k in range(table.order + 1)]

    def of(self, name: str) -> tuple[NGrams, int]:
        """The table and the order behind a name."""
        order, _, keys = name.removeprefix("order_").partition("_")
        return self.tables[f"_{keys}" if keys else ""], int(order)


def some_spans(spans: Spans, limit: int, *counters: int | str) -> Spans:
    """`limit` of the spans drawn without replacement, in their order; all of them for a limit of 0."""
    if not limit or len(spans) <= limit:
        return spans
    return spans[np.sort(permutation(len(spans), "pieces", *counters)[:limit])]


def tokens_of(store: TokenStore, spans: Spans) -> list[NDArray[np.int64]]:
    return [np.asarray(sequence.arrays["tokens"]).astype(np.int64) for sequence in read_spans(store, spans)]


def plain(tokenizer: Any, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tokens as n-grams count them, from 1; of voices with symbols of their own, the place among them: an n-gram knows
    whose turn it is and need not spread its mass over the others.
    """
    places = tokenizer.places(tokens) if hasattr(tokenizer, "places") else tokens - len(SPECIALS)
    found: NDArray[np.int64] = places + 1
    return found


def plain_size(tokenizer: Any) -> int:
    return int(getattr(tokenizer, "block", tokenizer.size - len(SPECIALS))) + 1


def from_plain(tokenizer: Any, plain_tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """The tokens that `plain` gave (..., T)."""
    places = np.maximum(plain_tokens - 1, 0)  # 0 stands for nothing
    found = tokenizer.at_places(places) if hasattr(tokenizer, "at_places") else places + len(SPECIALS)
    return np.asarray(found, np.int64)


def fit_ngrams(store: TokenStore, tokenizer: Tokenizer[Any], order: int) -> Baselines:
    """Tables of the training split; where the tokenizer transposes, one over all keys as well."""
    size, period = plain_size(tokenizer), getattr(tokenizer.config, "voices", 1)  # type: ignore[attr-defined]
    train = tokens_of(store, store.spans("train"))
    tables = {"": NGrams(order, size, period).fit(plain(tokenizer, piece) for piece in train)}
    transposed = getattr(tokenizer, "transposed", None)
    if transposed is not None:
        moved = (transposed(piece, shift) for piece in train for shift in _KEYS)
        tables["_all_keys"] = NGrams(order, size, period).fit(
            plain(tokenizer, piece) for piece in moved if piece is not None
        )
    baselines = Baselines(tables, f"order_{order}")
    validation = tokens_of(store, store.spans("validation"))
    if not validation:
        return baselines
    sums: dict[str, float] = {}
    for suffix, table in tables.items():
        nats = sum(table.nll(plain(tokenizer, piece))[0].sum(axis=1) for piece in validation)
        sums |= {f"order_{k}{suffix}": float(value) for k, value in enumerate(np.asarray(nats))}
    return Baselines(tables, min(sums, key=sums.__getitem__))


@dataclass
class Likelihoods:
    """What one pass over the pieces gathered."""

    ids: list[str]
    tokens: Values
    """(N,) tokens of each piece, without those that are only read."""
    notes: Values
    """(N,) its natural units."""
    beats: Values
    """(N,) its quarter notes; NaN where tokens do not say."""
    nats: dict[str, Values]
    """By model (N,)."""
    right: dict[str, Values]
    """By model (N,) how many tokens were the most likely ones, the first of a piece left out."""
    guessed: Values = field(default_factory=lambda: np.zeros(0))
    """(N,) of those, from the second of a piece on."""
    track: dict[str, Values] = field(default_factory=dict)
    """Nats of each token of the first piece by model."""

    def totals(self, weights: Values) -> dict[str, Totals]:
        keep = weights > 0
        return {model: Totals(values[keep], weights[keep]) for model, values in self.nats.items()}

    def chosen(self, best: str, totals: dict[str, Totals]) -> dict[str, Totals]:
        """Of many models those that a short table shows."""
        return {model: t for model, t in totals.items() if model in (MODEL, "order_4", best, "xz")}

    def accuracies(self) -> dict[str, Totals]:
        return {model: Totals(values, self.guessed) for model, values in self.right.items()}


def measure_likelihood(
    engine: Scorer, store: TokenStore, tokenizer: Tokenizer[Any], spans: Spans, baselines: Baselines
) -> Likelihoods:
    """Scores the spans; none of the models counts the end of a piece."""
    names = [MODEL, *baselines.names()]
    n = len(spans)
    found = Likelihoods(
        [store.ids[row] for row in spans[:, 0].tolist()],
        np.zeros(n),
        np.zeros(n),
        np.full(n, np.nan),
        {name: np.zeros(n) for name in names},
        {name: np.zeros(n) for name in names if name != MODEL},
        np.zeros(n),
    )
    steps = getattr(tokenizer.config, "steps", 0)  # type: ignore[attr-defined]
    voices = getattr(tokenizer.config, "voices", 0)  # type: ignore[attr-defined]
    pieces = list(read_spans(store, spans))
    for i, (sequence, nats) in enumerate(zip(pieces, engine.score_spans(store, spans), strict=True)):
        ids = np.asarray(sequence.arrays["tokens"]).astype(np.int64)
        counts = counted(sequence)
        found.tokens[i], found.guessed[i] = counts.sum(), counts[1:].sum()
        found.notes[i] = tokenizer.units(sequence.arrays).sum()
        if voices:  # as many tokens a step
            found.beats[i] = len(ids) / (steps * voices)
        found.nats[MODEL][i] = np.nansum(nats, dtype=np.float64)
        track = {MODEL: np.asarray(nats, np.float64)}
        for suffix, table in baselines.tables.items():
            by_order, hits = table.nll(plain(tokenizer, ids))
            for k in range(table.order + 1):
                found.nats[f"order_{k}{suffix}"][i] = by_order[k][counts].sum()
                found.right[f"order_{k}{suffix}"][i] = hits[k, 1:][counts[1:]].sum()
                if f"order_{k}{suffix}" == baselines.chosen:
                    track[baselines.chosen] = by_order[k]
        if i == 0:
            found.track = track
    right = _right_guesses(engine, pieces)
    if right is not None:
        found.right = {MODEL: right, **found.right}
    return found


def counted(sequence: Tokens) -> NDArray[np.bool_]:
    """(T,) the tokens that are predicted: all but those that are only read."""
    mask = sequence.loss_mask.get("tokens")
    return np.ones(len(sequence), bool) if mask is None else mask.astype(bool)


def _right_guesses(engine: Scorer, pieces: list[Tokens]) -> Values | None:
    """(N,) how many tokens of each piece, from its second on, the model finds the most likely; None where the engine
    has no model to ask.
    """
    model = getattr(engine, "model", None)
    if model is None:
        return None
    import torch

    readout = model.readouts["tokens"]
    right = np.zeros(len(pieces))
    with torch.inference_mode():
        for i, (piece, hidden) in enumerate(zip(pieces, engine.embed(pieces, pooling="token"), strict=True)):
            rows = torch.from_numpy(np.ascontiguousarray(hidden[:-1])).to(next(readout.parameters()))
            guesses = readout.logits(rows).argmax(-1).cpu().numpy()
            found = guesses == np.asarray(piece.arrays["tokens"])[1:].astype(np.int64)
            right[i] = found[counted(piece)[1:]].sum()
    return right


def add_likelihood(
    table: MetricTable,
    found: Likelihoods,
    tokenizer: Tokenizer[Any],
    chosen: str,
    *,
    label: str,
    seed: int,
    resamples: int,
) -> None:
    """Rows of every model per token; per note and beat those of the model, order 4 and the best n-gram."""
    options: dict[str, Any] = {"split": label, "seed": seed, "resamples": resamples}
    table.measure("nats_per_token", found.totals(found.tokens), **options)
    if tokenizer.natural_unit == "character":
        bits = {model: Totals(t.sums / np.log(2), t.weights) for model, t in found.totals(found.notes).items()}
        table.measure("bits_per_char", bits, **options)
    else:
        shown = found.chosen(chosen, found.totals(found.notes))
        table.measure(f"nats_per_{tokenizer.natural_unit}", shown, **options)
    if np.isfinite(found.beats).all():
        table.measure("nats_per_beat", found.chosen(chosen, found.totals(found.beats)), **options)
    if MODEL in found.right:
        table.measure("accuracy", found.accuracies(), **options)


def texts_of(store: TokenStore, tokenizer: Tokenizer[Any], spans: Spans) -> list[str]:
    """The characters of tunes, as they are spelled in the store."""
    vocabulary = tokenizer.spec.symbol_target.vocabulary
    assert vocabulary is not None
    return ["".join(vocabulary.decode(piece)) for piece in tokens_of(store, spans)]


def xz_bits_per_char(train: list[str], test: list[str]) -> float:
    """Bits per character that xz needs for the test texts when it has read the training texts already."""
    known = "\n".join(train).encode()
    both = known + b"\n" + "\n".join(test).encode()
    options: dict[str, Any] = {
        "format": lzma.FORMAT_RAW,
        "filters": [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}],
    }
    return 8 * (len(lzma.compress(both, **options)) - len(lzma.compress(known, **options))) / sum(map(len, test))
