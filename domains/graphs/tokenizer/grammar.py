"""The automata of walks: indices in range, no edge twice, sections and labels in order, every sequence cut in time.

A state holds a few numbers and tables a row, so all rows of a batch move at once. `length` leaves room for what a begun
node or edge still needs. Knows the alphabet and nothing of graphs' families: planarity is the model's own affair.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from core.vocabulary import EOS
from domains.graphs.tokenizer.alphabet import Alphabet, Kind

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class WalkState:
    """Tensors whose first axis is the row."""

    count: Tensor
    """(B,) nodes so far."""
    used: Tensor
    """(B,) tokens so far."""
    due: Tensor
    """(B,) what must come next: 0 anything, else the Kind of a label or arrow."""

    def _map(self, change: Any) -> Self:
        return type(self)(*(change(getattr(self, f.name)) for f in fields(self)))

    def select(self, rows: Tensor) -> Self:
        return self._map(lambda t: t[rows])

    def reset(self, rows: Tensor) -> Self:
        fresh = self.clone()
        for f in fields(self):
            getattr(fresh, f.name)[rows] = self.initial().get(f.name, 0)
        return fresh

    def clone(self) -> Self:
        return self._map(lambda t: t.clone())

    @staticmethod
    def initial() -> dict[str, int]:
        """What is not 0 at the start."""
        return {}


State = TypeVar("State", bound=WalkState)


class WalkGrammar(Generic[State]):
    """What the three have in common.

    Args:
        alphabet: the symbols.
        labels: whether nodes, and whether edges have labels.
        nodes: how many a graph has at most.
        length: how many tokens a sequence has at most; None for any number.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        *,
        labels: tuple[bool, bool],
        nodes: int,
        length: int | None,
        self_loops: bool = False,
        multi_edges: bool = False,
        directed: bool = False,
    ) -> None:
        self.alphabet, self.node_label, self.edge_label = alphabet, *labels
        self.nodes, self.length = nodes, length
        self.self_loops, self.multi_edges, self.directed = self_loops, multi_edges, directed
        self.node = alphabet.first[Kind.NODE]

    def _kinds(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) kinds and (B,) numbers of tokens."""
        import torch

        kinds, values = torch.from_numpy(self.alphabet.kinds), torch.from_numpy(self.alphabet.values)
        return kinds[tokens], values[tokens]

    def _nothing(self, state: WalkState) -> Tensor:
        import torch

        return torch.zeros((len(state.count), len(self.alphabet)), dtype=torch.bool)

    def _room(self, state: WalkState, tokens: int | Tensor) -> Tensor:
        """(B,) whether so many more tokens fit."""
        import torch

        if self.length is None:
            return torch.ones(len(state.count), dtype=torch.bool)
        return state.used + tokens <= self.length

    def _only_due(self, allowed: Tensor, state: WalkState) -> Tensor:
        """Where a label or an arrow must come, nothing but that."""
        for kind in (Kind.NODE_LABEL, Kind.EDGE_LABEL, Kind.ARROW):
            rows = state.due == kind
            if rows.any():
                first = self.alphabet.first[kind]
                allowed[rows] = False
                allowed[rows, first : first + self.alphabet.size[kind]] = True
        return allowed


@dataclass
class SentState(WalkState):
    last: Tensor
    """(B,) key of the newest node's last reference: 2 * node, 1 more for one to it; the next must be lower."""


class SentGrammar(WalkGrammar[SentState]):
    """Nodes in turn, each with references to ever older ones."""

    def start(self, batch: int) -> SentState:
        import torch

        return SentState(*(torch.zeros(batch, dtype=torch.int64) for _ in range(4)))

    def allowed(self, state: SentState) -> Tensor:
        import torch

        allowed, first, size = self._nothing(state), self.alphabet.first, self.alphabet.size
        rows = torch.arange(len(allowed))
        more = (state.count < self.nodes) & self._room(state, 1 + self.node_label)
        allowed[rows[more], self.node + state.count[more]] = True
        earlier = torch.arange(size[Kind.BACK])
        there = self._room(state, 1 + self.edge_label)[:, None] & (earlier < state.count[:, None])
        limit = (state.last + self.multi_edges)[:, None]
        allowed[:, first[Kind.BACK] : first[Kind.BACK] + size[Kind.BACK]] = there & (2 * earlier + 1 < limit)
        if size[Kind.INTO]:
            apart = earlier < state.count[:, None] - 1
            allowed[:, first[Kind.INTO] : first[Kind.INTO] + size[Kind.INTO]] = there & apart & (2 * earlier < limit)
        allowed[:, EOS] = state.count > 0
        return self._only_due(allowed, state)

    def advance(self, state: SentState, tokens: Tensor) -> SentState:
        import torch

        kinds, values = self._kinds(tokens)
        node, back = kinds == Kind.NODE, kinds == Kind.BACK
        edge = back | (kinds == Kind.INTO)
        count = state.count + node
        last = torch.where(edge, 2 * values + back, state.last)
        # Behind a new node everything older is allowed, and the node itself where loops are.
        last = torch.where(node, 2 * count - (0 if self.self_loops else 2), last)
        due = torch.where(node & self.node_label, int(Kind.NODE_LABEL), 0)
        due = torch.where(edge & self.edge_label, int(Kind.EDGE_LABEL), due)
        return SentState(count, state.used + 1, due, last)


