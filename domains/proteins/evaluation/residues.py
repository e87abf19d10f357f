"""Stores as letters: what tokens stand for, residue by residue, so that tokenizers and baselines are measured alike.

Letters are codes, 0 to 19 for A C D ... Y, 20 for anything else. What is anything else has no likelihood here: neither
the model nor a baseline is counted on it, nor on the other residues of a token that holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.baselines import Letters
from core.errors import IntegrityError
from core.order import permutation
from core.sequence import Sequence
from core.spans import read_spans
from core.store import TokenStore
from core.tokenizer import Tokenizer
from core.vocabulary import SPECIALS
from domains.formats.seq_record import letters_of
from domains.proteins.tokenizer.letters import CODES, RESIDUES

SIZE = len(RESIDUES)

Spans = NDArray[np.int64]
"""(S, 3) sequence, start, stop in tokens, as TokenStore gives them."""


def text_of(sequence: Sequence, tokenizer: Tokenizer[Any]) -> bytes:
    """The letters that a sequence's tokens stand for, from N to C; specials that a model drew are left out."""
    tokens = sequence.arrays["tokens"]
    if len(tokens) and tokens.min() < len(SPECIALS):
        sequence = Sequence({"tokens": tokens[tokens >= len(SPECIALS)]}, sequence.id)
    return letters_of(tokenizer.decode(sequence))


def sequence_letters(sequence: Sequence, tokenizer: Tokenizer[Any]) -> Letters:
    """(n,) codes of the residues that a sequence's tokens stand for, from N to C."""
    return CODES[np.frombuffer(text_of(sequence, tokenizer), np.uint8)]


class SpanLetters:
    """The letters of spans, one protein after the other; can be gone through more than once."""

    def __init__(self, store: TokenStore, tokenizer: Tokenizer[Any], spans: Spans) -> None:
        self.store, self.tokenizer, self.spans = store, tokenizer, spans

    def __iter__(self) -> Iterator[Letters]:
        for sequence in read_spans(self.store, self.spans):
            yield sequence_letters(sequence, self.tokenizer)

    def __len__(self) -> int:
        return len(self.spans)


def some_spans(spans: Spans, limit: int, *counters: int | str) -> Spans:
    """`limit` of the spans drawn without replacement, in their order; all of them for a limit of 0."""
    if not limit or len(spans) <= limit:
        return spans
    return spans[np.sort(permutation(len(spans), "proteins", *counters)[:limit])]


def per_residue(
    nats: NDArray[np.floating], sequence: Sequence, letters: Letters, tokenizer: Tokenizer[Any]
) -> NDArray[np.float64]:
    """(n,) nats of each residue from N to C: a token's in equal parts, NaN where a token holds something else.

    Marks stand for no residue and are left out. Raises IntegrityError where the tokens do not stand for as many
    residues as `letters` (n,) has.
    """
    units = np.asarray(tokenizer.units(sequence.arrays)).astype(np.int64)
    if units.sum() != len(letters):
        raise IntegrityError(
            f"tokenizer '{tokenizer.kind}' says its tokens are {units.sum():,} residues and decodes to {len(letters):,}"
        )
    whole = units > 0
    sizes, values = units[whole], np.asarray(nats, np.float64)[whole] / units[whole]
    turned = bool(getattr(tokenizer, "is_reversed", lambda tokens: False)(sequence.arrays["tokens"]))
    if turned:
        sizes, values = sizes[::-1], values[::-1].copy()
    if len(values):
        starts = np.cumsum(sizes) - sizes
        values[np.maximum.reduceat(letters, starts) >= SIZE] = np.nan
    return np.repeat(values, sizes)
