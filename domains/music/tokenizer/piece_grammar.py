"""The grammar of pieces over that of single symbols: a piece may come next where its symbols may, one after the other.

The pieces stand in a tree; what the grammar of single symbols forbids is not followed any further down. Knows ids only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from core.vocabulary import SPECIALS

if TYPE_CHECKING:
    from torch import Tensor


class PieceGrammar:
    """States are those of the grammar of single symbols.

    Args:
        single: a grammar of single symbols, whose states are dataclasses of tensors (B, ...).
        spellings: ids of the single symbols of each id behind the specials; the single ones themselves stand first.
        size: V, how many ids there are.
    """

    def __init__(self, single: Any, spellings: Sequence[tuple[int, ...]], size: int) -> None:
        import torch

        self.single, self.size = single, size
        self.singles = len(SPECIALS) + sum(len(piece) == 1 for piece in spellings)
        longest = max(len(piece) for piece in spellings)
        table = np.full((size, longest), -1)
        table[: len(SPECIALS), 0] = np.arange(len(SPECIALS))
        for number, piece in enumerate(spellings, len(SPECIALS)):
            table[number, : len(piece)] = piece
        self.table = torch.from_numpy(table)
        self.levels = _levels(spellings)

    def start(self, batch: int) -> Any:
        return self.single.start(batch)

    def allowed(self, state: Any) -> Tensor:
        import torch

        alone = self.single.allowed(state)[:, : self.singles]
        allowed = torch.zeros((len(alone), self.size), dtype=torch.bool)
        allowed[:, : self.singles] = alone
        rows, above = torch.arange(len(alone)), torch.full((len(alone),), -1)
        following, states = alone, state
        for depth, (parents, symbols, ids) in enumerate(self.levels):
            # Each live (row, node above) with each node below it whose symbol may come next there.
            live, nodes = torch.nonzero((above[:, None] == parents) & following[:, symbols], as_tuple=True)
            if not len(live):
                break
            rows, above = rows[live], nodes
            whole = ids[nodes] > 0
            allowed[rows[whole], ids[nodes[whole]]] = True
            if depth + 1 < len(self.levels):
                states = self.single.advance(states.select(live), symbols[nodes])
                following = self.single.allowed(states)[:, : self.singles]
        return allowed

    def advance(self, state: Any, tokens: Tensor) -> Any:
        import torch

        symbols = self.table[tokens]
        state = self.single.advance(state, symbols[:, 0])
        for more in symbols[:, 1:].T:
            there = more >= 0
            if not there.any():
                break
            moved = self.single.advance(state, more.clamp(min=0))
            pairs = ((getattr(moved, f.name), getattr(state, f.name)) for f in fields(state))
            state = type(state)(*(torch.where(there.view(-1, *[1] * (new.ndim - 1)), new, old) for new, old in pairs))
        return state


def _levels(spellings: Sequence[tuple[int, ...]]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Of each depth of the pieces' tree (N,) each: the node above (-1 for none), the symbol, the id of the piece that
    ends there (0 for none)."""
    import torch

    levels: list[tuple[Tensor, Tensor, Tensor]] = []
    known: dict[tuple[int, ...], int] = {(): -1}
    pieces = {piece: number for number, piece in enumerate(spellings, len(SPECIALS)) if len(piece) > 1}
    for depth in range(1, max((len(piece) for piece in pieces), default=0) + 1):
        prefixes = sorted({piece[:depth] for piece in pieces if len(piece) >= depth})
        rows = [(known[prefix[:-1]], prefix[-1], pieces.get(prefix, 0)) for prefix in prefixes]
        above, symbols, ids = torch.tensor(rows, dtype=torch.int64).T
        levels.append((above, symbols, ids))
        known = {prefix: number for number, prefix in enumerate(prefixes)}
    return levels