@dataclass
class EdgesState(WalkState):
    section: Tensor
    """(B,) 0 among the nodes, 1 among the edges."""
    half: Tensor
    """(B,) the first node of an edge begun, -1 for none."""
    joined: Tensor
    """(B, N, N) bool: pairs that may not come again."""

    @staticmethod
    def initial() -> dict[str, int]:
        return {"half": -1}


class EdgesGrammar(WalkGrammar[EdgesState]):
    """Nodes in turn, the mark, then pairs of them."""

    def start(self, batch: int) -> EdgesState:
        import torch

        count, used, due, section, half = (torch.zeros(batch, dtype=torch.int64) for _ in range(5))
        joined = torch.zeros((batch, self.nodes, self.nodes), dtype=torch.bool)
        return EdgesState(count, used, due, section, half - 1, joined)

    def allowed(self, state: EdgesState) -> Tensor:
        import torch

        allowed = self._nothing(state)
        rows, number = torch.arange(len(allowed)), torch.arange(self.nodes)
        first = state.section == 0
        more = first & (state.count < self.nodes) & self._room(state, 2 + self.node_label)
        allowed[rows[more], self.node + state.count[more]] = True
        allowed[:, self.alphabet.first[Kind.MARK]] = first & (state.count > 0)
        there = number < state.count[:, None]
        free = ~state.joined & there[:, :, None] & there[:, None, :]
        if not self.self_loops:
            free &= ~torch.eye(self.nodes, dtype=torch.bool)
        begun = state.half >= 0
        second = free[rows, state.half.clamp(min=0)]
        pairs = torch.where(begun[:, None], second, free.any(2) & self._room(state, 2 + self.edge_label)[:, None])
        inside = allowed[:, self.node : self.node + self.nodes]
        inside |= pairs & ~first[:, None]
        allowed[:, EOS] = ~first & ~begun
        return self._only_due(allowed, state)

    def advance(self, state: EdgesState, tokens: Tensor) -> EdgesState:
        import torch

        kinds, values = self._kinds(tokens)
        first, node = state.section == 0, kinds == Kind.NODE
        ends = ~first & node & (state.half >= 0)
        joined = state.joined
        if ends.any() and not self.multi_edges:
            joined = joined.clone()
            rows, u, v = torch.arange(len(tokens))[ends], state.half[ends], values[ends]
            joined[rows, u, v] = True
            if not self.directed:
                joined[rows, v, u] = True
        half = torch.where(~first & node, torch.where(state.half < 0, values, -1), state.half)
        due = torch.where(first & node & self.node_label, int(Kind.NODE_LABEL), 0)
        due = torch.where(ends & self.edge_label, int(Kind.EDGE_LABEL), due)
        section = torch.where(kinds == Kind.MARK, 1, state.section)
        return EdgesState(state.count + (first & node), state.used + 1, due, section, half, joined)


@dataclass
class EulerState(WalkState):
    here: Tensor
    """(B,) the node of the walk, by the order of appearance; -1 before a part's first node."""
    shift: Tensor
    """(B,) the number of the first node."""
    labels: Tensor
    """(B,) labels of edges that are due once what is due now has come."""
    first: Tensor
    """(B,) whether the step just made is along a new edge."""
    loop: Tensor
    """(B,) whether it leads to where it started."""
    joined: Tensor
    """(B, N, N) bool: pairs that were walked along."""

    @staticmethod
    def initial() -> dict[str, int]:
        return {"here": -1}


