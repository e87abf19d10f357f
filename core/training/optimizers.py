"""From a model's parameters to an optimizer: which parameter decays, and which is a hidden matrix.

A factory in `OPTIMIZERS` takes the module to train and the recipe, and gives one torch optimizer whose groups all have
an `lr`; what the rate is at a step is not its business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from core.registry import Registry
from core.training.config import TrainingConfig
from core.training.muon import MuonAdamW

READOUTS = "readouts"
"""Part of a module path under which matrices are not hidden: they touch the symbols (Jordan et al. 2024)."""


def _owners(module: nn.Module) -> dict[str, tuple[Tensor, nn.Module]]:
    """Name to (parameter, the module that holds it) for every trainable parameter, shared ones once."""
    owners: dict[str, tuple[Tensor, nn.Module]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            owners[name] = (parameter, module.get_submodule(name.rpartition(".")[0]))
    return owners


def decays(parameter: Tensor, owner: nn.Module, config: TrainingConfig) -> bool:
    """Whether weight decay touches a parameter: matrices that do not refuse it; embedding tables where asked for."""
    if parameter.ndim < 2 or getattr(parameter, "_no_weight_decay", False):
        return False
    return config.decay_embeddings or not isinstance(owner, nn.Embedding)


def is_hidden_matrix(name: str, parameter: Tensor, owner: nn.Module) -> bool:
    """Whether Muon is meant for a parameter: the weight of a linear map between hidden states."""
    refused = getattr(parameter, "_no_weight_decay", False) or READOUTS in name.split(".")
    return parameter.ndim == 2 and isinstance(owner, nn.Linear) and not refused


def _fused(module: nn.Module) -> bool | None:
    """torch's one-kernel AdamW [2.3 times faster than the loop at 2 M parameters on CPU]; not for sharded tensors."""
    from torch.distributed.tensor import DTensor

    return None if any(isinstance(p, DTensor) for p in module.parameters()) else True


def adamw(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW with two groups: parameters that decay, and those that do not."""
    groups: dict[bool, list[Tensor]] = {True: [], False: []}
    for parameter, owner in _owners(module).values():
        groups[decays(parameter, owner, config)].append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "weight_decay": config.weight_decay * decay} for decay, p in groups.items() if p],
        lr=config.lr,
        betas=config.betas,
        fused=_fused(module),
    )


def muon(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Muon for hidden matrices, AdamW for embeddings, readouts, convolutions, vectors and scalars."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, (parameter, owner) in _owners(module).items():
        key = is_hidden_matrix(name, parameter, owner), decays(parameter, owner, config)
        groups.setdefault(key, []).append(parameter)
    described: list[dict[str, Any]] = [
        {
            "params": parameters,
            "weight_decay": config.weight_decay * decay,
            "muon": hidden,
            "momentum": config.momentum,
        }
        for (hidden, decay), parameters in sorted(groups.items(), key=lambda item: item[0], reverse=True)
    ]
    return MuonAdamW(described, lr=config.lr, betas=config.betas, fused=_fused(module))


OPTIMIZERS: Registry[Callable[[nn.Module, TrainingConfig], torch.optim.Optimizer]] = Registry(
    "optimizer", {"adamw": adamw, "muon": muon}
)
