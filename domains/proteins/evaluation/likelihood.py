"""Bits per residue: the model and Markov tables of every order on the same residues, protein by protein.

Sums are kept per protein, so that every part of the test set (honest, leaky, all) and every difference is resampled by
protein. Where the tokenizer reads both directions, so does the evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.baselines import Letters, MarkovRule, MarkovTable, best_rule
from core.evaluation import MODEL, Totals
from core.sequence import Sequence as Tokens
from core.spans import read_spans
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.proteins.evaluation.relatives import HONEST, known_shares
from domains.proteins.evaluation.residues import SIZE, SpanLetters, Spans, per_residue, sequence_letters

BITS = 1 / np.log(2)
INTERPOLATIONS = (256.0, 1024.0, 4096.0, 16384.0)
"""Weights that are tried on the validation split: proteins are near order 0, so the lower orders weigh much."""
VALIDATION_LETTERS = 2**18
REVERSED = "c_to_n"


class Scorer(Protocol):
    """What of core.engine.Engine is used here."""

    def score_spans(self, store: TokenStore, spans: Spans) -> Iterable[NDArray[np.float32]]: ...

    def score(self, sequences: Iterable[Tokens], *, mode: str) -> Iterable[Any]: ...

    def next_symbols(self, sequence: Tokens) -> NDArray[np.float32]: ...

    def sample(self, prefixes: Any, *, max_length: int, seed: int, **options: Any) -> list[Any]: ...


@dataclass(frozen=True)
class Baselines:
    """A fitted table with the rules that are shown, and the one that did best on the validation split."""

    table: MarkovTable
    rules: tuple[MarkovRule, ...]
    chosen: MarkovRule
    validated: bool
    """False where there was no validation split to choose on; then it is the highest order, interpolated."""


def fit_markov(store: TokenStore, tokenizer: Tokenizer[Any], order: int) -> Baselines:
    """Tables of the training split; every plain order, and the best interpolation of the highest."""
    table = MarkovTable(order, SIZE).fit(SpanLetters(store, tokenizer, store.spans("train")))
    plain = tuple(MarkovRule(k) for k in range(order + 1))
    pieces: list[Letters] = []
    for piece in SpanLetters(store, tokenizer, store.spans("validation")):
        pieces.append(piece)
        if sum(map(len, pieces)) >= VALIDATION_LETTERS:
            break
    if not any((piece < SIZE).any() for piece in pieces):
        blended = MarkovRule(order, INTERPOLATIONS[1])
        return Baselines(table, (*plain, blended), blended, False)
    blended, _ = best_rule(table, pieces, [MarkovRule(order, w) for w in INTERPOLATIONS])
    chosen, _ = best_rule(table, pieces, [*plain, blended])
    return Baselines(table, (*plain, blended), chosen, True)


@dataclass
class Likelihoods:
    """What one pass over the proteins gathered."""

    ids: list[str]
    lengths: NDArray[np.int64]
    """(N,) residues."""
    known: NDArray[np.float64]
    """(N,) the share of 8-mers that training has."""
    sums: dict[str, NDArray[np.float64]]
    """By model (N,) bits."""
    counted: NDArray[np.float64]
    """(N,) residues that are counted: the twenty."""
    backwards: NDArray[np.float64] | None
    """(N,) bits read from the C terminus; None where the tokenizer reads forwards only."""
    track: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Bits of each residue of one protein by model."""
    track_id: str = ""
    track_letters: Letters = field(default_factory=lambda: np.zeros(0, np.uint8))

    @property
    def honest(self) -> NDArray[np.bool_]:
        return self.known < HONEST

    def totals(self, rows: NDArray[np.bool_] | None = None) -> dict[str, Totals]:
        """By model, of the proteins chosen that have a residue counted."""
        chosen = self._counted(rows)
        return {model: Totals(sums[chosen], self.counted[chosen]) for model, sums in self.sums.items()}

    def directions(self, rows: NDArray[np.bool_] | None = None) -> dict[str, Totals]:
        """Read from C to N, and the mean of both directions, of the proteins that `totals` gives."""
        if self.backwards is None:
            return {}
        chosen = self._counted(rows)
        both = (self.sums[MODEL] + self.backwards) / 2
        named = ((REVERSED, self.backwards), ("both", both))
        return {name: Totals(sums[chosen], self.counted[chosen]) for name, sums in named}

    def _counted(self, rows: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        return self.counted > 0 if rows is None else rows & (self.counted > 0)


def measure_likelihood(
    engine: Scorer, store: TokenStore, tokenizer: Tokenizer[Any], spans: Spans, baselines: Baselines
) -> Likelihoods:
    """Scores the spans, and their other direction where the tokenizer has one.

    Args:
        spans: (N, 3) of the split to be measured.
    """
    models = [MODEL, *(rule.name for rule in baselines.rules)]
    sums = {model: np.zeros(len(spans)) for model in models}
    counted, lengths = np.zeros(len(spans)), np.zeros(len(spans), np.int64)
    shares = known_shares(SpanLetters(store, tokenizer, spans), SpanLetters(store, tokenizer, store.spans("train")))
    found = Likelihoods([store.ids[row] for row in spans[:, 0].tolist()], lengths, shares, sums, counted, None)
    shown = typical(spans, shares)
    scored = zip(read_spans(store, spans), engine.score_spans(store, spans), strict=True)
    for i, (sequence, nats) in enumerate(scored):
        letters = sequence_letters(sequence, tokenizer)
        bits = {MODEL: per_residue(nats, sequence, letters, tokenizer) * BITS}
        there = np.isfinite(bits[MODEL])
        for rule in baselines.rules:
            bits[rule.name] = np.where(there, baselines.table.nll(letters, rule) * BITS, np.nan)
        for model, values in bits.items():
            sums[model][i] = np.nansum(values)
        counted[i], lengths[i] = there.sum(), len(letters)
        if i == shown:
            found.track, found.track_id, found.track_letters = bits, found.ids[i], letters
    if getattr(getattr(tokenizer, "config", None), "marks", ()):
        found.backwards = _read_backwards(engine, store, tokenizer, spans)
    return found


def typical(spans: Spans, known: NDArray[np.float64]) -> int:
    """The honest protein whose length is nearest to 200: long enough to show something, short enough to be read."""
    away = np.abs(spans[:, 2] - spans[:, 1] - 200) + np.where(known < HONEST, 0, 10**6)
    return int(np.argmin(away))


def _read_backwards(engine: Scorer, store: TokenStore, tokenizer: Any, spans: Spans) -> NDArray[np.float64]:
    """(N,) bits of each protein, on the same residues, read from the C terminus."""
    turned = [tokenizer.encode_reversed(tokenizer.decode(sequence)) for sequence in read_spans(store, spans)]
    out = np.zeros(len(spans))
    for i, (sequence, score) in enumerate(zip(turned, engine.score(turned, mode="windows"), strict=True)):
        letters = sequence_letters(sequence, tokenizer)
        out[i] = np.nansum(per_residue(score.token_nll, sequence, letters, tokenizer)) * BITS
    return out
