"""Stores as letters: what tokens stand for, base by base, so that every tokenizer and baseline is measured per base.

Letters are codes, 0 A, 1 C, 2 G, 3 T, 4 anything else. What is anything else has no likelihood here: neither the model
nor a baseline is counted on it, nor on the other bases of a token that holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.baselines import Letters
from core.errors import IntegrityError
from core.order import rng
from core.sequence import Sequence
from core.spans import read_spans
from core.store import TokenStore
from core.tokenizer import Tokenizer
from core.vocabulary import SPECIALS
from domains.dna.tokenizer.letters import CODES
from domains.formats.seq_record import letters_of

SIZE = 4
COMPLEMENT = (3, 2, 1, 0)
PIECE = 2**20
"""Tokens of a long span that are turned into letters at a time."""

Spans = NDArray[np.int64]
"""(S, 3) sequence, start, stop in tokens, as TokenStore gives them."""


def sequence_letters(sequence: Sequence, tokenizer: Tokenizer[Any]) -> Letters:
    """(n,) codes of the bases that a sequence's tokens stand for."""
    return CODES[np.frombuffer(letters_of(tokenizer.decode(sequence)), np.uint8)]


def sample_letters(sequence: Sequence, tokenizer: Tokenizer[Any]) -> Letters:
    """As `sequence_letters`, of a sample: a special that a model drew (UNK is not forbidden) is left out."""
    keep = sequence.arrays["tokens"] >= len(SPECIALS)
    return sequence_letters(Sequence({"tokens": sequence.arrays["tokens"][keep]}, sequence.id), tokenizer)


class SpanLetters:
    """The letters of spans, piece by piece; can be gone through more than once.

    Args:
        overlap: tokens that a piece of a span shares with the one before, so that nothing is cut where a piece ends.
    """

    def __init__(self, store: TokenStore, tokenizer: Tokenizer[Any], spans: Spans, *, overlap: int = 0) -> None:
        self.store, self.tokenizer, self.overlap = store, tokenizer, overlap
        self.spans = np.array(
            [
                (row, max(begin - overlap, start), min(begin + PIECE, stop))
                for row, start, stop in spans.tolist()
                for begin in range(start, stop, PIECE)
            ],
            np.int64,
        ).reshape(-1, 3)

    def __iter__(self) -> Iterator[Letters]:
        for sequence in read_spans(self.store, self.spans):
            yield sequence_letters(sequence, self.tokenizer)


def first_tokens(spans: Spans, limit: int) -> Spans:
    """The spans up to `limit` tokens in all, the last of them cut; all of them for a limit of 0."""
    if not limit:
        return spans
    before = np.concatenate([[0], np.cumsum(spans[:, 2] - spans[:, 1])[:-1]]).astype(np.int64)
    kept = spans[before < limit].copy()
    kept[:, 2] = np.minimum(kept[:, 2], kept[:, 1] + limit - before[before < limit])
    return kept


def draw_pieces(
    store: TokenStore, tokenizer: Tokenizer[Any], spans: Spans, n: int, length: int, *counters: int | str
) -> list[Letters]:
    """`n` pieces of up to `length` bases from anywhere in the spans, every start equally likely.

    Where a span is shorter than that, the piece is.
    """
    rooms = np.maximum(spans[:, 2] - spans[:, 1] - length, 0) + 1
    generator = rng("pieces", *counters)
    chosen = spans[generator.choice(len(spans), size=n, p=rooms / rooms.sum())].copy()
    room = np.maximum(chosen[:, 2] - chosen[:, 1] - length, 0)
    chosen[:, 1] += generator.integers(0, room, endpoint=True)
    chosen[:, 2] = np.minimum(chosen[:, 1] + length, chosen[:, 2])
    # A token stands for one base or more, so `length` tokens are enough.
    return [sequence_letters(sequence, tokenizer)[:length] for sequence in read_spans(store, chosen)]


def per_base(
    nats: NDArray[np.floating], sequence: Sequence, letters: Letters, tokenizer: Tokenizer[Any]
) -> NDArray[np.float64]:
    """(n,) nats of each base: a token's (T,) in equal parts, NaN for bases of a token that holds something else.

    Raises IntegrityError where the tokens do not stand for as many bases as `letters` (n,) has.
    """
    units = np.asarray(tokenizer.units(sequence.arrays))
    whole = units.astype(np.int64)
    if (units != whole).any() or (whole < 1).any() or whole.sum() != len(letters):
        raise IntegrityError(
            f"tokenizer '{tokenizer.kind}' says its tokens are {units.sum():g} bases and decodes to {len(letters)}",
            hint="Evaluation per base needs tokens of whole bases, at least one each.",
        )
    values = np.asarray(nats, np.float64) / whole
    if len(values):
        starts = np.cumsum(whole) - whole
        values[np.maximum.reduceat(letters, starts) >= SIZE] = np.nan
    return np.repeat(values, whole)
