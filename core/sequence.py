"""What a token is made of (`Field`, `TokenSpec`) and one record as tokens (`Sequence`).

A token has one or several channels, its *fields*. Each is a symbol of a vocabulary or a real vector, and has a role:
`target` is predicted, `given` is context only, `known_ahead` is context that is known for the step to be predicted as
well (a calendar). A Sequence holds raw values step by step; BOS, EOS, PAD and patches are made with the batch, scaling
and delays by the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from numpy.typing import NDArray

from core.errors import ConfigError, InputError
from core.scaling import Scaling
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
    scaling: Scaling | None = None
    """Of a real field: how its values are brought to unit size; None where they are read as they are."""
    delays: int = 1
    """Of a real field: m, how many past values of each channel are read at once (delay embedding, Takens 1981)."""
    lag: int = 1
    """Of a real field: tau, the steps from one of them to the next."""
    by_channel: bool = False
    """Of the only target, a real one: each channel becomes a token of its own, all of a patch side by side (Timer-XL,
    arXiv 2410.04803)."""
    read: bool = True
    """Whether a model reads the field. An *unread target* is predicted alone: what follows does not see it (an action
    that is not to be copied from the one before). An unread given field is kept with the record and used by nothing."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ConfigError(f"field name {self.name!r} is not an identifier")
        if (self.vocabulary is None) == (self.width < 1):
            raise ConfigError(f"field '{self.name}' needs either a vocabulary or a width of at least 1")
        if self.is_symbol and (self.scaling is not None or self.delays != 1):
            raise ConfigError(f"field '{self.name}' is of symbols: it has no scaling and no delays")
        if self.by_channel and (self.is_symbol or not self.is_target):
            raise ConfigError(f"field '{self.name}': only a real target can be read channel by channel")
        if not self.read and (self.role is Role.KNOWN_AHEAD or self.has_memory or self.by_channel):
            raise ConfigError(
                f"field '{self.name}' is not read: it can be neither known ahead, nor read channel by channel, nor "
                "scaled or delayed by what came before"
            )
        if self.delays < 1 or self.lag < 1:
            raise ConfigError(f"field '{self.name}': delays {self.delays} and lag {self.lag} must be at least 1")
        given = self.scaling.scale if self.scaling is not None else ()
        if given and len(given) != self.width:
            raise ConfigError(f"field '{self.name}' has {self.width} channels, but {len(given)} scales")

    @property
    def is_symbol(self) -> bool:
        return self.vocabulary is not None

    @property
    def has_memory(self) -> bool:
        """Whether a reading of it, or what its predictions are relative to, depends on earlier steps of it."""
        scaling = self.scaling
        return self.delays > 1 or (scaling is not None and (scaling.kind == "running" or scaling.residual))

    @property
    def is_target(self) -> bool:
        return self.role is Role.TARGET

    def to_config(self) -> dict[str, Any]:
        kind: dict[str, Any] = {"symbols": list(self.vocabulary.symbols)} if self.vocabulary else {"width": self.width}
        if self.scaling is not None:
            kind["scaling"] = self.scaling.to_config()
        if self.delays > 1:
            kind |= {"delays": self.delays, "lag": self.lag}
        if self.by_channel:
            kind["by_channel"] = True
        if not self.read:
            kind["read"] = False
        return {"name": self.name, "role": self.role.value, **kind}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Field:
        vocabulary = Vocabulary(tuple(config["symbols"])) if "symbols" in config else None
        scaling = Scaling.from_config(config["scaling"]) if "scaling" in config else None
        width, delays, lag = (int(config.get(key, usual)) for key, usual in (("width", 0), ("delays", 1), ("lag", 1)))
        by_channel, read = bool(config.get("by_channel", False)), bool(config.get("read", True))
        return cls(str(config["name"]), vocabulary, width, Role(config["role"]), scaling, delays, lag, by_channel, read)


def symbol(name: str, vocabulary: Vocabulary, role: Role = Role.TARGET, *, read: bool = True) -> Field:
    return Field(name, vocabulary=vocabulary, role=role, read=read)


def real(
    name: str,
    width: int,
    role: Role = Role.TARGET,
    scaling: Scaling | None = None,
    *,
    delays: int = 1,
    lag: int = 1,
    by_channel: bool = False,
    read: bool = True,
) -> Field:
    return Field(name, None, width, role, scaling, delays, lag, by_channel, read)


