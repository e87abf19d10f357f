"""From a token's fields to one vector: the sum of an embedding per symbol field and a projection per real field.

Shifting and patches are the batcher's work: what arrives here is what may be known before the token is predicted. Real
values arrive raw; `Framing` scales them, and says what predictions of them are relative to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from core.errors import ConfigError
from core.nn.by_field import ByField
from core.nn.config import ModelConfig
from core.nn.framing import Frame, Framing, State
from core.nn.ngram import NgramEmbedding
from core.nn.variables import VariableEmbedding
from core.sequence import Field, Role, TokenSpec
from core.vocabulary import UNK

if TYPE_CHECKING:
    from core.batching.batch import Inputs


def symbols_read(inputs: Inputs, name: str) -> Tensor:
    """(B, T) int64, the ids of a symbol field; UNK where they are missing."""
    ids, observed = inputs.fields[name], inputs.observed.get(name)
    return ids if observed is None else ids.masked_fill(~observed, UNK)


class RealEmbedding(nn.Module):
    """A projection of [values, missing, start, drift, products]: what is not there has learned vectors instead.

    Args:
        features: scaled values that are read.
        drifts: further columns that say how the scaling has moved.
        degree: products of up to so many of the values are read too (NVAR: Gauthier et al. 2021, Nat. Commun. 12:5564).
        width: D.
    """

    def __init__(self, features: int, drifts: int, degree: int, width: int) -> None:
        super().__init__()
        numbers = torch.arange(features, device="cpu")
        self.factors = [torch.combinations(numbers, d, True) for d in range(2, degree + 1)]
        several = sum(len(rows) for rows in self.factors)
        self.proj = nn.Linear(2 * features + 1 + drifts + several, width)
        nn.init.normal_(self.proj.weight, std=features**-0.5 * 0.1)
        nn.init.zeros_(self.proj.bias)

    def forward(self, values: Tensor, missing: Tensor, start: Tensor | None, drift: Tensor | None) -> Tensor:
        """values, missing (..., features), start (...), drift (..., drifts) -> (..., D). Missing values are zeros."""
        first = missing.new_zeros(values.shape[:-1]) if start is None else start
        dtype = self.proj.weight.dtype
        missing = missing & ~first.unsqueeze(-1)
        columns = [values.to(dtype), missing.to(dtype), first.unsqueeze(-1).to(dtype)]
        if drift is not None:
            columns.append(drift.to(dtype))
        columns += [values[..., rows.to(values.device)].prod(-1).to(dtype) for rows in self.factors]
        return self.proj(torch.cat(columns, -1))


def _real_embedding(framing: Framing, degree: int, width: int, variables: int) -> nn.Module:
    """Of all channels as one token, or of each of the `variables` as its own."""
    if not variables:
        return RealEmbedding(framing.features, framing.drifts, degree, width)
    one = RealEmbedding(framing.features // variables, framing.drifts // variables, degree, width)
    return VariableEmbedding(one, variables, width)


class TokenEmbedding(nn.Module):
    """The sum over the fields that are read, and over n-grams of the symbol targets where the config asks for them.

    A missing symbol reads as UNK. A batch says with one `start` mask where a real field has nothing to read: the first
    position of a document for target and given fields, that of the end of sequence for known-ahead ones. Where a spec
    has both, the position tells which is meant.
    """

    def __init__(self, spec: TokenSpec, config: ModelConfig) -> None:
        super().__init__()
        self.spec = spec
        self.reads_ahead = any(f.role is Role.KNOWN_AHEAD and not f.is_symbol for f in spec.fields)
        self.fields = ByField()
        self.framings = ByField()
        self.ngrams = ByField()
        for field in spec.fields:
            if not field.is_symbol and (field.read or field.is_target):
                self.framings[field.name] = Framing(field, spec.patch)
        for field in spec.read_fields:
            if field.vocabulary is None:
                framing = cast(Framing, self.framings[field.name])
                degree = config.products if field.is_target else 1
                variables = spec.variables if field.by_channel else 0
                self.fields[field.name] = _real_embedding(framing, degree, config.width, variables)
                continue
            table = nn.Embedding(len(field.vocabulary), config.width)
            nn.init.normal_(table.weight, std=0.02)
            self.fields[field.name] = table
            if config.ngrams and field.is_target:
                self.ngrams[field.name] = NgramEmbedding(
                    len(field.vocabulary), config.ngrams, config.ngram_rows, config.width
                )

    @property
    def has_memory(self) -> bool:
        """Whether a real field is read by what came before it."""
        return any(cast(Framing, framing).has_memory for framing in self.framings.values())

    def forward(
        self,
        inputs: Inputs,
        *,
        begun: Tensor | None = None,
        recent: Mapping[str, Tensor] | None = None,
        reals: Mapping[str, State] | None = None,
    ) -> tuple[Tensor, dict[str, Frame], dict[str, State]]:
        """Fields (B, T) int64 and (B, T, P W) float -> (B, T, D), with the frames of the real fields; (B, T, C, D) of
        C variables side by side.

        Args:
            begun: (B,) int64, tokens of each row that came before this chunk; None for none.
            recent: per field with n-grams, the (B, max(n) - 1) ids before this chunk.
            reals: per real field the state of its framing before this chunk; the states after it come back then.
        """
        parts: list[Tensor] = []
        frames, after = {}, {}
        for field in self.spec.read_fields:
            if field.is_symbol:
                ids = symbols_read(inputs, field.name)
                embedded = self.fields[field.name](ids)
                if field.name in self.ngrams:
                    before = None if recent is None else recent[field.name]
                    embedded = embedded + self.ngrams[field.name](ids, before, inputs.segments)
            else:
                frame, z, missing, moved = self._framed(
                    field, inputs, begun, None if reals is None else reals[field.name]
                )
                start = self._start(field, inputs, begun)
                embedded = self.fields[field.name](z, missing, start, frame.drift)
                frames[field.name] = frame
                if moved is not None:
                    after[field.name] = moved
            parts.append(embedded.unsqueeze(-2) if self.spec.variables and not field.by_channel else embedded)
        return sum(parts[1:], parts[0]), {**frames, **self._unread()}, after

    def frames(self, inputs: Inputs, begun: Tensor | None, reals: Mapping[str, State] | None) -> dict[str, Frame]:
        """The frames alone; arguments as in `forward`."""
        read = {
            field.name: self._framed(field, inputs, begun, None if reals is None else reals[field.name])[0]
            for field in self.spec.read_fields
            if not field.is_symbol
        }
        return {**read, **self._unread()}

    def _unread(self) -> dict[str, Frame]:
        """The frames of real targets that are not read: constants."""
        return {
            field.name: cast(Framing, self.framings[field.name]).constant
            for field in self.spec.targets
            if not field.read and not field.is_symbol
        }

    def init_reals(self, batch: int, device: torch.device) -> dict[str, State]:
        """Per real field the state of its framing with nothing before."""
        names = [f.name for f in self.spec.read_fields if not f.is_symbol]
        return {name: cast(Framing, self.framings[name]).init_state(batch, device) for name in names}

    def _framed(
        self, field: Field, inputs: Inputs, begun: Tensor | None, state: State | None
    ) -> tuple[Frame, Tensor, Tensor, State | None]:
        framing = cast(Framing, self.framings[field.name])
        if framing.has_memory and inputs.segments is not None:
            raise ConfigError(
                f"field '{field.name}' is read by what came before it: documents cannot be packed into one row",
                hint="Use batching.kind=windows or buckets.",
            )
        nothing = self._start(field, inputs, begun)
        if inputs.lengths is not None:
            positions = torch.arange(inputs.fields[field.name].shape[1], device=inputs.lengths.device)
            padding = positions >= inputs.lengths[:, None]
            nothing = padding if nothing is None else nothing | padding
        return framing(inputs.fields[field.name], inputs.observed.get(field.name), nothing, state)

    def _start(self, field: Field, inputs: Inputs, begun: Tensor | None) -> Tensor | None:
        """(B, T) bool: where the field has nothing to read."""
        begins, ends = self._starts(inputs, begun)
        return ends if field.role is Role.KNOWN_AHEAD else begins

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
