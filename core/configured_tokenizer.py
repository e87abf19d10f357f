"""What follows from a frozen dataclass of settings alone: half of the contract of `core.tokenizer.Tokenizer`.

A domain's tokenizers derive from `ConfiguredTokenizer` and say what a record becomes; what they leave alone is: nothing
to learn, one reading, no grammar, a unit a token. Settings are plain values and tuples of them, with what `extend`
appended under `extension`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.config_keys import tokenizer_settings
from core.grammar import Grammar
from core.sequence import Array, Sequence, TokenSpec
from core.tokenizer import describe

Record = TypeVar("Record")
Config = TypeVar("Config")


class ConfiguredTokenizer(Generic[Record, Config]):
    kind: ClassVar[str]
    version: ClassVar[int] = 1
    natural_unit: ClassVar[str]
    config_class: ClassVar[Any]
    """The frozen dataclass of its settings, made without arguments where none are given."""

    before: Self | None = None
    """Of one that grows: the fitted tokenizer whose channels come first."""
    grown_from: tuple[str, ...] = ()
    """Fingerprints of those that it grew from, the first one first. No setting: `core.tokenizer.describe` says it."""

    def __init__(self, config: Config | None = None) -> None:
        self.config: Config = self.config_class() if config is None else config

    @property
    def spec(self) -> TokenSpec:
        raise NotImplementedError

    @property
    def needs_fit(self) -> bool:
        return False

    def fit(self, train_records: Iterable[Record]) -> Self:
        """Itself: nothing is learned."""
        return self

    def encode(self, record: Record) -> Sequence:
        raise NotImplementedError

    def decode(self, sequence: Sequence) -> Record:
        raise NotImplementedError

    def canonical(self, record: Record) -> Record:
        return self.decode(self.encode(record))

    def same(self, a: Record, b: Record) -> bool:
        return bool(a == b)

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """(T,) ones: a token is a unit."""
        return np.ones(len(next(iter(arrays.values()))))

    def extend(self, symbols: Iterable[str]) -> Self:
        config: Any = self.config
        return self._with(replace(config, extension=(*config.extension, *symbols)))

    def grammar(self, **limits: Any) -> Grammar | None:
        """None: every sequence decodes."""
        return None

    def view_record(self, record: Record, rng: np.random.Generator) -> Sequence:
        """The record as it is: there is one reading only."""
        return self.encode(record)

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """The window as it is: there is one reading only."""
        return arrays

    def to_config(self) -> dict[str, Any]:
        config: Any = self.config
        return {key: _plain(value) for key, value in asdict(config).items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Raises ConfigError for an unknown key, with the nearest one, and for a value that is not allowed."""
        values = {key: _frozen(value) for key, value in config.items()}
        return cls(tokenizer_settings(cls.config_class, values, cls.kind))

    def _with(self, config: Any) -> Self:
        """The same with other settings."""
        made = type(self)(config)
        made.before, made.grown_from = self.before, self.grown_from
        return made

    def _growing(self, **unlearned: Any) -> Self:
        """To be fitted again: `core.tokenizer.growing`. What is given takes the place of what was learned."""
        config: Any = self.config
        made = type(self)(replace(config, **unlearned))
        made.before = self
        return made

    def _fitted(self, config: Any) -> Self:
        """With what `fit` learned; the tokenizer that there was before where nothing is new."""
        made = type(self)(config)
        before: Any = self.before
        if before is None:
            return made
        made.grown_from = (*before.grown_from, describe(before)["fingerprint"])
        return before if config == before.config else made


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value
