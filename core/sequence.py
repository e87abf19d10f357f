"""What a token is made of (`Field`, `TokenSpec`) and one record as tokens (`Sequence`).

A token has one or several channels, its *fields*. Each is a symbol of a vocabulary or a real vector, and has a role:
`target` is predicted, `given` is context only, `known_ahead` is context that is known for the step to be predicted as
well (a calendar). A Sequence holds raw values; BOS, EOS, PAD, scaling and patches are made with the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from numpy.typing import NDArray

from core.errors import ConfigError, InputError
from core.vocabulary import Vocabulary

Array = NDArray[Any]


class Role(StrEnum):
    """What a model does with a field."""

    TARGET = "target"
    GIVEN = "given"
    KNOWN_AHEAD = "known_ahead"


@dataclass(frozen=True)
class Field:
    """One channel of a token: either symbols of a vocabulary or real vectors of a width."""

    name: str
    vocabulary: Vocabulary | None = None
    """Set for a symbol field: arrays are (T,) unsigned integers."""
    width: int = 0
    """Set for a real field: arrays are (T, width) floats."""
    role: Role = Role.TARGET

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ConfigError(f"field name {self.name!r} is not an identifier")
        if (self.vocabulary is None) == (self.width < 1):
            raise ConfigError(f"field '{self.name}' needs either a vocabulary or a width of at least 1")

    @property
    def is_symbol(self) -> bool:
        return self.vocabulary is not None

    @property
    def is_target(self) -> bool:
        return self.role is Role.TARGET

    def to_config(self) -> dict[str, Any]:
        kind = {"symbols": list(self.vocabulary.symbols)} if self.vocabulary else {"width": self.width}
        return {"name": self.name, "role": self.role.value, **kind}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Field:
        vocabulary = Vocabulary(tuple(config["symbols"])) if "symbols" in config else None
        return cls(str(config["name"]), vocabulary, int(config.get("width", 0)), Role(config["role"]))


def symbol(name: str, vocabulary: Vocabulary, role: Role = Role.TARGET) -> Field:
    return Field(name, vocabulary=vocabulary, role=role)


def real(name: str, width: int, role: Role = Role.TARGET) -> Field:
    return Field(name, width=width, role=role)


@dataclass(frozen=True)
class TokenSpec:
    """The fields of a token, at least one of them a target."""

    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        names = [f.name for f in self.fields]
        if len(set(names)) != len(names):
            raise ConfigError(f"two fields of the token have the same name: {names}")
        if not self.targets:
            raise ConfigError(f"no field of {names} is a target: there is nothing to predict")

    def __getitem__(self, name: str) -> Field:
        for f in self.fields:
            if f.name == name:
                return f
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.fields)

    @property
    def targets(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.is_target)

    @property
    def symbol_target(self) -> Field:
        """The only target where a token is one symbol. Raises ConfigError for any other spec."""
        if len(self.targets) != 1 or not self.targets[0].is_symbol:
            raise ConfigError(f"this needs one symbol target, the token has {[f.name for f in self.targets]}")
        return self.targets[0]

    def extends(self, other: TokenSpec) -> bool:
        """Whether a store of `other` reads the same under this spec: same fields, each vocabulary equal or grown."""

        def grown(mine: Field, theirs: Field) -> bool:
            if (mine.name, mine.role, mine.width, mine.is_symbol) != (
                theirs.name,
                theirs.role,
                theirs.width,
                theirs.is_symbol,
            ):
                return False
            return mine.vocabulary is None or theirs.vocabulary is None or mine.vocabulary.extends(theirs.vocabulary)

        return len(self.fields) == len(other.fields) and all(map(grown, self.fields, other.fields))

    def to_config(self) -> list[dict[str, Any]]:
        return [f.to_config() for f in self.fields]

    @classmethod
    def from_config(cls, config: list[Mapping[str, Any]]) -> TokenSpec:
        return cls(tuple(Field.from_config(f) for f in config))


def Symbols(vocabulary: Vocabulary) -> TokenSpec:
    """The usual spec of a symbol sequence: one target field called `tokens`."""
    return TokenSpec((symbol("tokens", vocabulary),))


def Vectors(width: int) -> TokenSpec:
    """The usual spec of a real-valued sequence: one target field called `values`."""
    return TokenSpec((real("values", width),))


@dataclass
class Sequence:
    """One record as tokens.

    Args:
        arrays: per field, (T,) unsigned integers for symbols or (T, width) floats for real values.
        id: the record's name, unique within a store.
        observed: per field where anything is missing, a bool array of the field's shape; True where the value is there.
        loss_mask: per target field where not every token counts, (T,) bool; True where the token is predicted.
        group: records of one group never stand on two sides of a split.
        labels: one value per name for the whole record.
        token_labels: (T,) values per name.

    Raises InputError where the arrays' lengths disagree.
    """

    arrays: dict[str, Array]
    id: str = ""
    observed: dict[str, Array] = field(default_factory=dict)
    loss_mask: dict[str, Array] = field(default_factory=dict)
    group: str | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    token_labels: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {
            f"{what}/{name}": len(array)
            for what, arrays in (
                ("fields", self.arrays),
                ("observed", self.observed),
                ("loss_mask", self.loss_mask),
                ("token_labels", self.token_labels),
            )
            for name, array in arrays.items()
        }
        if len(set(lengths.values())) > 1:
            raise InputError(f"record '{self.id}': its arrays have different lengths: {lengths}")

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def slice(self, start: int, stop: int) -> Sequence:
        """Tokens [start, stop) with everything that belongs to the record as a whole."""
        return Sequence(
            {name: a[start:stop] for name, a in self.arrays.items()},
            self.id,
            {name: a[start:stop] for name, a in self.observed.items()},
            {name: a[start:stop] for name, a in self.loss_mask.items()},
            self.group,
            self.labels,
            {name: a[start:stop] for name, a in self.token_labels.items()},
        )
