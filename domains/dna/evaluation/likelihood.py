"""Bits per base: the model and Markov tables of every order on the same bases, along the sequence, by strand and codon.

Everything is gathered in one pass over the spans, as sums per block; memory follows the longest span.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.baselines import Letters, MarkovRule, MarkovTable, best_rule
from core.evaluation import MODEL, Totals, block_totals, join
from core.sequence import Sequence as Tokens
from core.spans import read_spans
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.dna.evaluation.letters import COMPLEMENT, SIZE, SpanLetters, Spans, per_base, sequence_letters

BITS = 1 / np.log(2)
INTERPOLATIONS = (64.0, 256.0, 1024.0)
"""Weights that are tried on the validation split; see MarkovRule."""
VALIDATION_LETTERS = 2**18
"""Bases of the validation split that the rule is chosen on: 13 rules differ by more than their noise there."""
MANY_SPANS = 20
"""From so many spans on, their mean by position is shown, not each of them."""
FINE_BLOCK = 100
"""Bases of a block of such a mean."""
MEAN_BLOCKS = 1000
"""Blocks of such a mean at most, from the span's start."""
CODON_LABEL = "codon_position"
PLACES = {"codon_1": 0, "codon_2": 1, "codon_3": 2, "noncoding": -1}
"""Values of the token label: 0, 1, 2 along the coding strand, -1 outside."""


class Scorer(Protocol):
    """What of core.engine.Engine is used here."""

    def score_spans(self, store: TokenStore, spans: Spans) -> Iterable[NDArray[np.float32]]: ...

    def score(self, sequences: Iterable[Tokens], *, mode: str) -> Iterable[Any]: ...

    def next_symbols(self, sequence: Tokens) -> NDArray[np.float32]: ...

    def sample(self, prefixes: int, *, max_length: int, min_length: int, seed: int, **options: Any) -> list[Any]: ...


@dataclass(frozen=True)
class Baselines:
    """A fitted table with the rules that are shown, and the one that did best on the validation split."""

    table: MarkovTable
    rules: tuple[MarkovRule, ...]
    chosen: MarkovRule
    validated: bool
    """False where there was no validation split to choose on; then it is the highest order, interpolated."""

    @property
    def strands(self) -> int:
        """1 or 2: whether reverse complements were counted too."""
        return 1 if self.table.complement is None else 2


def fit_markov(store: TokenStore, tokenizer: Tokenizer[Any], order: int) -> Baselines:
    """Tables of the training split; every plain order, and the best interpolation of the highest.

    One strand or both, orders and interpolation are what does best on the validation split. [Both strands double the
    counts of a genome; they mislead where one strand differs from the other, as in transcripts.]
    """
    table = MarkovTable(order, SIZE, complement=COMPLEMENT)
    table.fit(SpanLetters(store, tokenizer, store.spans("train")))
    plain = tuple(MarkovRule(k) for k in range(order + 1))
    pieces: list[Letters] = []
    for piece in SpanLetters(store, tokenizer, store.spans("validation")):
        room = VALIDATION_LETTERS - sum(map(len, pieces))
        pieces.append(piece[:room])
        if len(piece) >= room:
            break
    if not any((piece < SIZE).any() for piece in pieces):
        blended = MarkovRule(order, INTERPOLATIONS[1])
        return Baselines(table, (*plain, blended), blended, False)
    return min((_validated(strands, pieces, plain) for strands in (table, table.one_strand())), key=lambda c: c[0])[1]


def _validated(table: MarkovTable, pieces: list[Letters], plain: tuple[MarkovRule, ...]) -> tuple[float, Baselines]:
    """Nats per base of the table's best rule on the validation pieces, and the table with it."""
    blended, _ = best_rule(table, pieces, [MarkovRule(plain[-1].order, w) for w in INTERPOLATIONS])
    chosen, nats = best_rule(table, pieces, [*plain, blended])
    return nats[chosen], Baselines(table, (*plain, blended), chosen, True)


@dataclass(frozen=True)
class Curve:
    """Bits per base along one span by block, or along the mean of many."""

    record: str
    """Id of the record, or of how many spans this is the mean."""
    span_start: int
    """The span's first token in its record."""
    length: int
    """Bases of the span."""
    bases: NDArray[np.int64]
    """(U,) first base of each block, counted from the span's start."""
    bits: dict[str, NDArray[np.float64]]
    """(U,) by model; NaN where nothing was counted."""


