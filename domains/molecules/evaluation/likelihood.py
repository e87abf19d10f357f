"""Nats per molecule and bits per atom: the model and a Markov table of SMILES symbols on the same molecules.

Both predict every symbol and the end, given where the molecule starts; what a condition says before it is free for
both. Sums are kept per molecule, which is what resamples draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.baselines import Letters, MarkovRule, MarkovTable, best_rule
from core.evaluation import MODEL, Totals
from core.spans import read_spans
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.molecules.evaluation.stored import Letterset, Spans, letterset, some_spans, token_blocks

BITS = 1 / np.log(2)
CELLS = 2**25
"""Counts of the highest order: 134 MB. MOSES has 26 symbols, with start and end 28: order 4."""
PER_TOKEN = 16
"""Counts for each training token at most: a higher order would count next to nothing twice."""
MOST_ORDER = 6
INTERPOLATIONS = (1.0, 4.0, 16.0, 64.0)
"""Weights of the lower order that are tried on the validation split."""
VALIDATION = 4000
"""Molecules of it."""


class Scorer(Protocol):
    """What of core.engine.Engine is used here."""

    def score(self, sequences: Iterable[Any], *, mode: str) -> Iterable[Any]: ...

    def sample(self, prefixes: Any, *, max_length: int, seed: int, **options: Any) -> list[Any]: ...

    def embed(self, sequences: Iterable[Any], *, pooling: str) -> Iterable[NDArray[np.float32]]: ...


@dataclass(frozen=True)
class Markov:
    """A fitted table, its letters, and the rule that did best on the validation split."""

    table: MarkovTable
    rule: MarkovRule
    letters: Letterset
    limit: int

    @property
    def name(self) -> str:
        return self.rule.name

    def nats(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        """(M,) of each molecule's symbols and end. A symbol that training has not costs as one seen once."""
        nll = self.table.nll(self.letters.letters(tokens, lengths), self.rule)
        ends = np.cumsum(lengths + 3)
        nll[ends - 1] = nll[ends - lengths - 3] = 0  # gaps and starts are not predicted
        unseen = np.log(float(self.table.counts[0].sum()))
        return np.add.reduceat(np.where(np.isnan(nll), unseen, nll), ends - lengths - 3)

    def sample(self, n: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """Token ids of `n` drawn molecules, each up to its end or `limit` symbols."""
        size, order = self.letters.size, self.rule.order
        contexts = np.full(n, self.letters.start, np.int64) % size ** max(1, order)
        drawn = np.full((n, self.limit), self.letters.end, np.int64)
        live = np.ones(n, bool)
        for t in range(self.limit):
            p = self.table.probabilities(contexts, np.full(n, min(t + 1, order)), self.rule)
            p[:, self.letters.start] = 0
            cumulative = p.cumsum(axis=1)
            letter = (rng.random((n, 1)) * cumulative[:, -1:] >= cumulative).sum(axis=1)
            letter = np.where(live, np.minimum(letter, size - 1), self.letters.end)
            drawn[:, t] = letter
            live &= letter != self.letters.end
            contexts = (contexts * size + letter) % size**order if order else contexts
            if not live.any():
                break
        lengths = (drawn != self.letters.end).sum(axis=1)
        return [self.letters.ids[row[:length]] for row, length in zip(drawn, lengths, strict=True)]


class Spellings:
    """Blocks of tokens and lengths of spans, those of conditions left out; can be gone through more than once."""

    def __init__(self, store: TokenStore, tokenizer: Any, spans: Spans) -> None:
        self.store, self.spans, self.before = store, spans, len(tokenizer.conditions)

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        for tokens, lengths in token_blocks(self.store, self.spans):
            if not self.before:
                yield tokens, lengths
                continue
            place = np.arange(len(tokens)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            yield tokens[place >= self.before], lengths - self.before


def fit_markov(store: TokenStore, tokenizer: Tokenizer[Any], limit: int) -> Markov:
    """The highest order that `CELLS` and the number of tokens allow, counted on training, and the better of its rules.

    Args:
        limit: symbols of a drawn molecule at most.
    """
    train = Spellings(store, tokenizer, store.spans("train"))
    letters = letterset(train, len(tokenizer.spec.symbol_target.vocabulary or ()))
    tokens = int((train.spans[:, 2] - train.spans[:, 1]).sum())
    cells = min(CELLS, PER_TOKEN * tokens)
    order = min(MOST_ORDER, int(np.log(max(cells, letters.size)) / np.log(letters.size)) - 1)
    table = MarkovTable(max(order, 0), letters.size).fit(letters.letters(*block) for block in train)
    validation = some_spans(store.spans("validation"), VALIDATION)
    pieces: list[Letters] = [letters.letters(*block) for block in Spellings(store, tokenizer, validation)]
    rules = [MarkovRule(table.order, w) for w in INTERPOLATIONS]
    rule = best_rule(table, pieces, rules)[0] if pieces else rules[1]
    return Markov(table, rule, letters, limit)


@dataclass
class Likelihoods:
    """Per molecule."""

    ids: list[str]
    nats: dict[str, NDArray[np.float64]]
    """By model (N,)."""
    atoms: NDArray[np.float64]
    """(N,)"""

    def per_molecule(self) -> dict[str, Totals]:
        return {model: Totals(nats, np.ones(len(nats))) for model, nats in self.nats.items()}

    def per_atom(self) -> dict[str, Totals]:
        return {model: Totals(nats * BITS, self.atoms) for model, nats in self.nats.items()}


def measure_likelihood(
    engine: Scorer, store: TokenStore, tokenizer: Tokenizer[Any], spans: Spans, markov: Markov
) -> Likelihoods:
    """Scores the spans, each a whole molecule, with its end."""
    nats = {model: np.zeros(len(spans)) for model in (MODEL, markov.name)}
    atoms = np.zeros(len(spans))
    at = 0
    for tokens, lengths in Spellings(store, tokenizer, spans):
        rows = slice(at, at + len(lengths))
        nats[markov.name][rows] = markov.nats(tokens, lengths)
        atoms[rows] = np.add.reduceat(tokenizer.units({"tokens": tokens}), np.cumsum(lengths) - lengths)
        at += len(lengths)
    for i, score in enumerate(engine.score(read_spans(store, spans), mode="records")):
        nats[MODEL][i] = score.nll
    return Likelihoods([store.ids[row] for row in spans[:, 0].tolist()], nats, np.maximum(atoms, 1))
