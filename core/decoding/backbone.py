"""A model's layers in C++, with a state for each of a number of slots.

States lie as core/kernels/native/decode.cpp wants them; what a model has read in one pass is put in. The modules' own
`step` is the definition.
"""

from __future__ import annotations

import ctypes
import math
import mmap
from contextlib import suppress
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.decoding.packing import Packed, Panels, in_blocks, pack
from core.decoding.slots import Slots
from core.decoding.stepper import Rows
from core.decoding.structures import LINES, Draws, Layer, Matrix, Model
from core.kernels import native
from core.nn.attention import Attention
from core.nn.block import Block
from core.nn.mamba1 import Mamba1
from core.nn.mamba2 import Mamba2
from core.nn.mlp import GatedMLP
from core.nn.model import Backbone, SequenceModel
from core.nn.norm import GatedRMSNorm, RMSNorm
from core.nn.rotary import rotation_table
from core.nn.state import AttentionState, MixerState, ModelState, RecurrentState

STATE_BYTES = 12 * 2**20
"""State that is worked on at once, attention's half full: more of it than a cache holds is read from memory at every
token. [2 threads, width 256 x 4 layers, 32 draws: 15,000 tokens/s with 11 rows of attention, 12,000 with 32; Mamba-2
33,000 with 16 rows, 25,000 with 32; Mamba-1 the same from 16 to 128.]"""
LARGE = 16 * 2**20
"""Bytes of weights from which on threads share the work of single rows."""
_PARTS = {Backbone, Block, Attention, Mamba1, Mamba2, GatedMLP, RMSNorm, GatedRMSNorm}
_PARTS |= {nn.Linear, nn.Conv1d, nn.ModuleList, nn.Dropout, nn.Identity}


def can_advance(model: SequenceModel) -> bool:
    """Whether the layers can be run here: what they are made of, where they lie, and whether the library is wanted."""
    return (
        are_plain(model.backbone, _PARTS)
        and all(p.dtype == torch.float32 and p.device.type == "cpu" for p in model.parameters())
        and not torch.is_autocast_enabled("cpu")
        and native.wanted("decode")
    )


def are_plain(module: nn.Module, parts: set[type]) -> bool:
    """Whether the module is made of these classes only (an adapter is another one), and nobody looks on."""
    return all(type(part) in parts and not part._forward_hooks for part in module.modules())


def good_slots(model: SequenceModel, context: int) -> int:
    """How many rows to work on at once."""
    config, size = model.config, 0
    for mixer in config.mixers:
        if mixer == "A":
            size += config.key_heads * (config.width // config.query_heads) * _room(config.window, context)
        else:
            size += config.inner * config.state_size(mixer)
    return max(8, 4 * torch.get_num_threads(), STATE_BYTES // (4 * size))


class NativeBackbone:
    """The layers of a model that `can_advance` allows.

    Args:
        slots: whose positions say where a row stands.
        context: positions that a row reads at most before it is read anew.

    Attributes:
        model, draws: the structures of decode.cpp; whoever draws fills in the rest.
        packed: the weights that they point to.
    """

    def __init__(self, model: SequenceModel, slots: Slots, context: int) -> None:
        self._kept: list[object] = []  # what the structures point to
        library = native.library("decode")
        self.library, self.lanes = library, int(library.foretell_lanes())
        self.packed: Packed = pack(model, self.lanes)
        self.width = model.config.width
        self.states = [_state(b.mixer, slots.size, context, self.lanes) for b in model.backbone.blocks]
        self.model = self._point_to(model, slots.size, context)
        self.draws = Draws(position=slots.position.ctypes.data, origin=slots.origin.ctypes.data)
        self._kept.append(slots)

    def clear(self, slots: Rows) -> None:
        """`slots` have read nothing."""
        for state in self.states:
            state.clear(torch.from_numpy(slots))

    def put(self, slots: Rows, read: ModelState) -> None:
        """`slots` have read what the rows of `read` have."""
        for state, layer in zip(self.states, read.layers, strict=True):
            state.put(torch.from_numpy(slots), layer)

    def point_to_rows(self, slots: Rows) -> None:
        """The next call works on `slots`, int64 and contiguous, which must outlive it."""
        self.draws.rows, self.draws.slot = len(slots), slots.ctypes.data

    def advance(self, slots: Rows, x: Tensor) -> Tensor:
        """Embedded inputs at the positions of `slots`, (rows, D) -> hidden (rows, D) after the final norm."""
        self.point_to_rows(slots)
        x, hidden = x.contiguous(), torch.empty(len(slots), self.width)
        run = self.library.foretell_advance
        run.restype = None
        run(*map(ctypes.byref, (self.model, self.draws)), *map(ctypes.c_void_p, (x.data_ptr(), hidden.data_ptr())))
        return hidden

    def keep(self, tensor: Tensor) -> int:
        """The address of a contiguous tensor that lives as long as this."""
        self._kept.append(tensor)
        return tensor.data_ptr()

    def matrix(self, matrix: Panels) -> Any:
        return Matrix(self.keep(matrix.panels), matrix.outputs, matrix.inner)

    def _point_to(self, model: SequenceModel, rows: int, context: int) -> Any:
        config, lanes, attends = model.config, self.lanes, "A" in model.config.mixers
        layers = (Layer * config.layers)()
        for layer, letter, weights, state in zip(layers, config.mixers, self.packed.layers, self.states, strict=True):
            layer.kind = ord(letter)
            for name, made in (weights | vars(state)).items():
                setattr(layer, name, self.matrix(made) if isinstance(made, Panels) else self.keep(made))
        self._kept.append(layers)
        channels, channels2 = (
            config.width // config.query_heads,
            config.inner + 2 * config.ngroups * config.state_size("S"),
        )
        heads2, room = config.inner // config.ssd_headdim, _room(config.window, context) if attends else 1
        table = torch.zeros(0)
        if attends:
            table = rotation_table(context, channels, config.rope_base, table.dtype, table.device)
        widest = max(
            config.inner + channels2 + heads2,
            config.width + 2 * config.key_heads * channels,
            2 * config.inner,
            config.hidden,
            config.dt_rank + 2 * config.state_size("M"),
        )
        line = _up(widest, 2 * lanes) + lanes  # an odd number of vectors: rows do not push each other out of the cache
        threads, scratch = torch.get_num_threads(), _up(max(room, rows), lanes) + lanes
        return Model(
            threads=threads,
            large=4 * model.n_parameters > LARGE,
            width=config.width,
            layers=config.layers,
            eps=config.norm_eps,
            gated_eps=next((b.mixer.norm.eps for b in model.backbone.blocks if isinstance(b.mixer, Mamba2)), 0.0),
            layer=ctypes.addressof(layers),
            norm_f=self.keep(cast(RMSNorm, model.backbone.norm_f).weight.detach().contiguous()),
            inner=config.inner,
            taps=config.d_conv,
            rank=config.dt_rank,
            states1=config.state_size("M"),
            states2=config.state_size("S"),
            heads2=heads2,
            groups2=config.ngroups,
            channels2=channels2,
            heads=config.query_heads,
            key_heads=config.key_heads,
            channels=channels,
            room=room,
            rotation=self.keep(table.contiguous()),
            line=line,
            scratch_line=scratch,
            scratch=self.keep(torch.zeros(threads, scratch)),
            **{name: self.keep(torch.zeros(rows, line)) for name in LINES.split()},
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
        with suppress(OSError):  # a kernel built without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.float32, count=math.prod(shape)).view(shape)


def _up(n: int, size: int) -> int:
    return -(-n // size) * size
