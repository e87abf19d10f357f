"""The symbols of walks over graphs, each of a kind: what it stands for and, of nodes, which one.

Ids: the specials, marks, nodes, references, arrows, labels of nodes, labels of edges, then what `extend` appended. The
kinds are all that grammars and reports need to know; they serve every walk.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.vocabulary import SPECIALS, Vocabulary


class Kind(IntEnum):
    """What a symbol stands for."""

    SPECIAL = 0
    MARK = 1
    """What sets parts of a sequence apart."""
    NODE = 2
    BACK = 3
    """An edge from the newest node to an earlier one; of a directed graph, an arc to it."""
    INTO = 4
    """An arc from an earlier node to the newest one."""
    ARROW = 5
    """Which way the edge just walked over points."""
    NODE_LABEL = 6
    EDGE_LABEL = 7
    OTHER = 8
    """Appended by `extend`: stands in no graph."""


class Alphabet:
    """Which symbols there are.

    Args:
        nodes: how many node indices.
        marks: their names.
        back: whether there are references from the newest node to earlier ones.
        into: whether there are references the other way round as well.
        arrows: names of directions.
        node_labels, edge_labels: the data's own symbols.
        extension: what `extend` appended.
    """

    def __init__(
        self,
        nodes: int,
        *,
        marks: Iterable[str] = (),
        back: bool = False,
        into: bool = False,
        arrows: Iterable[str] = (),
        node_labels: Iterable[str] = (),
        edge_labels: Iterable[str] = (),
        extension: Iterable[str] = (),
    ) -> None:
        parts = {
            Kind.MARK: tuple(marks),
            Kind.NODE: tuple(f"n{i}" for i in range(nodes)),
            Kind.BACK: tuple(f"e{i}" for i in range(nodes)) if back else (),
            Kind.INTO: tuple(f"i{i}" for i in range(nodes)) if into else (),
            Kind.ARROW: tuple(arrows),
            Kind.NODE_LABEL: tuple(f"node={label}" for label in node_labels),
            Kind.EDGE_LABEL: tuple(f"edge={label}" for label in edge_labels),
            Kind.OTHER: tuple(extension),
        }
        self.vocabulary = Vocabulary(tuple(symbol for symbols in parts.values() for symbol in symbols))
        self.first: dict[Kind, int] = {}
        """The id of each kind's first symbol."""
        self.size: dict[Kind, int] = {kind: len(symbols) for kind, symbols in parts.items()}
        at = len(SPECIALS)
        for kind, symbols in parts.items():
            self.first[kind] = at
            at += len(symbols)
        self._labels = {
            kind: {symbol.partition("=")[2]: self.first[kind] + i for i, symbol in enumerate(parts[kind])}
            for kind in (Kind.NODE_LABEL, Kind.EDGE_LABEL)
        }

    def __len__(self) -> int:
        return len(self.vocabulary)

    @cached_property
    def kinds(self) -> NDArray[np.int64]:
        """(V,) the kind of each id."""
        found = np.zeros(len(self), np.int64)
        for kind, first in self.first.items():
            found[first : first + self.size[kind]] = kind
        return found

    @cached_property
    def values(self) -> NDArray[np.int64]:
        """(V,) which one of its kind each id is."""
        found = np.arange(len(self))
        for kind, first in self.first.items():
            found[first : first + self.size[kind]] -= first
        return found

    def label_ids(self, kind: Kind) -> dict[str, int]:
        """Label to id."""
        return self._labels[kind]

    def label(self, kind: Kind, number: int) -> str:
        """The data's own word for label number `number`."""
        return self.vocabulary.symbol(self.first[kind] + number).partition("=")[2]
