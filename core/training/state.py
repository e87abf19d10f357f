"""A training state as plain named tensors, whole and on the CPU, whatever the number of processes that hold it.

Gathered and given back through torch.distributed.checkpoint, which knows DDP and FSDP: what N processes saved, one
loads. Gathering is a collective: every process calls it, the first gets the tensors, the others get none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor, distribute_tensor

from core.training.ema import AveragedWeights

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
_SEPARATOR = "::"
"""Between a parameter's name and the name of one of its optimizer states; in no module's name."""


@dataclass
class TrainingState:
    """Everything a step changes, as tensors by name."""

    weights: dict[str, Tensor]
    """Parameters and buffers of the network."""
    optimizer: dict[str, Tensor]
    """`parameter::state`, say `model.embed.weight::exp_avg`."""
    averages: dict[str, Tensor] | None
    """Averaged parameters, where the run keeps them."""


def gather_weights(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers; empty on every process but the first."""
    return cast(dict[str, Tensor], get_model_state_dict(network, options=_WHOLE))


def gather(network: nn.Module, optimizer: torch.optim.Optimizer, averages: AveragedWeights | None) -> TrainingState:
    """The whole state, on the first process."""
    nested: Any = get_optimizer_state_dict(network, optimizer, options=_WHOLE)
    flat = {
        f"{parameter}{_SEPARATOR}{name}": value
        for parameter, states in nested.get("state", {}).items()
        for name, value in states.items()
    }
    averaged = None if averages is None else {name: _whole(a) for name, a in averages.averages.items()}
    return TrainingState(gather_weights(network), flat, averaged)


def restore(
    state: TrainingState,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    averages: AveragedWeights | None,
) -> None:
    """Puts a whole state, given on every process, into the network, its fresh optimizer and its averages."""
    options = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    nested: Any = get_optimizer_state_dict(network, optimizer, options=StateDictOptions())
    states: dict[str, dict[str, Tensor]] = {}
    for key, value in state.optimizer.items():
        parameter, _, name = key.partition(_SEPARATOR)
        states.setdefault(parameter, {})[name] = value
    set_optimizer_state_dict(network, optimizer, cast(Any, {**nested, "state": states}), options=_WHOLE)
    # the recipe, not the checkpoint, says how to step: a kernel may exist here that did not there
    for group, recipe in zip(optimizer.param_groups, options, strict=True):
        group.update(recipe)
    set_model_state_dict(network, dict(state.weights), options=_WHOLE)
    if averages is not None and state.averages is not None:
        for name, average in averages.averages.items():
            average.copy_(_like(state.averages[name], average))


def _whole(tensor: Tensor) -> Tensor:
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().cpu()


def _like(whole: Tensor, target: Tensor) -> Tensor:
    if isinstance(target, DTensor):
        return distribute_tensor(whole.to(target.device), target.device_mesh, target.placements)
    return whole
