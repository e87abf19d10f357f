"""From a token's fields to one vector: the sum of an embedding per symbol field and a projection per real field.

Shifting is the batcher's work: what arrives here is what may be known before the token is predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from core.nn.by_field import ByField
from core.nn.config import ModelConfig
from core.nn.ngram import NgramEmbedding
from core.sequence import Role, TokenSpec
from core.vocabulary import UNK

if TYPE_CHECKING:
    from core.batching.batch import Inputs


def symbols_read(inputs: Inputs, name: str) -> Tensor:
    """(B, T) int64, the ids of a symbol field; UNK where they are missing."""
    ids, observed = inputs.fields[name], inputs.observed.get(name)
    return ids if observed is None else ids.masked_fill(~observed, UNK)


class RealEmbedding(nn.Module):
    """A projection of [values, missing, start]: the last columns are the learned vectors for what is not there."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(2 * channels + 1, width)
        nn.init.normal_(self.proj.weight, std=channels**-0.5 * 0.1)
        nn.init.zeros_(self.proj.bias)

    def forward(self, values: Tensor, observed: Tensor | None, start: Tensor | None) -> Tensor:
        """values and observed (..., W), start (...) -> (..., D). Values are ignored where missing or at a start."""
        missing = torch.zeros_like(values, dtype=torch.bool) if observed is None else ~observed
        first = missing.new_zeros(values.shape[:-1]) if start is None else start
        missing = missing & ~first.unsqueeze(-1)
        values = values.masked_fill(missing | first.unsqueeze(-1), 0.0)
        dtype = self.proj.weight.dtype
        return self.proj(torch.cat((values.to(dtype), missing.to(dtype), first.unsqueeze(-1).to(dtype)), -1))


class TokenEmbedding(nn.Module):
    """The sum over fields, and over n-grams of the symbol targets where the config asks for them.

    A missing symbol reads as UNK. A batch says with one `start` mask where a real field has nothing to read: the first
    position of a document for target and given fields, that of the end of sequence for known-ahead ones. Where a spec
    has both, the position tells which is meant.
    """

    def __init__(self, spec: TokenSpec, config: ModelConfig) -> None:
        super().__init__()
        self.spec = spec
        self.reads_ahead = any(f.role is Role.KNOWN_AHEAD and not f.is_symbol for f in spec.fields)
        self.fields = ByField()
        self.ngrams = ByField()
        for field in spec.fields:
            if field.vocabulary is None:
                self.fields[field.name] = RealEmbedding(field.width, config.width)
                continue
            table = nn.Embedding(len(field.vocabulary), config.width)
            nn.init.normal_(table.weight, std=0.02)
            self.fields[field.name] = table
            if config.ngrams and field.is_target:
                self.ngrams[field.name] = NgramEmbedding(
                    len(field.vocabulary), config.ngrams, config.ngram_rows, config.width
                )

    def forward(
        self, inputs: Inputs, *, begun: Tensor | None = None, recent: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Fields (B, T) int64 and (B, T, W) float -> (B, T, D).

        Args:
            begun: (B,) int64, tokens of each row that came before this chunk; None for none.
            recent: per field with n-grams, the (B, max(n) - 1) ids before this chunk.
        """
        begins, ends = self._starts(inputs, begun)
        out: Tensor | None = None
        for field in self.spec.fields:
            if field.is_symbol:
                ids = symbols_read(inputs, field.name)
                embedded = self.fields[field.name](ids)
                if field.name in self.ngrams:
                    before = None if recent is None else recent[field.name]
                    embedded = embedded + self.ngrams[field.name](ids, before, inputs.segments)
            else:
                start = ends if field.role is Role.KNOWN_AHEAD else begins
                observed = inputs.observed.get(field.name)
                embedded = self.fields[field.name](inputs.fields[field.name], observed, start)
            out = embedded if out is None else out + embedded
        assert out is not None
        return out

    def _starts(self, inputs: Inputs, begun: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """(B, T) bool each: where target and given fields, and where known-ahead ones, have nothing to read."""
        start = inputs.start
        if start is None or not self.reads_ahead:
            return start, start
        positions = inputs.positions
        if positions is None:
            positions = torch.arange(start.shape[1], device=start.device)
            positions = positions.expand_as(start) if begun is None else positions + begun[:, None]
        return start & (positions == 0), start & (positions > 0)
