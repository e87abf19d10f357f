"""Decoding in C++: all layers, the readout and the draw of the next symbol of every row in one call.

For models whose token is one symbol, in float32 on the CPU. States lie as core/kernels/native/decode.cpp wants them;
prefixes are read by the model itself. The torch step is the definition; a test holds the two equal.
"""

from __future__ import annotations

import ctypes
import math
import mmap
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.decoding.options import SamplingConfig
from core.decoding.packing import Panels, in_blocks, pack
from core.decoding.slots import Slots, banned
from core.decoding.stepper import Rows, read_states
from core.kernels import native
from core.nn.attention import Attention
from core.nn.block import Block
from core.nn.by_field import ByField
from core.nn.embed import TokenEmbedding
from core.nn.mamba1 import Mamba1
from core.nn.mamba2 import Mamba2
from core.nn.mlp import GatedMLP
from core.nn.model import Backbone, SequenceModel
from core.nn.ngram import NgramEmbedding
from core.nn.norm import GatedRMSNorm, RMSNorm
from core.nn.readout import Categorical
from core.nn.rotary import rotation_table
from core.nn.state import AttentionState, MixerState, RecurrentState

STATE_BYTES = 12 * 2**20
"""State that is worked on at once, attention's half full: more of it than a cache holds is read from memory at every
token. [2 threads, width 256 x 4 layers: 13,500-16,000 tokens/s with 12 rows of attention, 11,000-12,000 with 48;
Mamba-2 22,900 with 24 rows, 19,300 with 96; Mamba-1 the same from 16 to 128.]"""
LARGE = 16 * 2**20
"""Bytes of weights from which on threads share the work of single rows."""
_PARTS = {SequenceModel, Backbone, Block, TokenEmbedding, NgramEmbedding, Attention, GatedMLP, Mamba1, Mamba2, RMSNorm}
_PARTS |= {GatedRMSNorm, Categorical, ByField, nn.Embedding, nn.Linear, nn.Conv1d, nn.ModuleList, nn.ModuleDict}
_PARTS |= {nn.Dropout, nn.Identity}
_POINTER, _INT = ctypes.c_void_p, ctypes.c_int64


def _structure(name: str, **fields: Any) -> Any:
    return type(name, (ctypes.Structure,), {"_fields_": list(fields.items())})


_Matrix = _structure("Matrix", panels=_POINTER, outputs=_INT, inner=_INT)
_Ngrams = _structure("Ngrams", orders=_INT, letters=_INT, order=_POINTER, size=_POINTER, table=_POINTER)
_Layer = _structure(
    "Layer",
    kind=_INT,
    **{"in": _Matrix, "out": _Matrix},
    x_proj=_Matrix,
    dt_proj=_Matrix,
    **dict.fromkeys(("conv_weight", "conv_bias", "dt_bias", "decay", "skip", "conv", "ssm"), _POINTER),
    **dict.fromkeys(("qk_norm", "keys", "values"), _POINTER),
    fc1=_Matrix,
    fc2=_Matrix,
)
_LINES = ("x", "projected", "convolved", "low_rank", "steps", "mixed")
_SHAPE = ("inner", "taps", "rank", "states1", "states2", "heads2", "groups2", "channels2", "heads", "key_heads")
_Model = _structure(
    "Model",
    **dict.fromkeys(("threads", "large", "width", "vocabulary", "layers"), _INT),
    eps=ctypes.c_double,
    gated_eps=ctypes.c_double,
    embedding=_POINTER,
    ngrams=_Ngrams,
    layer=_POINTER,
    readout=_Matrix,
    **dict.fromkeys((*_SHAPE, "channels", "room"), _INT),
    rotation=_POINTER,
    **dict.fromkeys(("line", "logits_line", "scratch_line"), _INT),
    **dict.fromkeys((*_LINES, "logits", "scratch"), _POINTER),
)
_Draws = _structure(
    "Draws",
    rows=_INT,
    length=_INT,
    min_length=_INT,
    **dict.fromkeys(
        ("slot", "position", "tokens", "origin", "prefix", "uniforms", "nats", "masked", "ended"), _POINTER
    ),
    **dict.fromkeys(("temperature", "top_p", "min_p"), ctypes.c_double),
    top_k=_INT,
    **dict.fromkeys(("banned", "banned_early", "allowed"), _POINTER),
)


def can_decode(model: SequenceModel) -> bool:
    """Whether `model` can be decoded here: what it is made of, where it lies, and whether the library is wanted."""
    field = model.spec.fields[0]
    return (
        len(model.spec.fields) == 1
        and field.is_symbol
        and all(type(part) in _PARTS and not part._forward_hooks for part in model.modules())
        and all(p.dtype == torch.float32 and p.device.type == "cpu" for p in model.parameters())
        and not torch.is_autocast_enabled("cpu")
        and native.wanted("decode")
    )


