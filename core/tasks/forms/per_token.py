"""Answers that are a letter for each natural unit of the sequence."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError
from core.tasks.forms.task import Allowed, Steps, Task, class_name


@dataclass(frozen=True)
class PerToken(Task):
    """A letter for each natural unit: secondary structure, exposed or buried, exon or intron."""

    alphabet: str = ""
    """Its letters; learned from the training labels where not given."""
    piece: int = 0
    """Longer sequences are asked in stretches of at most so many units, and the answers put together again; 0: whole.
    An answer is as long as its sequence: of a gene of 100,000 bases none is learned or given in one go."""

    kind: ClassVar[str] = "per_token"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.piece, bool) or not isinstance(self.piece, int) or self.piece < 0:
            raise ConfigError(
                f"tasks.{self.name}.piece: got {self.piece!r}, allowed: units of a stretch, or 0 for whole sequences"
            )

    def stretches(self, length: int) -> list[tuple[int, int]]:
        """(start, stop) of what is asked at once of a sequence of `length` units. All but the last are of one length:
        a unit and its letter are always as far apart, which a model finds sooner than it learns to count."""
        ends = [*range(0, length, self.piece), length] if self.piece and length else [0, length]
        return list(pairwise(ends))

    def to_config(self) -> dict[str, Any]:
        """Without `piece` where sequences are whole: tokenizers older than the key stay what they are."""
        return {key: value for key, value in super().to_config().items() if key != "piece" or value}

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(f"<{self.name}={a}>" for a in self.alphabet)

    def fit(self, labels: Many[str], longest: int) -> Self:
        found = self.alphabet or "".join(sorted(set().union(*map(set, labels))))
        if len(found) < 2:
            raise ConfigError(
                f"task '{self.name}': the training labels hold {len(found)} different letters, expected at least two"
            )
        return replace(self, alphabet=found)

    def parse(self, label: Any, length: int) -> str:
        if np.ndim(label):
            text = self.parse_units(np.asarray(label))
        else:
            text = class_name(label)
        text = text.replace(",", "")
        if len(text) != length:
            raise self.bad_label(
                text if len(text) <= 20 else f"{text[:17]}...",
                f"{length} letters, one for each unit of the sequence; it has {len(text)}",
            )
        return text

    def parse_units(self, values: NDArray[Any]) -> str:
        """Letters from their ASCII codes (uint8), digits from numbers 0 to 9."""
        if values.dtype == np.uint8 and (values >= ord("0")).all():
            return values.tobytes().decode("ascii", "replace")
        numbers = np.asarray(values, np.float64)
        if not np.isin(numbers, np.arange(10)).all():
            raise self.bad_label(numbers[:5].tolist(), "a letter or a whole number from 0 to 9 for each unit")
        return "".join(map(str, numbers.astype(int).tolist()))

    def write(self, value: str, length: int) -> list[str]:
        for at, letter in enumerate(value):
            if letter not in self.alphabet:
                raise RecordError(
                    "unknown_class",
                    f"task '{self.name}': label {letter!r} at unit {at + 1} does not occur in the training part",
                    position=at,
                )
        return [f"<{self.name}={a}>" for a in value]

    def read(self, symbols: Many[str], length: int) -> str | None:
        if len(symbols) != length or any(s not in self.symbols for s in symbols):
            return None
        return "".join(self.alphabet[self.symbols.index(s)] for s in symbols)

    def longest(self, length: int) -> int:
        return length

    def allowed(self, step: Steps, last: Steps, length: Steps) -> Allowed:
        more = step < length
        return np.column_stack([np.repeat(more[:, None], len(self.alphabet), 1), ~more])
