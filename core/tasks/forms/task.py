"""What all forms of answers have in common, and how cells of a table are read as labels.

A form knows its symbols, writes a label in them, reads it back, and says which of them may come next. It knows labels
and lengths in natural units, no ids and no tokenizer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence as Many
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError

Steps = NDArray[np.int64]
"""(R,) one a row of a batch."""
Allowed = NDArray[np.bool_]
"""(R, S + 1): the task's symbols in their order, then the end of sequence."""

_SEPARATORS = re.compile(r"[\s,;|]+")


@dataclass(frozen=True)
class Task:
    """What all forms have in common."""

    name: str
    """Its token is `<NAME>`."""
    column: str = ""
    """The label of a record that is its answer; the name where not given."""

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ConfigError(f"tasks: {self.name!r} is no name of a task; expected letters, digits and '_'")
        if not self.column:
            object.__setattr__(self, "column", self.name)

    @property
    def token(self) -> str:
        return f"<{self.name}>"

    @property
    def symbols(self) -> tuple[str, ...]:
        """Those that answers are written in; tasks may share them."""
        raise NotImplementedError

    @property
    def needs_fit(self) -> bool:
        return not self.symbols

    def fit(self, labels: Many[Any], longest: int) -> Self:
        """Learns from the training labels what is not given.

        Args:
            longest: natural units of the longest training record.
        """
        return self

    def parse(self, label: Any, length: int) -> Any:
        """The label as a value. Raises RecordError where it is none for a record of `length` natural units."""
        raise NotImplementedError

    def parse_units(self, values: NDArray[Any]) -> Any:
        """A label for each natural unit (L,), as a domain keeps them, as a value of the task.

        Raises RecordError where the form has no use for such labels.
        """
        raise self.bad_label(f"of {len(values)} values", f"one label for the whole record, as {self.kind} has it")

    def write(self, value: Any, length: int) -> list[str]:
        """A value that `parse` gave, in symbols. Raises RecordError where it was never seen in training."""
        raise NotImplementedError

    def read(self, symbols: Many[str], length: int) -> Any | None:
        """The value back; None where the symbols are no answer of this form."""
        raise NotImplementedError

    def clips(self, value: Any) -> bool:
        """Whether `write` changes the value by more than its rounding: that is allowed, and counted."""
        return False

    def longest(self, length: int) -> int:
        """Tokens of an answer at most, its end not counted."""
        raise NotImplementedError

    def allowed(self, step: Steps, last: Steps, length: Steps) -> Allowed:
        """What may come next.

        Args:
            step: answer tokens so far.
            last: the number of the last one in `symbols`, -1 before the first.
            length: natural units of the sequence.
        """
        raise NotImplementedError

    def to_config(self) -> dict[str, Any]:
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {"kind": self.kind, **plain}

    def bad_label(self, label: Any, expected: str) -> RecordError:
        return RecordError("bad_label", f"task '{self.name}': label {label!r}, expected {expected}")


def texts(value: Any) -> tuple[str, ...]:
    return tuple(str(v) for v in value) if not isinstance(value, str) else tuple(_SEPARATORS.split(value.strip()))


def class_name(label: Any) -> str:
    """Whole numbers lose their `.0`: a column of 0 and 1 with gaps is read as floats."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label).strip()


def is_missing(label: Any) -> bool:
    """None, NaN or an empty text."""
    return label is None or (isinstance(label, float) and math.isnan(label)) or (isinstance(label, str) and not label)
