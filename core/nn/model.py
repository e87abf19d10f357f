"""The model: fields are embedded and summed, run through blocks, and read out per target field.

    hidden, state = model(inputs, state)          (B, T, D); a state comes back where one was given
    nats = model.readings(inputs)["tokens"].nll(hidden, targets)
    hidden = model.step({"tokens": ids}, state)   (B, D); one token further, the state changes in place

A reading is a readout that knows what its field's values are relative to: all that goes in and comes out is raw. The
model knows neither loss nor optimiser, and no more of a batch than its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from core.batching.batch import Inputs
from core.errors import ConfigError
from core.nn.block import Block
from core.nn.by_field import ByField
from core.nn.config import ModelConfig
from core.nn.conv import last_inputs
from core.nn.embed import TokenEmbedding, symbols_read
from core.nn.framing import Frame
from core.nn.ngram import NgramEmbedding
from core.nn.norm import make_norm
from core.nn.readout import Reading, Readout, make_readout, readout_kinds
from core.nn.state import ModelState
from core.sequence import TokenSpec
from core.vocabulary import PAD


class Backbone(nn.Module):
    """The blocks and the final norm, named as in mamba-ssm: `layers.{i}.norm/.mixer/.norm2/.mlp`, `norm_f`."""

    def __init__(self, config: ModelConfig, variables: int = 0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(config, letter, variables) for letter in config.mixers)
        self.norm_f = make_norm(config.norm, config.width, config.norm_eps)
        branches = [projection for block in self.blocks for projection in block.branches]
        with torch.no_grad():  # so that the stream's variance does not grow with depth (GPT-2, section 2.3)
            for projection in branches:
                projection.weight.mul_(len(branches) ** -0.5)

    @property
    def blocks(self) -> list[Block]:
        return [cast(Block, layer) for layer in self.layers]


class SequenceModel(nn.Module):
    """A causal model of the sequences of a TokenSpec.

    Args:
        spec: the fields of a token.
        config: pattern and shape.
        readouts: kind per target field; categorical for symbols and gaussian for real fields where not named.

    Raises ConfigError for a readout that does not exist or does not fit its field.
    """

    def __init__(self, spec: TokenSpec, config: ModelConfig, readouts: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.spec, self.config = spec, config
        self.readout_kinds = readout_kinds(spec, readouts)
        self.embed = TokenEmbedding(spec, config)
        if spec.variables and set(config.mixers) != {"A"}:
            raise ConfigError(
                f"variables side by side are mixed by attention only, the pattern is '{config.pattern}'",
                hint="Choose model=transformer, or a tokenizer that reads all channels as one token.",
            )
        self.backbone = Backbone(config, spec.variables)
        made = partial(make_readout, width=config.width, variables=spec.variables)
        self.readouts = ByField({f.name: made(self.readout_kinds[f.name], field=f) for f in spec.folded.targets})

    def forward(self, inputs: Inputs, state: ModelState | None = None) -> tuple[Tensor, ModelState | None]:
        """A chunk of rows.

        Args:
            inputs: fields (B, T) or (B, T, P W), aligned so that position i reads what is known before token i.
            state: what came before the chunk, from `init_state` or an earlier call; left as it is.

        Returns:
            hidden (B, T, D) after the final norm, and the state after each row's last real token where one was given.
            Variables side by side come one after the other: D is `hidden_width` then.

        Raises ConfigError for packed documents with a carried state through attention.
        """
        lengths, segments = inputs.lengths, inputs.segments
        if state is not None and segments is not None:
            lengths = (segments >= 0).sum(1)
            last = segments.gather(1, (lengths - 1).clamp(min=0)[:, None])
            segments = torch.where(segments >= 0, segments, last)  # a border before the padding would reset the state
        begun, recent, reals = (None, None, None) if state is None else (state.position, state.recent, state.reals)
        x, _, framed = self.embed(inputs, begun=begun, recent=recent, reals=reals)
        layers = []
        for i, block in enumerate(self.backbone.blocks):
            before = None if state is None else state.layers[i]
            x, after = block(x, positions=inputs.positions, segments=segments, lengths=lengths, state=before)
            layers.append(after)
        hidden = self._hidden(x)
        if state is None:
            return hidden, None
        moved = x.shape[1] if lengths is None else lengths
        recent = self._recent(inputs, segments, state, lengths)
        return hidden, ModelState(layers, state.position + moved, recent, framed)

    def readings(self, inputs: Inputs, state: ModelState | None = None) -> dict[str, Reading]:
        """The readouts by target field, for the hidden states of `forward(inputs, state)`."""
        begun, reals = (None, None) if state is None else (state.position, state.reals)
        return self._read_by(self.embed.frames(inputs, begun, reals))

    def readings_now(self, state: ModelState) -> dict[str, Reading]:
        """The readouts by target field, for the hidden states (B, 1, D) of the last `step`."""
        return self._read_by(state.frames)

    def _read_by(self, frames: Mapping[str, Frame]) -> dict[str, Reading]:
        return {f.name: Reading(cast(Readout, self.readouts[f.name]), frames.get(f.name)) for f in self.spec.targets}

    def step(
        self,
        fields: Mapping[str, Tensor],
        state: ModelState,
        *,
        start: Tensor | None = None,
        observed: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, ModelState]:
        """One position further for every row; the state changes in place.

        Args:
            fields: (B,) int64 or (B, P W) float, aligned as in `forward`.
            start: (B,) bool, True where a real field has no previous value.
            observed: bool masks where something is missing.

        Returns: hidden (B, D) after the final norm, and the state.
        """
        x = self.embed_next(fields, state, start=start, observed=observed)
        for block, carried in zip(self.backbone.blocks, state.layers, strict=True):
            x = block.step(x, carried)
        return self._hidden(x), state

    def _hidden(self, x: Tensor) -> Tensor:
        hidden = self.backbone.norm_f(x)
        return hidden.flatten(-2) if self.spec.variables else hidden

    @property
    def hidden_width(self) -> int:
        """Of the hidden states: D, of variables side by side C times that."""
        return self.config.width * max(self.spec.variables, 1)

    def embed_next(
        self,
        fields: Mapping[str, Tensor],
        state: ModelState,
        *,
        start: Tensor | None = None,
        observed: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """What `step` does before the blocks: arguments as there -> (B, D). Moves all of the state but its layers."""
        one = Inputs(
            {name: values.unsqueeze(1) for name, values in fields.items()},
            {name: mask.unsqueeze(1) for name, mask in (observed or {}).items()},
            None if start is None else start.unsqueeze(1),
        )
        x, state.frames, after = self.embed(one, begun=state.position, recent=state.recent, reals=state.reals)
        state.reals.update(after)
        for name, ids in state.recent.items():
            ids.copy_(torch.cat((ids, symbols_read(one, name)), 1)[:, 1:])
        state.position += 1
        return x.squeeze(1)

    def init_state(self, batch: int, max_length: int, device: torch.device | str | None = None) -> ModelState:
        """The state of `batch` rows with nothing before; attention keeps room for `max_length` tokens."""
        device = torch.device(device) if device is not None else next(self.parameters()).device
        layers = [block.init_state(batch, max_length, device) for block in self.backbone.blocks]
        position = torch.zeros(batch, dtype=torch.int64, device=device)
        recent = {
            name: torch.full((batch, cast(NgramEmbedding, ngrams).reach), PAD, dtype=torch.int64, device=device)
            for name, ngrams in self.embed.ngrams.items()
        }
        return ModelState(layers, position, recent, self.embed.init_reals(batch, device))

    def _recent(
        self, inputs: Inputs, segments: Tensor | None, state: ModelState, lengths: Tensor | None
    ) -> dict[str, Tensor]:
        """The last input ids of each row, for the n-grams of what follows."""
        return {
            name: last_inputs(
                symbols_read(inputs, name).unsqueeze(-1), ids.shape[1] + 1, ids.unsqueeze(-1), lengths, segments
            ).squeeze(-1)
            for name, ids in state.recent.items()
        }

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def flops_per_token(self, length: int | None = None) -> float:
        """FLOPs of forward and backward per token of rows of `length` (None: config.context); a multiply-add is two."""
        length = length or self.config.context
        matrices = [m for part in (self.backbone, self.readouts) for m in part.modules() if isinstance(m, nn.Linear)]
        forward = 2.0 * max(self.spec.variables, 1) * sum(matrix.weight.numel() for matrix in matrices)
        forward += sum(block.mixer.mixing_flops(length) for block in self.backbone.blocks)
        return 3 * forward