def good_slots(model: SequenceModel, context: int) -> int:
    """How many rows to work on at once."""
    config, size = model.config, 0
    for mixer in config.mixers:
        if mixer == "A":
            size += config.key_heads * (config.width // config.query_heads) * _room(config.window, context)
        else:
            size += config.inner * config.state_size(mixer)
    return max(8, 4 * torch.get_num_threads(), STATE_BYTES // (4 * size))


class NativeStepper:
    """Decodes the draws of `slots`; arguments as of `TorchStepper`, the model one that `can_decode` allows."""

    def __init__(
        self, model: SequenceModel, slots: Slots, config: SamplingConfig, *, context: int, min_length: int
    ) -> None:
        self.model, self.slots, self.context = model, slots, context
        library = native.library("decode")
        self._decode = library.foretell_decode
        self._decode.argtypes = [ctypes.POINTER(_Model), ctypes.POINTER(_Draws), ctypes.c_int64]
        self._decode.restype = ctypes.c_int64
        self.lanes = int(library.foretell_lanes())
        self._kept: list[object] = []  # what the structures point to
        self._states = [_state(b.mixer, slots.size, context, self.lanes) for b in model.backbone.blocks]
        self._model = self._point_to_model()
        self._draws = self._point_to_draws(config, min_length)

    def read(self, slots: Rows) -> None:
        begun = self.slots.position[slots] > self.slots.origin[slots]
        for state in self._states:
            state.clear(torch.from_numpy(slots[~begun]))
        if begun.any():
            for part, read in read_states(self.model, self.slots, slots[begun], self.context):
                for state, layer in zip(self._states, read.layers, strict=True):
                    state.put(torch.from_numpy(part), layer)

    def drop_all_but(self, live: Rows) -> None:
        """Only live rows are worked on, so there is nothing to win."""

    def run(self, live: Rows, steps: int, allowed: Tensor | None) -> int:
        self._draws.rows, self._draws.slot = len(live), live.ctypes.data
        if allowed is not None:
            allowed = allowed.contiguous()
            self._draws.allowed = allowed.data_ptr()
        return int(self._decode(ctypes.byref(self._model), ctypes.byref(self._draws), steps))

    def _keep(self, tensor: Tensor) -> int:
        self._kept.append(tensor)
        return tensor.data_ptr()

    def _matrix(self, matrix: Panels) -> Any:
        return _Matrix(self._keep(matrix.panels), matrix.outputs, matrix.inner)

    def _point_to_model(self) -> Any:
        model, config, lanes = self.model, self.model.config, self.lanes
        packed = pack(model, lanes)
        layers = (_Layer * config.layers)()
        for layer, letter, weights, state in zip(layers, config.mixers, packed.layers, self._states, strict=True):
            layer.kind = ord(letter)
            for name, made in (weights | vars(state)).items():
                setattr(layer, name, self._matrix(made) if isinstance(made, Panels) else self._keep(made))
        self._kept.append(layers)
        name, vocabulary = model.spec.fields[0].name, packed.readout.outputs
        embedding = cast(nn.Embedding, model.embed.fields[name])
        shape = {
            "inner": config.inner,
            "taps": config.d_conv,
            "rank": config.dt_rank,
            "states1": config.state_size("M"),
            "states2": config.state_size("S"),
            "heads2": config.inner // config.ssd_headdim,
            "groups2": config.ngroups,
            "channels2": config.inner + 2 * config.ngroups * config.state_size("S"),
            "heads": config.query_heads,
            "key_heads": config.key_heads,
            "channels": config.width // config.query_heads,
            "room": _room(config.window, self.context) if "A" in config.mixers else 1,
        }
        table = torch.zeros(0)
        if "A" in config.mixers:
            table = rotation_table(self.context, shape["channels"], config.rope_base, table.dtype, table.device)
        widest = max(
            config.inner + shape["channels2"] + shape["heads2"],
            config.width + 2 * shape["key_heads"] * shape["channels"],
            2 * config.inner,
            config.hidden,
            shape["rank"] + 2 * shape["states1"],
        )
        line = _up(widest, 2 * lanes) + lanes  # an odd number of vectors: rows do not push each other out of the cache
        scratch = _up(max(shape["room"], self.slots.size, 2 * _up(vocabulary, lanes)), lanes) + lanes
        threads, logits = torch.get_num_threads(), torch.zeros(self.slots.size, _up(vocabulary, 2 * lanes))
        return _Model(
            threads=threads,
            large=4 * model.n_parameters > LARGE,
            width=config.width,
            vocabulary=vocabulary,
            layers=config.layers,
            eps=config.norm_eps,
            gated_eps=next((b.mixer.norm.eps for b in model.backbone.blocks if isinstance(b.mixer, Mamba2)), 0.0),
            embedding=self._keep(embedding.weight.detach().contiguous()),
            ngrams=self._ngrams(cast(NgramEmbedding, model.embed.ngrams[name])) if model.embed.ngrams else _Ngrams(),
            layer=ctypes.addressof(layers),
            readout=self._matrix(packed.readout),
            rotation=self._keep(table.contiguous()),
            line=line,
            logits_line=logits.shape[1],
            logits=self._keep(logits),
            scratch_line=scratch,
            scratch=self._keep(torch.zeros(threads, scratch)),
            **shape,
            **{key: self._keep(torch.zeros(self.slots.size, line)) for key in _LINES},
        )

    def _ngrams(self, ngrams: NgramEmbedding) -> Any:
        orders = list(ngrams.sizes)
        sizes = [size if size == ngrams.letters**n else -size for n, size in ngrams.sizes.items()]  # negative: hashed
        weights = [cast(nn.Embedding, ngrams.tables[str(n)]).weight for n in orders]
        tables = [self._keep(weight.detach().contiguous()) for weight in weights]
        lists = (self._keep(torch.tensor(numbers, dtype=torch.int64)) for numbers in (orders, sizes, tables))
        return _Ngrams(len(orders), ngrams.letters, *lists)

    def _point_to_draws(self, config: SamplingConfig, min_length: int) -> Any:
        slots, field = self.slots, self.slots.symbols[0]
        cpu = torch.device("cpu")
        return _Draws(
            length=slots.length,
            min_length=min_length,
            tokens=slots.values[field.name].data_ptr(),
            nats=slots.nats[field.name].data_ptr(),
            masked=slots.masked.data_ptr(),
            uniforms=slots.uniforms.data_ptr(),
            banned=self._keep(banned(field, cpu, eos=False)),
            banned_early=self._keep(banned(field, cpu, eos=True)),
            temperature=config.temperature,
            top_p=config.top_p,
            min_p=config.min_p,
            top_k=config.top_k,
            **{key: getattr(slots, key).ctypes.data for key in ("position", "origin", "prefix", "ended")},
        )


class _Recurrent:
    """conv (slots, taps - 1, channels); ssm (slots, G, ceil(D / G / lanes), N, lanes), D channels in G groups."""

    def __init__(self, mixer: Mamba1 | Mamba2, size: int, lanes: int) -> None:
        groups = mixer.groups if isinstance(mixer, Mamba2) else 1
        channels, _, taps = mixer.conv1d.weight.shape
        blocks = -(-mixer.inner // groups // lanes)
        self.conv = torch.zeros(size, taps - 1, channels)
        self.ssm = torch.zeros(size, groups, blocks, mixer.states, lanes)

    def clear(self, slots: Tensor) -> None:
        self.conv[slots] = 0
        self.ssm[slots] = 0

    def put(self, slots: Tensor, state: MixerState) -> None:
        assert isinstance(state, RecurrentState)
        self.conv[slots] = state.conv
        _, groups, _, states, lanes = self.ssm.shape
        by_group = state.ssm.reshape(len(slots) * groups, -1, states)
        self.ssm[slots] = in_blocks(by_group, lanes).unflatten(0, (-1, groups))


class _Attended:
    """keys, values (slots, G, room rounded up, C rounded up), zero where nothing is."""

    def __init__(self, mixer: Attention, size: int, room: int, lanes: int) -> None:
        shape = size, mixer.key_heads, _up(room, lanes), _up(mixer.channels, lanes)
        self.keys, self.values = _zeros(*shape), _zeros(*shape)

    def clear(self, slots: Tensor) -> None:
        """A row that has read nothing looks at nothing."""

    def put(self, slots: Tensor, state: MixerState) -> None:
        assert isinstance(state, AttentionState)
        room, channels = state.keys.shape[2:]
        self.keys[slots, :, :room, :channels] = state.keys
        self.values[slots, :, :room, :channels] = state.values


def _state(mixer: Any, size: int, context: int, lanes: int) -> _Recurrent | _Attended:
    if isinstance(mixer, Attention):
        return _Attended(mixer, size, _room(mixer.window, context), lanes)
    return _Recurrent(mixer, size, lanes)


def _room(window: int, context: int) -> int:
    """Positions that attention keeps: a ring of the window, where that is not longer than what is read."""
    return window if 0 < window <= context else context


def _zeros(*shape: int) -> Tensor:
    """float32, in huge pages where the system has them: what is read once a token misses fewer translations so."""
    memory = mmap.mmap(-1, max(1, 4 * math.prod(shape)))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.float32, count=math.prod(shape)).view(shape)


def _up(n: int, size: int) -> int:
    return -(-n // size) * size
