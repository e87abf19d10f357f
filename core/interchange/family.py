"""What a family is: the contract between one class of another library and the code that reads and writes folders.

A family knows configs and names only, no tensor: it is checked against the weights' shapes before any is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from core.interchange.keys import Keys
from core.nn.config import ModelConfig


@dataclass(frozen=True)
class Layout:
    """Where each of our weights stands in their file."""

    embedding: str
    """(V, D)."""
    readout: str
    """(V, D), the matrix that makes logits."""
    final_norm: str
    layer: str
    """What their names of layer i begin with, `{}` standing for i."""
    tensors: Mapping[str, tuple[tuple[str, int], ...]]
    """Our name inside a block to theirs inside a layer with their rows (0: all); ours is theirs one upon the other."""
    older: Mapping[str, str] = field(default_factory=dict)
    """Names that earlier versions of the library wrote, to those of today."""
    ignored: tuple[str, ...] = ()
    """Ends of names of buffers that hold nothing learned."""

    def places(self, layers: int) -> Iterator[tuple[str, tuple[tuple[str, int], ...]]]:
        """Names of our backbone's weights with their places."""
        for i in range(layers):
            prefix = self.layer.format(i)
            for ours, theirs in self.tensors.items():
                yield f"layers.{i}.{ours}", tuple((prefix + name, rows) for name, rows in theirs)
        yield "norm_f.weight", ((self.final_norm, 0),)


def same_names(*names: str) -> dict[str, tuple[tuple[str, int], ...]]:
    """Tensors that are called alike on both sides and have the same rows."""
    return {name: ((name, 0),) for name in names}


@dataclass(frozen=True)
class Shape:
    """What a config.json says of the model."""

    config: ModelConfig
    ids: int
    """V, ids that mean something."""
    rows: int
    """Rows of the embedding: V and perhaps some that only fill it up."""
    tied: bool = False
    """Whether the readout is the embedding; it may then be missing from the file."""
    absent: tuple[str, ...] = ()
    """Our names inside a block of biases that they do not have: they are zero."""


class Family(Protocol):
    """One class of another library."""

    architecture: str
    """Its name."""
    mixers: str
    """The letters of the patterns that it can have; a model of it has one of them throughout."""

    def against(self, config: ModelConfig) -> list[str]:
        """The reasons why this class cannot be a model of `config`; none where it can."""
        ...

    def write_config(self, config: ModelConfig, ids: int) -> dict[str, Any]:
        """config.json of a model that it can express, of `ids` ids."""
        ...

    def read_config(self, keys: Keys) -> Shape:
        """Asks `keys` for what the shape needs and tells it what cannot be expressed.

        Raises InputError, or ConfigError for values that no ModelConfig can have.
        """
        ...

    def layout(self, config: ModelConfig) -> Layout: ...