class Profile:
    """The curve of a split: span by span where they are few, else their mean by position in the span."""

    def __init__(self, models: Sequence[str], spans: int, block: int) -> None:
        self.models, self.spans = list(models), spans
        self.is_mean = spans >= MANY_SPANS
        self.block = FINE_BLOCK if self.is_mean else block
        self.curves: list[Curve] = []
        self._sums = np.zeros((0, len(self.models)))
        self._weights = np.zeros(0)

    def add(self, record: str, span_start: int, bits: Mapping[str, NDArray[np.float64]]) -> None:
        """One span's bits (n,) by model; all of them NaN in the same places."""
        values = np.stack([bits[model] for model in self.models], axis=1)
        if not len(values):
            return
        bases = np.arange(0, len(values), self.block)
        counted = np.isfinite(values[:, 0])
        sums = np.add.reduceat(np.where(counted[:, None], values, 0), bases, axis=0)
        weights = np.add.reduceat(counted.astype(np.float64), bases)
        if self.is_mean:
            sums, weights = sums[:MEAN_BLOCKS], weights[:MEAN_BLOCKS]
            if len(sums) > len(self._sums):
                self._sums = np.pad(self._sums, ((0, len(sums) - len(self._sums)), (0, 0)))
                self._weights = np.pad(self._weights, (0, len(weights) - len(self._weights)))
            self._sums[: len(sums)] += sums
            self._weights[: len(weights)] += weights
        else:
            self.curves.append(Curve(record, span_start, len(values), bases, self._means(sums, weights)))

    def finish(self) -> list[Curve]:
        """The curves; one of them where it is a mean."""
        if self.is_mean and len(self._sums):
            bases = np.arange(len(self._sums)) * self.block
            means = self._means(self._sums, self._weights)
            return [Curve(f"mean of {self.spans} spans", 0, len(bases) * self.block, bases, means)]
        return self.curves

    def _means(self, sums: NDArray[np.float64], weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        empty = np.full_like(sums, np.nan)
        means = np.divide(sums, weights[:, None], out=empty, where=weights[:, None] > 0)
        return dict(zip(self.models, means.T, strict=True))


@dataclass
class Likelihoods:
    """What one pass over the spans gathered."""

    totals: dict[str, list[Totals]] = field(default_factory=dict)
    """Bits by model, one entry a span."""
    by_place: dict[str, dict[str, list[Totals]]] = field(default_factory=dict)
    """Bits by place in a codon and model; empty without annotation."""
    curves: list[Curve] = field(default_factory=list)
    curve_is_mean: bool = False
    """Whether there were so many spans that only their mean is kept."""
    strands: dict[str, list[Totals]] = field(default_factory=lambda: {"forward": [], "reverse": []})
    tokens: int = 0
    bases: int = 0

    @property
    def bases_per_token(self) -> float:
        return self.bases / max(1, self.tokens)


def measure_likelihood(
    engine: Scorer,
    store: TokenStore,
    tokenizer: Tokenizer[Any],
    spans: Spans,
    baselines: Baselines,
    *,
    block: int,
    strand_bases: int,
) -> Likelihoods:
    """Scores the spans and their first `strand_bases` bases backwards.

    Args:
        spans: (S, 3) of the split to be measured.
        block: bases that are resampled together.
    """
    found = Likelihoods()
    profile = Profile((MODEL, baselines.chosen.name), len(spans), block)
    forward: list[tuple[Tokens, NDArray[np.float64]]] = []
    room = strand_bases
    scored = zip(spans.tolist(), read_spans(store, spans), engine.score_spans(store, spans), strict=True)
    for (row, start, _), sequence, nats in scored:
        letters = sequence_letters(sequence, tokenizer)
        bits = _bits_by_model(nats, sequence, letters, tokenizer, baselines)
        found.tokens += len(sequence)
        found.bases += len(letters)
        for model, values in bits.items():
            found.totals.setdefault(model, []).append(block_totals(values, block))
        profile.add(store.ids[row], start, bits)
        if CODON_LABEL in sequence.token_labels and len(sequence) == len(letters):
            _add_places(found, sequence.token_labels[CODON_LABEL], bits, block, baselines)
        if room > 0 and len(letters):
            taken = len(sequence) if len(letters) <= room else int(room / len(letters) * len(sequence))
            forward.append((sequence.slice(0, taken), bits[MODEL]))
            room -= len(letters)
    found.curves, found.curve_is_mean = profile.finish(), profile.is_mean
    _score_backwards(engine, tokenizer, forward, found, block)
    return found


def _bits_by_model(
    nats: NDArray[np.floating],
    sequence: Tokens,
    letters: Letters,
    tokenizer: Tokenizer[Any],
    baselines: Baselines,
) -> dict[str, NDArray[np.float64]]:
    """(n,) bits of each base by model, NaN in all of them where one has none."""
    mine = per_base(nats, sequence, letters, tokenizer) * BITS
    theirs = {rule.name: baselines.table.nll(letters, rule) * BITS for rule in baselines.rules}
    uncounted = np.isnan(mine)
    for values in theirs.values():
        values[uncounted] = np.nan
    return {MODEL: mine, **theirs}


def _add_places(
    found: Likelihoods,
    labels: NDArray[np.integer],
    bits: dict[str, NDArray[np.float64]],
    block: int,
    baselines: Baselines,
) -> None:
    for place, value in PLACES.items():
        for model in (MODEL, baselines.chosen.name):
            values = np.where(labels == value, bits[model], np.nan)
            found.by_place.setdefault(place, {}).setdefault(model, []).append(block_totals(values, block))


def _score_backwards(
    engine: Scorer,
    tokenizer: Tokenizer[Any],
    forward: list[tuple[Tokens, NDArray[np.float64]]],
    found: Likelihoods,
    block: int,
) -> None:
    """The other strand of the same bases, block by block beside the strand that was read before."""
    backward = [tokenizer.encode(_other_strand(tokenizer, sequence)) for sequence, _ in forward]
    scores = engine.score(backward, mode="windows")
    for (_, bits), sequence, score in zip(forward, backward, scores, strict=True):
        letters = sequence_letters(sequence, tokenizer)
        other = (per_base(score.token_nll, sequence, letters, tokenizer) * BITS)[::-1]
        same = bits[: len(other)].copy()
        same[np.isnan(other)] = np.nan
        other = np.where(np.isnan(same), np.nan, other)
        found.strands["forward"].append(block_totals(same, block))
        found.strands["reverse"].append(block_totals(other, block))


def _other_strand(tokenizer: Tokenizer[Any], sequence: Tokens) -> Any:
    return tokenizer.decode(sequence).reverse_complement(id="reverse")


def joined(totals: dict[str, list[Totals]]) -> dict[str, Totals]:
    """The blocks of all spans, by model."""
    return {model: join(parts) for model, parts in totals.items()}
