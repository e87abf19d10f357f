"""Decoding in C++: where a token is one symbol, all layers, the readout and the draws of many tokens in one call; for
other tokens the layers only, between torch's embedding and readouts.

In float32 on the CPU. Prefixes are read by the model itself. The torch way is the definition; a test holds them equal.
"""

from __future__ import annotations

import ctypes
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.decoding.backbone import NativeBackbone, are_plain, can_advance
from core.decoding.options import SamplingConfig
from core.decoding.slots import Slots, banned
from core.decoding.stepper import Rows, TorchStepper, read_states
from core.decoding.structures import Draws, Model, Ngrams
from core.nn.by_field import ByField
from core.nn.embed import TokenEmbedding
from core.nn.model import SequenceModel
from core.nn.ngram import NgramEmbedding
from core.nn.readout import Categorical
from core.nn.state import ModelState

_PARTS = {TokenEmbedding, NgramEmbedding, Categorical, ByField, nn.Embedding, nn.Linear, nn.ModuleDict}


def can_draw(model: SequenceModel) -> bool:
    """Whether a whole step can be done here: the token is one symbol, and `can_advance`."""
    one_symbol = len(model.spec.fields) == 1 and model.spec.fields[0].is_symbol
    return one_symbol and are_plain(model.embed, _PARTS) and are_plain(model.readouts, _PARTS) and can_advance(model)


class NativeStepper:
    """Decodes the draws of `slots`; arguments as of `TorchStepper`, the model one that `can_draw` allows."""

    def __init__(
        self, model: SequenceModel, slots: Slots, config: SamplingConfig, *, context: int, min_length: int
    ) -> None:
        self.model, self.slots, self.context = model, slots, context
        self.backbone = NativeBackbone(model, slots, context)
        self._decode = self.backbone.library.foretell_decode
        self._decode.argtypes = [ctypes.POINTER(Model), ctypes.POINTER(Draws), ctypes.c_int64]
        self._decode.restype = ctypes.c_int64
        self._point_to_ends()
        self._point_to_draws(config, min_length)

    def read(self, slots: Rows) -> None:
        begun = self.slots.position[slots] > self.slots.origin[slots]
        self.backbone.clear(slots[~begun])
        if begun.any():
            for part, read in read_states(self.model, self.slots, slots[begun], self.context):
                self.backbone.put(part, read)

    def drop_all_but(self, live: Rows) -> None:
        """Only live rows are worked on, so there is nothing to win."""

    def run(self, live: Rows, steps: int, allowed: Tensor | None) -> int:
        backbone = self.backbone
        backbone.point_to_rows(live)
        if allowed is not None:
            allowed = allowed.contiguous()
            backbone.draws.allowed = allowed.data_ptr()
        return int(self._decode(ctypes.byref(backbone.model), ctypes.byref(backbone.draws), steps))

    def _point_to_ends(self) -> None:
        """The embedding and the readout."""
        backbone, embed, name = self.backbone, self.model.embed, self.model.spec.fields[0].name
        readout, made = backbone.packed.readouts[name], backbone.model
        padded = -(-readout.outputs // (2 * backbone.lanes)) * 2 * backbone.lanes
        made.vocabulary, made.readout = readout.outputs, backbone.matrix(readout)
        made.embedding = backbone.keep(cast(nn.Embedding, embed.fields[name]).weight.detach().contiguous())
        if name in embed.ngrams:
            made.ngrams = self._ngrams(cast(NgramEmbedding, embed.ngrams[name]))
        made.logits_line, made.logits = padded, backbone.keep(torch.zeros(self.slots.size, padded))
        made.scratch_line = max(made.scratch_line, 2 * padded)
        made.scratch = backbone.keep(torch.zeros(made.threads, made.scratch_line))

    def _ngrams(self, ngrams: NgramEmbedding) -> Any:
        keep, orders = self.backbone.keep, list(ngrams.sizes)
        sizes = [size if size == ngrams.letters**n else -size for n, size in ngrams.sizes.items()]  # negative: hashed
        weights = [cast(nn.Embedding, ngrams.tables[str(n)]).weight for n in orders]
        tables = [keep(weight.detach().contiguous()) for weight in weights]
        lists = (keep(torch.tensor(numbers, dtype=torch.int64)) for numbers in (orders, sizes, tables))
        return Ngrams(len(orders), ngrams.letters, *lists)

    def _point_to_draws(self, config: SamplingConfig, min_length: int) -> None:
        slots, draws, field, cpu = self.slots, self.backbone.draws, self.slots.symbols[0], torch.device("cpu")
        draws.length, draws.min_length = slots.length, min_length
        draws.tokens, draws.nats = slots.values[field.name].data_ptr(), slots.nats[field.name].data_ptr()
        draws.masked, draws.uniforms = slots.masked.data_ptr(), slots.uniforms.data_ptr()
        draws.prefix, draws.ended = slots.prefix.ctypes.data, slots.ended.ctypes.data
        draws.banned = self.backbone.keep(banned(field, cpu, eos=False))
        draws.banned_early = self.backbone.keep(banned(field, cpu, eos=True))
        draws.temperature, draws.top_p, draws.min_p = config.temperature, config.top_p, config.min_p
        draws.top_k = config.top_k


class NativeLayersStepper(TorchStepper):
    """The torch way with the layers in C++: for a model that `can_advance` allows, whatever its fields."""

    def __init__(
        self, model: SequenceModel, slots: Slots, config: SamplingConfig, *, context: int, min_length: int
    ) -> None:
        super().__init__(model, slots, config, context=context, min_length=min_length)
        self.backbone = NativeBackbone(model, slots, context)

    def _new_state(self) -> ModelState:
        state = self.model.init_state(self.slots.size, 0, self.slots.device)
        return ModelState([], state.position, state.recent, state.reals)

    def _clear(self, slots: Rows) -> None:
        self.backbone.clear(slots)
        super()._clear(slots)

    def _put(self, slots: Rows, read: ModelState) -> None:
        self.backbone.put(slots, read)
        super()._put(slots, ModelState([], read.position, read.recent, read.reals))

    def _hidden(self, live: Rows, rows: Tensor, fields: dict[str, Tensor], start: Tensor | None) -> Tensor:
        return self.backbone.advance(live, self.model.embed_next(fields, self.state, start=start)[rows])
