"""Layers to Hägg's symbols: + where the next layer goes on as A to B to C to A, - where it goes back. Every sequence of
them is a crystal; which of the three positions the first layer takes means nothing and comes back as A.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.configured_tokenizer import ConfiguredTokenizer
from core.errors import RecordError
from core.sequence import Sequence, Symbols
from core.vocabulary import SPECIALS, Vocabulary


@dataclass(frozen=True)
class Crystal:
    id: str
    layers: str
    """A, B and C from the substrate upwards."""


@dataclass(frozen=True)
class StepConfig:
    extension: tuple[str, ...] = ()
    """Symbols appended by `extend`."""


class StepTokenizer(ConfiguredTokenizer[Crystal, StepConfig]):
    kind, natural_unit, config_class = "stacking_steps", "layer", StepConfig

    @cached_property
    def spec(self):
        return Symbols(Vocabulary(("+", "-", *self.config.extension)))

    def encode(self, record: Crystal) -> Sequence:
        places = np.frombuffer(record.layers.encode("ascii", "replace"), np.uint8).astype(int) - ord("A")
        steps = np.diff(places) % 3
        bad = (places < 0) | (places > 2)
        bad[1:] |= steps == 0
        if bad.any() or not len(steps):
            at = int(np.argmax(bad)) if bad.any() else 0
            trouble = f"'{record.id}', layer {at}: expected two or more of A, B, C, none on its own kind"
            raise RecordError("not_close_packed", trouble, record=record.id, position=at)
        return Sequence({"tokens": (steps - 1 + len(SPECIALS)).astype(np.uint8)}, record.id)

    def decode(self, sequence: Sequence) -> Crystal:
        steps = sequence.arrays["tokens"].astype(int) - len(SPECIALS) + 1
        return Crystal(sequence.id, "".join("ABC"[place] for place in np.cumsum([0, *steps]) % 3))