@dataclass(frozen=True)
class TokenSpec:
    """The fields of a token, at least one of them a target."""

    fields: tuple[Field, ...]
    patch: int = 1
    """Steps of a Sequence that the batch folds into one token of the model (Timer, arXiv 2402.02368): real fields
    become `patch * width` wide, symbol fields are read at the patch's first step and cannot be targets."""

    def __post_init__(self) -> None:
        names = [f.name for f in self.fields]
        if len(set(names)) != len(names):
            raise ConfigError(f"two fields of the token have the same name: {names}")
        if not self.targets:
            raise ConfigError(f"no field of {names} is a target: there is nothing to predict")
        if not self.read_fields:
            raise ConfigError(f"no field of {names} is read: there is nothing to predict from")
        if self.patch < 1:
            raise ConfigError(f"patch: got {self.patch}, allowed: a positive whole number")
        if self.patch > 1 and any(f.is_symbol for f in self.targets):
            raise ConfigError("patches are of real values: with patch > 1 no symbol field can be a target")
        if any(f.by_channel for f in self.fields) and len(self.targets) > 1:
            raise ConfigError("a target that is read channel by channel must be the only one")

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
    def read_fields(self) -> tuple[Field, ...]:
        """The fields that a model reads."""
        return tuple(f for f in self.fields if f.read)

    @property
    def folded(self) -> TokenSpec:
        """The fields as a batch has them: real ones `patch * width` wide."""
        if self.patch == 1:
            return self

        def folded(f: Field) -> Field:
            return Field(f.name, f.vocabulary, self.patch * f.width, f.role, by_channel=f.by_channel, read=f.read)

        return TokenSpec(tuple(folded(f) for f in self.fields))

    def positions(self, steps: int) -> int:
        """Tokens of the model that hold so many steps of a Sequence; the last one may be partly empty."""
        return -(-steps // self.patch)

    @property
    def variables(self) -> int:
        """Tokens side by side at each position: the channels of a target that is read `by_channel`; else 0."""
        target = self.targets[0]
        return target.width if target.by_channel else 0

    @property
    def symbol_target(self) -> Field:
        """The only target where a token is one symbol. Raises ConfigError for any other spec."""
        if len(self.targets) != 1 or not self.targets[0].is_symbol:
            raise ConfigError(f"this needs one symbol target, the token has {[f.name for f in self.targets]}")
        return self.targets[0]

    def extends(self, other: TokenSpec) -> bool:
        """Whether a store of `other` reads the same under this spec: same fields, each vocabulary equal or grown."""

        def grown(mine: Field, theirs: Field) -> bool:
            if mine.vocabulary is None or theirs.vocabulary is None:
                return mine == theirs
            return replace(mine, vocabulary=theirs.vocabulary) == theirs and mine.vocabulary.extends(theirs.vocabulary)

        same = len(self.fields) == len(other.fields) and self.patch == other.patch
        return same and all(map(grown, self.fields, other.fields))

    def to_config(self) -> list[dict[str, Any]] | dict[str, Any]:
        """The fields as a list; with patches, `{"patch", "fields"}`."""
        listed = [f.to_config() for f in self.fields]
        return listed if self.patch == 1 else {"patch": self.patch, "fields": listed}

    @classmethod
    def from_config(cls, config: list[Mapping[str, Any]] | Mapping[str, Any]) -> TokenSpec:
        listed, patch = (config["fields"], config["patch"]) if isinstance(config, Mapping) else (config, 1)
        return cls(tuple(Field.from_config(f) for f in listed), int(patch))


def Symbols(vocabulary: Vocabulary) -> TokenSpec:
    """The usual spec of a symbol sequence: one target field called `tokens`."""
    return TokenSpec((symbol("tokens", vocabulary),))


def Vectors(width: int, scaling: Scaling | None = None, *, patch: int = 1) -> TokenSpec:
    """The usual spec of a real-valued sequence: one target field called `values`."""
    return TokenSpec((real("values", width, scaling=scaling),), patch)


@dataclass
class Sequence:
    """One record as tokens.

    Args:
        arrays: per field, (T,) unsigned integers for symbols or (T, width) floats for real values.
        id: the record's name, unique within a store.
        observed: per field where anything is missing, a bool array of the field's shape; True where the value is there.
        loss_mask: per target field where not every token counts, (T,) bool; True where the token is predicted. In what
            `fold` makes, a real field's is (T, width).
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
        if len(self.arrays) == 1 and not (self.observed or self.loss_mask or self.token_labels):
            return  # most records: nothing to compare, and millions of them
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
