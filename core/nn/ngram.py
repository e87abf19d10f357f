"""Embeddings of the last n input symbols: local context statistics for the price of a look-up.

An n-gram of few symbols has a row of its own, a longer one is hashed. Specials, and what lies before the row or in
another document, count as one symbol, "none". Nothing later than the present input is looked at.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.kernels.resets import document_runs
from core.vocabulary import SPECIALS

_PRIME = 2**31 - 1


class NgramEmbedding(nn.Module):
    """The sum over orders n of the embedding of the n-gram that ends at each position.

    Args:
        vocabulary: V, specials included.
        orders: the n, each at least 1.
        rows: a table's size at most; n-grams are enumerated where there are no more of them, else hashed.
        width: D.
    """

    def __init__(self, vocabulary: int, orders: tuple[int, ...], rows: int, width: int) -> None:
        super().__init__()
        self.letters = vocabulary - len(SPECIALS) + 1  # "none" is 0
        self.sizes = {n: min(rows, self.letters**n) for n in orders}
        self.reach = max(orders) - 1
        self.tables = nn.ModuleDict()
        for n, size in self.sizes.items():
            table = nn.Embedding(size, width)
            nn.init.normal_(table.weight, std=0.02)
            self.tables[str(n)] = table

    def forward(self, ids: Tensor, recent: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        """ids (B, T) int64; recent (B, reach) ids before the row, of its first document -> (B, T, D)."""
        out: Tensor | None = None
        for n, index in self.rows(ids, recent, segments).items():
            embedded = self.tables[str(n)](index)
            out = embedded if out is None else out + embedded
        assert out is not None
        return out

    def rows(self, ids: Tensor, recent: Tensor | None = None, segments: Tensor | None = None) -> dict[int, Tensor]:
        """Per order the rows (B, T) of its table."""
        length = ids.shape[1]
        before = ids.new_zeros(len(ids), self.reach) if recent is None else recent
        letters = (torch.cat((before, ids), 1) - (len(SPECIALS) - 1)).clamp(min=0)
        runs = None if segments is None else nn.functional.pad(document_runs(segments), (self.reach, 0))
        code = torch.zeros_like(ids)
        power = 1
        index: dict[int, Tensor] = {}
        for lag in range(self.reach + 1):
            part = slice(self.reach - lag, self.reach - lag + length)
            letter = letters[:, part]
            if runs is not None:
                letter = letter * (runs[:, part] == runs[:, self.reach :])
            code = (code + letter * power) % _PRIME
            power = power * self.letters % _PRIME
            n = lag + 1
            if n in self.sizes:
                exact = self.letters**n == self.sizes[n]
                index[n] = code if exact else (code * 2_654_435_761 >> 16) % self.sizes[n]
        return index