class EulerGrammar(WalkGrammar[EulerState]):
    """Nodes named before or the next one, part after part."""

    def __init__(self, alphabet: Alphabet, *, cyclic: bool, **options: Any) -> None:
        super().__init__(alphabet, **options)
        self.cyclic, self.numbers = cyclic, alphabet.size[Kind.NODE]
        self.first_step = 1 + self.directed + self.edge_label
        """Tokens of a step along a new edge at least, without the label of a new node."""

    def start(self, batch: int) -> EulerState:
        import torch

        count, used, due, here, shift, labels, first, loop = (torch.zeros(batch, dtype=torch.int64) for _ in range(8))
        joined = torch.zeros((batch, self.nodes, self.nodes), dtype=torch.bool)
        return EulerState(count, used, due, here - 1, shift, labels, first, loop, joined)

    def allowed(self, state: EulerState) -> Tensor:
        import torch

        allowed = self._nothing(state)
        number = torch.arange(self.numbers)
        rank = (number - state.shift[:, None]) % self.numbers
        count, here = state.count[:, None], state.here[:, None]
        new = (rank == count) & (count < self.nodes)
        old = (rank < count) & (here >= 0)
        if not self.self_loops:
            old &= rank != here
        rows, place = torch.arange(len(allowed))[:, None], rank.clamp(max=self.nodes - 1)
        known = old & state.joined[rows, here.clamp(min=0), place]
        room = self._room(state, self.first_step)[:, None]
        room_new = self._room(state, self.node_label + torch.where(state.here < 0, 1, self.first_step))[:, None]
        nodes = (new & room_new) | (old & room) | (known & self._room(state, 1)[:, None])
        if self.cyclic:
            nodes |= count == 0
        else:
            nodes = torch.where(count == 0, number == 0, nodes)
        allowed[:, self.node : self.node + self.numbers] = nodes
        going = state.here >= 0
        jump = going & (state.count < self.nodes) & self._room(state, 2 + self.node_label)
        allowed[:, self.alphabet.first[Kind.MARK]] = jump
        allowed[:, EOS] = going
        return self._only_due(allowed, state)

    def advance(self, state: EulerState, tokens: Tensor) -> EulerState:
        import torch

        kinds, values = self._kinds(tokens)
        node, rows = kinds == Kind.NODE, torch.arange(len(tokens))
        shift = torch.where(node & (state.count == 0) & self.cyclic, values, state.shift)
        rank = torch.where(node, (values - shift) % self.numbers, -1)
        new = node & (rank == state.count)
        step = node & (state.here >= 0)
        a = rows[step]
        first, joined = torch.where(node, 0, state.first), state.joined
        if step.any() and (self.directed or self.edge_label):
            u, b = state.here[step], rank[step]
            first[a] = (~joined[a, u, b]).long()
            joined = joined.clone()
            joined[a, u, b] = joined[a, b, u] = True
        arrow = kinds == Kind.ARROW
        labels = torch.where(step & (first > 0) & self.edge_label, 1, state.labels * ~node)
        labels = torch.where(arrow & self.edge_label, 1 + (values == 2).long(), labels)
        # In order: the node's label, then the arrow, then the labels of the edge.
        after_node = new & self.node_label
        pointed = (step | (kinds == Kind.NODE_LABEL)) & (first > 0) & self.directed & ~after_node
        labelled = (labels > 0) & ~after_node & ~pointed
        due = torch.where(after_node, int(Kind.NODE_LABEL), torch.where(pointed, int(Kind.ARROW), 0))
        due = torch.where(labelled, int(Kind.EDGE_LABEL), due)
        labels = labels - labelled.long()
        loop = torch.where(node, (step & (rank == state.here)).long(), state.loop)
        here = torch.where(node, rank, torch.where(kinds == Kind.MARK, -1, state.here))
        return EulerState(state.count + new, state.used + 1, due, here, shift, labels, first, loop, joined)

    def _only_due(self, allowed: Tensor, state: WalkState) -> Tensor:
        """A loop has one arrow only, and two labels need room."""
        allowed = super()._only_due(allowed, state)
        if self.directed and isinstance(state, EulerState):
            arrow = self.alphabet.first[Kind.ARROW]
            loop = ((state.due == Kind.ARROW) & (state.loop > 0))[:, None]
            allowed[:, arrow + 1 : arrow + 3] &= ~loop
            if self.edge_label:
                allowed[:, arrow + 2] &= self._room(state, 3)
        return allowed
