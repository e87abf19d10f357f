"""A model's weights as the C++ decoder reads them: matrices in panels, the weight of the norm before them folded in.

Made once per model and kept as long as it lives and its parameters stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.nn.attention import Attention
from core.nn.block import Block
from core.nn.mamba1 import Mamba1
from core.nn.mamba2 import Mamba2
from core.nn.model import SequenceModel
from core.nn.norm import RMSNorm
from core.nn.readout import Categorical
from core.nn.recurrence import LOG2E


@dataclass(frozen=True)
class Panels:
    """A matrix W (outputs, inner), or several beside each other with equal shapes: see core/kernels/native/matrix.h."""

    panels: Tensor
    """(number, ceil(outputs / panel), inner, panel) float32, padded with zeros."""
    outputs: int
    inner: int


@dataclass(frozen=True)
class Packed:
    """Per layer what its mixer needs, by the names of `Layer` in decode.cpp."""

    layers: list[dict[str, Tensor | Panels]]
    readouts: dict[str, Panels]
    """Those of symbols, with the final norm in them."""


_made: WeakKeyDictionary[SequenceModel, tuple[object, Packed]] = WeakKeyDictionary()


def pack(model: SequenceModel, lanes: int) -> Packed:
    """The packed weights of a model; lanes: floats in a vector of the C++ library."""
    key = (lanes, [(p.data_ptr(), p._version) for p in model.parameters() if not p.is_inference()])
    if model not in _made or _made[model][0] != key:
        with torch.no_grad():
            symbols = {name: readout for name, readout in model.readouts.items() if isinstance(readout, Categorical)}
            _made[model] = (
                key,
                Packed(
                    [_layer(block, lanes) for block in model.backbone.blocks],
                    {name: _panels(_after(model.backbone.norm_f, r.proj), lanes) for name, r in symbols.items()},
                ),
            )
    return _made[model][1]


def _layer(block: Block, lanes: int) -> dict[str, Tensor | Panels]:
    mixer = block.mixer
    if isinstance(mixer, Attention):
        return _attention(block, mixer, lanes)
    assert isinstance(mixer, Mamba1 | Mamba2)
    inner: dict[str, Tensor | Panels] = {
        "in": _panels(_after(block.norm, mixer.in_proj), lanes),
        "conv_weight": mixer.conv1d.weight[:, 0].t().contiguous(),
        "conv_bias": _plain(mixer.conv1d.bias),
        "skip": _plain(mixer.D),
    }
    return inner | (_mamba1(mixer, lanes) if isinstance(mixer, Mamba1) else _mamba2(mixer, lanes))


def _mamba1(mixer: Mamba1, lanes: int) -> dict[str, Tensor | Panels]:
    return {
        "x_proj": _panels(mixer.x_proj.weight, lanes),
        "dt_proj": _panels(mixer.dt_proj.weight, lanes),
        "dt_bias": _plain(mixer.dt_proj.bias),
        "decay": in_blocks((-LOG2E * mixer.A_log.exp())[None], lanes)[0],
        "out": _panels(mixer.out_proj.weight, lanes),
    }


def _mamba2(mixer: Mamba2, lanes: int) -> dict[str, Tensor | Panels]:
    out = mixer.out_proj.weight * mixer.norm.weight
    by_group = out.unflatten(1, (mixer.groups, -1)).transpose(0, 1)  # (groups, width, inner / groups)
    return {
        "dt_bias": _plain(mixer.dt_bias),
        "decay": -LOG2E * mixer.A_log.exp(),
        "out": _panels(by_group, lanes),
    }


def _attention(block: Block, mixer: Attention, lanes: int) -> dict[str, Tensor | Panels]:
    assert block.mlp is not None
    assert block.norm2 is not None
    value, gate = (_rows_in(w, lanes) for w in _after(block.norm2, block.mlp.fc1).chunk(2))
    packed: dict[str, Tensor | Panels] = {
        "in": _panels(_after(block.norm, mixer.in_proj), lanes),
        "out": _panels(mixer.out_proj.weight, lanes),
        "fc1": _panels(torch.stack((value, gate), 1).flatten(0, 2), lanes),  # LANES values, LANES gates, ...
        "fc2": _panels(block.mlp.fc2.weight, lanes),
    }
    if mixer.q_norm is not None and mixer.k_norm is not None:
        packed["qk_norm"] = torch.stack((mixer.q_norm.weight, mixer.k_norm.weight))
    return packed


def _after(norm: nn.Module, layer: nn.Linear) -> Tensor:
    """W diag(w): W RMSNorm(x) is that times x, over the root mean square of x."""
    assert isinstance(norm, RMSNorm)
    return layer.weight * norm.weight


def _rows_in(weight: Tensor, size: int) -> Tensor:
    """(n, K) -> (ceil(n / size), size, K), padded with zeros."""
    return F.pad(weight, (0, 0, 0, -len(weight) % size)).unflatten(0, (-1, size))


def _panels(weight: Tensor, lanes: int) -> Panels:
    """(outputs, inner), or (number, outputs, inner)."""
    outputs, inner = weight.shape[-2:]
    padded = F.pad(weight.reshape(-1, outputs, inner), (0, 0, 0, -outputs % (2 * lanes)))
    return Panels(padded.unflatten(1, (-1, 2 * lanes)).transpose(2, 3).contiguous(), outputs, inner)


def in_blocks(state: Tensor, lanes: int) -> Tensor:
    """(B, D, N) -> (B, ceil(D / lanes), N, lanes): vectors over neighbouring channels, padded with zeros."""
    return F.pad(state, (0, 0, 0, -state.shape[1] % lanes)).unflatten(1, (-1, lanes)).transpose(2, 3).contiguous()


def _plain(parameter: Tensor | None) -> Tensor:
    assert parameter is not None
    return parameter.detach().contiguous()
