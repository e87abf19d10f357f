"""Roll-out training: beside the next token, what the model makes when it reads its own predictions must lie right.

A part of each batch's rows is read up to a point; from there the model runs freely, through a differentiable step. What
it makes is compared with what came then, as samples of a distribution, by the maximum mean discrepancy (Gretton et al.
2012, JMLR 13:723): of states alone, and of states together with where they came from. Single errors grow exponentially
in a chaotic system and say nothing after some time; distributions do. After the second stage of PhyxMamba (arXiv
2505.23863). Needs one real target field; only the model's means are fed back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from core.batching.batch import Inputs
from core.config_keys import from_keys
from core.errors import ConfigError
from core.objectives.next_token import NextToken
from core.sequence import Role, TokenSpec

if TYPE_CHECKING:
    from core.batching.batch import Batch
    from core.nn.config import ModelConfig
    from core.nn.model import SequenceModel

BANDWIDTHS = (0.2, 0.5, 0.9, 1.3)
"""Of the rational-quadratic kernels that are summed, in units of the states' deviation; several, since no single width
sees both near and far [after Li et al. 2017, arXiv 1705.08584]."""


@dataclass(frozen=True)
class RollOutConfig:
    """How far the model runs freely, and what that counts."""

    tokens: int = 8
    """Tokens of a free run."""
    context: int = 0
    """Tokens that are read before it; 0: all of the row that the free run leaves."""
    rows: int = 64
    """Rows of the batch that run freely, at most: the first ones, which are in random order."""
    conditional: float = 0.1
    """What the discrepancy of (last state read, state made) pairs counts beside the next token's nats."""
    unconditional: float = 0.1
    """What that of states alone counts."""

    def __post_init__(self) -> None:
        for name, good, allowed in (
            ("tokens", self.tokens >= 1, "a positive whole number"),
            ("context", self.context >= 0, "0 or a positive whole number"),
            ("rows", self.rows >= 2, "a whole number of at least 2"),
            ("conditional", self.conditional >= 0, "0 or a positive number"),
            ("unconditional", self.unconditional >= 0, "0 or a positive number"),
        ):
            if not good:
                raise ConfigError(f"objective.{name}: got {getattr(self, name)!r}, allowed: {allowed}")


class RollOut(NextToken):
    """See the file's head. Options: `RollOutConfig`."""

    def __init__(self, spec: TokenSpec, model: ModelConfig, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(spec, model)
        self.config: RollOutConfig = from_keys(RollOutConfig, options or {}, "objective")
        if len(spec.targets) != 1 or spec.targets[0].is_symbol:
            raise ConfigError(
                f"objective roll_out needs one real target field, the token has {[f.name for f in spec.targets]}"
            )
        self.needs = frozenset({"model"})
        self.target = spec.targets[0]

    def free_running(self, model: SequenceModel, batch: Batch) -> dict[str, Tensor]:
        """`{"mmd_conditional", "mmd"}`, weighted; zeros where the rows are too short to run freely."""
        config, name = self.config, self.target.name
        rows = slice(0, config.rows)
        whole = batch.map(lambda t: t[rows])
        positions = whole.inputs.fields[name].shape[1]
        start = min(config.context or positions, positions - config.tokens)
        if start < 1 or len(whole.targets[name]) < 2:
            return {}
        truth = whole.targets[name][:, start : start + config.tokens]
        counts = whole.loss_mask[name][:, start : start + config.tokens].all(-1).all(-1)
        made = self.run(model, whole.inputs, start)
        made, truth = made[counts], truth[counts]
        if len(made) < 2:
            return {}
        last = whole.targets[name][:, start - 1][counts]
        width = self.target.width
        scale = truth.reshape(-1, width).std(0).clamp(min=1e-6)
        made, truth, last = (x.unflatten(-1, (-1, width)) / scale for x in (made, truth, last))
        found = {}
        if config.unconditional:
            found["mmd"] = config.unconditional * mmd(made.reshape(-1, width), truth.reshape(-1, width))
        if config.conditional:
            origin = last[:, -1:].expand(-1, made.shape[1] * made.shape[2], -1)
            pairs = [torch.cat((origin, x.flatten(1, 2)), -1) for x in (made, truth)]
            by_time = [mmd(pairs[0][:, t], pairs[1][:, t]) for t in range(pairs[0].shape[1])]
            found["mmd_conditional"] = config.conditional * torch.stack(by_time).mean()
        return found

    def run(self, model: SequenceModel, inputs: Inputs, start: int) -> Tensor:
        """Reads positions up to and with `start`, then its own means: (rows, tokens, P C) raw, differentiable."""
        name = self.target.name
        length = inputs.fields[name].shape[1]
        state = model.init_state(len(inputs.fields[name]), length, inputs.fields[name].device)
        read = replace(inputs.map(lambda t: t[:, : start + 1] if t.dim() > 1 else t), lengths=None)
        readings = model.readings(read, state)
        hidden, after = model(read, state)
        made: list[Tensor] = []
        for number in range(self.config.tokens):
            last = hidden.shape[1]
            made.append(readings[name].cut(last - 1, last).mean(hidden[:, -1:]))
            if number + 1 == self.config.tokens:
                break
            at = start + 1 + number
            one = replace(inputs.map(lambda t, a=at: t[:, a : a + 1] if t.dim() > 1 else t), lengths=None)  # type: ignore[misc]
            fields = {**one.fields, name: made[-1]}
            observed = {key: mask for key, mask in one.observed.items() if key != name}
            observed |= self._unknown(one)
            one = replace(one, fields=fields, observed=observed)
            assert after is not None
            readings = model.readings(one, after)
            hidden, after = model(one, after)
        return torch.cat(made, 1)

    def _unknown(self, inputs: Inputs) -> dict[str, Tensor]:
        """Given fields are not known in a free run."""
        return {
            f.name: torch.zeros_like(inputs.fields[f.name], dtype=torch.bool)
            for f in self.spec.fields
            if f.role is Role.GIVEN
        }


def mmd(a: Tensor, b: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of samples (n, d) and (m, d), without bias (Gretton et al. 2012, eq. 3)."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        distance = (x.square().sum(-1)[:, None] + y.square().sum(-1)[None] - 2 * x @ y.T).clamp(min=0)
        return torch.stack([w**2 / (w**2 + distance) for w in BANDWIDTHS]).sum(0)

    def within(x: Tensor) -> Tensor:
        n = len(x)
        return (kernel(x, x).sum() - n * len(BANDWIDTHS)) / (n * (n - 1))

    return within(a) + within(b) - 2 * kernel(a, b).mean()
