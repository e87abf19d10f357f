"""Muon for hidden matrices and AdamW for the rest, as one optimizer: one `step`, one state dict, one set of groups.

Muon (Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein 2024, "Muon: an optimizer for hidden layers in neural
networks") replaces the momentum of a matrix by the nearest semi-orthogonal matrix, so that all directions are learned
at one rate. The step's size is scaled as in Liu et al. 2025 (arXiv 2502.16982, section 2.2), so that one learning rate
and one weight decay serve both halves. It does not know which parameters are hidden matrices: groups say so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from core.training.precision import multiplies_bf16

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of Jordan et al.'s quintic: they push singular values to about 1 fast rather than to 1 exactly."""

ADAM_RMS = 0.2
"""Root mean square of AdamW's typical update, which Muon's is scaled to (arXiv 2502.16982)."""


SMALL, LONG = 128, 3
"""On CPUs: a short side up to which fp32 is faster than native bfloat16, and how many times as long the other side is
where the way over the Gram matrix is the fastest [measured with AMX]."""


def orthogonalize(matrix: Tensor, iterations: int = 5, epsilon: float = 1e-7) -> Tensor:
    """(m, n) U S V^T -> U V^T, roughly: singular values within about 1/20 of the largest come out in [0.6, 1.3].

    Newton-Schulz on x / |x|: x <- a x + b (x x^T) x + c (x x^T)^2 x, an odd polynomial of the singular values; in
    bfloat16 where that is native, as Jordan et al. do, but for matrices too narrow to gain by it. The result has the
    matrix's dtype.
    """
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.mT if tall else matrix  # the Gram matrix of the short side is the small one
    x = x / (torch.linalg.matrix_norm(x) + epsilon)
    narrow = x.device.type == "cpu" and x.size(0) <= SMALL
    if narrow and x.size(1) >= LONG * x.size(0):
        x = _on_the_gram_matrix(x, iterations)
    else:
        x = _newton_schulz(x.bfloat16() if multiplies_bf16(x.device) and not narrow else x, iterations)
    return (x.mT if tall else x).to(matrix.dtype)


def _newton_schulz(x: Tensor, iterations: int) -> Tensor:
    a, b, c = NEWTON_SCHULZ
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _on_the_gram_matrix(x: Tensor, iterations: int) -> Tensor:
    """As `_newton_schulz`. Each of its steps is x <- p x with a polynomial p of g = x x^T, which takes g to p g p: so
    the products of p are made first, on the short side alone, and x is multiplied once."""
    a, b, c = NEWTON_SCHULZ
    gram = x @ x.mT
    product = None
    for number in range(iterations):
        p = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        p.diagonal().add_(a)
        product = p if product is None else p @ product
        if number + 1 < iterations:
            gram = p @ gram @ p
    return x if product is None else product @ x


class MuonAdamW(torch.optim.Optimizer):
    """Steps the groups with `muon=True` by Muon, those hold matrices only, and the others by torch's AdamW.

    Args:
        groups: parameter groups with `muon`; Muon's have a `momentum` as well.
        options: AdamW's own, and what the groups leave out.
    """

    def __init__(self, groups: list[dict[str, Any]], **options: Any) -> None:
        # AdamW without parameters of its own: it is lent this optimizer's state and its groups at every step
        self._adamw = torch.optim.AdamW([torch.zeros(1)], **options)
        super().__init__(groups, {**self._adamw.defaults, "muon": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._adamw.state = self.state
        self._adamw.param_groups = [group for group in self.param_groups if not group["muon"]]
        self._adamw.step()
        for group in self.param_groups:
            if group["muon"]:
                for p in group["params"]:
                    if p.grad is not None:
                        self._step_matrix(p, group)
        return loss

    def _step_matrix(self, p: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        momentum = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
        update = cast(Tensor, p.grad).lerp(momentum, group["momentum"])  # Nesterov's look ahead
        scale = ADAM_RMS * max(p.shape) ** 0.5
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(_whole(update, orthogonalize), alpha=-group["lr"] * scale)


def _whole(update: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """`function` of a matrix; one that is sharded over processes is gathered first and each keeps its shard after."""
    from torch.distributed.tensor import DTensor, Replicate

    if not isinstance(update, DTensor):
        return function(update)
    replicated = DTensor.from_local(function(update.full_tensor()), update.device_mesh, [Replicate()], run_check=False)
    return replicated.redistribute(placements=update.placements)
