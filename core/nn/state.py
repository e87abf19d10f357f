"""What a model carries from one token to the next: a state per mixer, and the rows' positions.

Every state can `select` rows (in any order, repeated), `reset` rows to "nothing before", `put` rows of another state in
their place, and `clone`. `forward` returns a new state and leaves the old one as it was; `step` writes in place, which
is what decoding wants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, Self

from torch import Tensor

if TYPE_CHECKING:
    from core.nn.framing import Frame


class MixerState(Protocol):
    """The state of one mixer for B rows."""

    def select(self, rows: Tensor) -> Self:
        """A new state with `rows` (R,) int64 in that order."""
        ...

    def reset(self, rows: Tensor) -> None:
        """Put `rows` (R,) back to the start, in place."""
        ...

    def put(self, rows: Tensor, state: Self) -> None:
        """Replace `rows` (R,) by those of `state`, in place."""
        ...

    def clone(self) -> Self: ...


@dataclass
class RecurrentState:
    """State of a Mamba mixer: the last inputs of the convolution and the state-space state.

    Args:
        conv: (B, d_conv - 1, channels), oldest first.
        ssm: (B, d_inner, N) for Mamba-1, (B, H, P, N) for Mamba-2, float32.
    """

    conv: Tensor
    ssm: Tensor

    def select(self, rows: Tensor) -> RecurrentState:
        return RecurrentState(self.conv[rows], self.ssm[rows])

    def reset(self, rows: Tensor) -> None:
        self.conv[rows] = 0
        self.ssm[rows] = 0

    def put(self, rows: Tensor, state: RecurrentState) -> None:
        self.conv[rows] = state.conv
        self.ssm[rows] = state.ssm

    def clone(self) -> RecurrentState:
        return RecurrentState(self.conv.clone(), self.ssm.clone())


@dataclass
class AttentionState:
    """Preallocated keys and values. Slot j holds the latest position p with p % slots == j (a ring under a window).

    Args:
        keys: (B, G, slots, C), already rotated; values likewise. G key heads of C channels.
        position: (B,) int64, tokens seen by each row.
        seen: the highest of them, known without looking into the tensor.
        even: whether all rows are known to stand at `seen`; then no mask is needed.
        limit: tokens that a row may hold; None for a ring, which forgets.
    """

    keys: Tensor
    values: Tensor
    position: Tensor
    seen: int = 0
    even: bool = True
    limit: int | None = None

    def select(self, rows: Tensor) -> AttentionState:
        chosen = replace(self, keys=self.keys[rows], values=self.values[rows], position=self.position[rows])
        if not chosen.even:
            chosen._count()
        return chosen

    def reset(self, rows: Tensor) -> None:
        self.position[rows] = 0
        self._count()

    def put(self, rows: Tensor, state: AttentionState) -> None:
        self.keys[rows], self.values[rows], self.position[rows] = state.keys, state.values, state.position
        self._count()

    def _count(self) -> None:
        self.seen = int(self.position.max()) if len(self.position) else 0
        self.even = bool((self.position == self.seen).all())

    def clone(self) -> AttentionState:
        return replace(self, keys=self.keys.clone(), values=self.values.clone(), position=self.position.clone())


@dataclass
class ModelState:
    """All that a SequenceModel carries for B rows.

    Args:
        layers: one state per block.
        position: (B,) int64, tokens seen by each row.
        recent: per field with n-grams, its last input ids (B, max(n) - 1), oldest first, PAD before the start.
        reals: per real field what its framing carries: tensors with rows first, all zeros before the start.
        frames: per real field the frame of the position that `step` read last.
    """

    layers: list[MixerState]
    position: Tensor
    recent: dict[str, Tensor]
    reals: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    frames: dict[str, Frame] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        return len(self.position)

    def _by_row(self) -> dict[tuple[str, ...], Tensor]:
        """All that lies beside the layers, rows first."""
        found: dict[tuple[str, ...], Tensor] = {("position",): self.position}
        found |= {("recent", name): ids for name, ids in self.recent.items()}
        return found | {("reals", name, key): t for name, state in self.reals.items() for key, t in state.items()}

    def _with(self, layers: list[MixerState], change: Callable[[Tensor], Tensor]) -> ModelState:
        recent = {name: change(ids) for name, ids in self.recent.items()}
        reals = {name: {key: change(t) for key, t in state.items()} for name, state in self.reals.items()}
        return ModelState(layers, change(self.position), recent, reals)

    def select(self, rows: Tensor) -> ModelState:
        """A new state with `rows` (R,) int64 in that order; rows may repeat."""
        return self._with([layer.select(rows) for layer in self.layers], lambda t: t[rows])

    def reset(self, rows: Tensor) -> None:
        """Put `rows` (R,) back to the start, in place."""
        for layer in self.layers:
            layer.reset(rows)
        for tensor in self._by_row().values():
            tensor[rows] = 0

    def put(self, rows: Tensor, state: ModelState) -> None:
        """Replace `rows` (R,) by those of `state`, which has room for as many tokens, in place."""
        for layer, other in zip(self.layers, state.layers, strict=True):
            layer.put(rows, other)
        theirs = state._by_row()
        for name, tensor in self._by_row().items():
            tensor[rows] = theirs[name]

    def clone(self) -> ModelState:
        return self._with([layer.clone() for layer in self.layers], Tensor.clone)
