"""What the tokenizers of time series share: calendar and covariate fields, checks, labels, configs.

A tokenizer of a kind says what its target field is and how values become it (`ts_patch`: as they are; `ts_bins`,
`ts_digits`: symbols). Fields are fixed when a tokenizer is made or, where the config says "auto", learned from the
first training record.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.configured_tokenizer import ConfiguredTokenizer
from core.errors import ConfigError, InputError, RecordError, nearest
from core.sequence import Array, Field, Role, Sequence, TokenSpec, real, symbol
from core.vocabulary import Vocabulary
from domains.formats.series import Series
from domains.time_series.tokenizer.calendar import CALENDAR, calendar_arrays, calendar_vocabulary, usual_calendar

AUTO = "auto"
VALUE = "value"
"""What the channel of a single-channel series is called when it comes back."""
_log = logging.getLogger(__name__)
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class SeriesConfig:
    """What all tokenizers of time series can be told."""

    calendar: tuple[str, ...] | str = AUTO
    """Fields read off the stamps, known ahead: of hour_of_week, hour_of_day, day_of_week, month; "auto": those that
    suit the first training record's frequency."""
    known: tuple[str, ...] | str = AUTO
    """Covariates known ahead; "auto": those of the first training record."""
    past: tuple[str, ...] | str = AUTO
    """Covariates of the past; "auto": those of the first training record."""
    channels: tuple[str, ...] | str = AUTO
    """Names of a record's channels; "auto": those of the first training record."""
    extension: tuple[str, ...] = ()
    """Symbols appended by `extend` to every symbol field; they stand in no record."""

    def __post_init__(self) -> None:
        for key in ("calendar", "known", "past", "channels"):
            value = getattr(self, key)
            if isinstance(value, str) and value != AUTO:
                object.__setattr__(self, key, (value,))
        for name in self.calendar if self.calendar != AUTO else ():
            if name not in CALENDAR:
                raise ConfigError(
                    f"tokenizer.calendar: there is no field '{name}'{nearest(name, CALENDAR)}",
                    hint=f"Known: {', '.join(CALENDAR)}.",
                )
        names = [field_name(role, n) for role in ("known", "past") for n in self.listed(role)]
        if len(set(names)) != len(names):
            raise ConfigError(f"tokenizer: two covariates have the same name: {names}")
        if self.channels != AUTO and not self.channels:
            raise ConfigError("tokenizer.channels: got none, allowed: at least one name, or auto")

    def listed(self, key: str) -> tuple[str, ...]:
        """The names under a key, none while they are still to be learned."""
        value = getattr(self, key)
        return () if value == AUTO else tuple(value)

    @property
    def is_fixed(self) -> bool:
        return AUTO not in (self.calendar, self.known, self.past, self.channels)


def field_name(role: str, covariate: str) -> str:
    """The token field of a covariate: `known_temperature_C` for "temperature (C)"."""
    return f"{role}_{re.sub(r'[^0-9A-Za-z]+', '_', covariate).strip('_')}"


Config = TypeVar("Config", bound=SeriesConfig)


class SeriesTokenizer(ConfiguredTokenizer[Series, Config]):
    """The half of the contract of `core.tokenizer.Tokenizer` that is the same for every way to write values."""

    natural_unit: ClassVar[str] = "step"
    config_class: ClassVar[type[SeriesConfig]]
    patch: int = 1
    """Steps that a model reads as one token."""
    token_is_step: ClassVar[bool] = True
    """Whether a store has one token for each step."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._told = False

    # What a kind adds.

    def target_field(self) -> Field:
        raise NotImplementedError

    def write(self, record: Series) -> Sequence:
        """The target field's array with its masks and labels, before covariates and calendar join it."""
        raise NotImplementedError

    def read(self, sequence: Sequence) -> tuple[NDArray[np.float64], float | None]:
        """(T, C) values, NaN where missing, and what they were scaled by."""
        raise NotImplementedError

    def per_token(self, sequence: Sequence, values: Array) -> Array:
        """(T, ...) one a step -> one a token."""
        return values

    def per_step(self, sequence: Sequence, values: Array) -> Array:
        """(T, ...) one a token -> one a step."""
        return values

    def step_starts(self, sequence: Sequence) -> NDArray[np.int64]:
        """(T + 1,) the token where each step begins, and the number of tokens."""
        return np.arange(len(sequence) + 1)

    # Of tokenizers of symbols, whose forecasts are drawn.

    def tokens_ahead(self, horizon: int) -> int:
        """Tokens that surely hold `horizon` steps."""
        raise NotImplementedError

    def last_tokens(self, context: Sequence, room: int) -> Sequence:
        """The end of a context, whole steps, in at most `room` tokens."""
        raise NotImplementedError

    def continuation(self, drawn: Sequence, context: Sequence, horizon: int) -> NDArray[np.float64]:
        """(horizon,) values of what was drawn after a context."""
        raise NotImplementedError

    def log_volume(self, sequence: Sequence) -> NDArray[np.float64]:
        """(T,) what turns a token's nats into those of a density of raw values."""
        raise NotImplementedError

    def truth(self, sequence: Sequence) -> Series:
        """The series that a sequence of a store stands for, with its values as they were before they became tokens."""
        return self.decode(sequence)

    # The contract.

    @cached_property
    def spec(self) -> TokenSpec:
        calendar = [symbol(name, v, Role.KNOWN_AHEAD) for name, v in self.calendar.items()]
        known = [real(field_name("known", n), 1, Role.KNOWN_AHEAD, self.scaling()) for n in self.config.listed("known")]
        past = [real(field_name("past", n), 1, Role.GIVEN, self.scaling()) for n in self.config.listed("past")]
        return TokenSpec((self.target_field(), *calendar, *known, *past), self.patch)

    def scaling(self) -> Any:
        """Of real covariates."""
        from core.scaling import Scaling

        return Scaling(kind="running")

    @cached_property
    def calendar(self) -> dict[str, Vocabulary]:
        """The vocabulary of each calendar field."""
        return {name: calendar_vocabulary(name, self.config.extension) for name in self.config.listed("calendar")}

    @property
    def width(self) -> int:
        """Channels of a record."""
        return max(1, len(self.config.listed("channels")))

    @property
    def needs_fit(self) -> bool:
        return not self.config.is_fixed

    def fit(self, train_records: Iterable[Series]) -> Self:
        """Learns from the first record which channels, covariates and calendar fields there are."""
        if not self.needs_fit:
            return self
        first = next(iter(train_records), None)
        if first is None:
            raise InputError("there is no training record to learn the fields of a token from")
        return self._fitted(self._fixed(first))

    def growing(self) -> Self:
        """Further covariates and calendar fields, those of the first training record, stand behind those that it has.

        A tokenizer without calendar fields stays without them.
        """
        return self._growing(known=AUTO, past=AUTO, **({"calendar": AUTO} if self.config.calendar else {}))

    def _joined(self, old: SeriesConfig, found: SeriesConfig) -> SeriesConfig:
        """`found` in the first record, behind what `old` has."""
        for role in ("known", "past"):
            gone = [name for name in old.listed(role) if name not in found.listed(role)]
            if gone:
                raise ConfigError(
                    f"tokenizer_grows: the first training series lacks the {role} covariate '{gone[0]}' that is known",
                    hint=f"Name it with data.{role}=; a column of missing values will do.",
                )
        both = {
            key: tuple(dict.fromkeys((*old.listed(key), *found.listed(key)))) for key in ("calendar", "known", "past")
        }
        return replace(found, **both)

    def encode(self, record: Series) -> Sequence:
        """Raises RecordError naming the record and the reason where it is refused."""
        self.check(record)
        return self.encode_context(record)

    def encode_context(self, record: Series) -> Sequence:
        """A record that only comes before what is predicted: as `encode`, but it may be short."""
        self._check_form(record)
        sequence = self.write(record)
        sequence.id, sequence.group = record.id, record.group
        sequence.labels = {
            "start": "" if record.start is None else str(record.start.astype("datetime64[ns]")),
            "freq": record.freq or "",
            "timezone": record.timezone or "",
            **sequence.labels,
        }
        arrays, observed = self._around(record)
        sequence.arrays |= {name: self.per_token(sequence, values) for name, values in arrays.items()}
        sequence.observed |= {name: self.per_token(sequence, there) for name, there in observed.items()}
        return sequence

    def ahead(
        self, record: Series, steps: int, known: Mapping[str, NDArray[np.float64]] | None = None
    ) -> Sequence | None:
        """The known-ahead fields of the `steps` steps after a record, None where the token has none.

        Args:
            known: (steps,) future values of each covariate of `config.known`.

        Raises InputError where one of them is missing or has another length.
        """
        start = None
        if record.start is not None and record.freq is not None:
            from domains.formats.time_grid import advance

            start = advance(record.start, record.freq, len(record))
        given = known or {}
        for name in self.config.listed("known"):
            if name not in given or len(given[name]) != steps:
                got = len(given[name]) if name in given else "none"
                raise InputError(
                    f"series '{record.id}': expected the next {steps} values of the known covariate '{name}', got {got}"
                )
        coming = Series(
            record.id,
            np.full((steps, self.width), np.nan),
            tuple(str(i) for i in range(self.width)),
            start,
            record.freq,
            record.timezone,
            {name: np.asarray(given[name], np.float64) for name in self.config.listed("known")},
        )
        arrays, observed = self._around(coming, past=False)
        return Sequence(arrays, record.id, observed) if arrays else None

    def part(self, sequence: Sequence, start: int, stop: int) -> Sequence:
        """The whole steps in tokens [start, stop) as a sequence of its own, whose stamps begin where it does."""
        from domains.formats.time_grid import advance

        borders = self.step_starts(sequence)
        steps = int(np.searchsorted(borders, start))
        taken = sequence.slice(int(borders[steps]), stop)
        first, freq = str(sequence.labels.get("start", "")), str(sequence.labels.get("freq", ""))
        if first and freq:
            moved = advance(np.datetime64(first, "ns"), freq, steps)
            taken.labels = {**sequence.labels, "start": str(moved.astype("datetime64[ns]"))}
        return taken

    def decode(self, sequence: Sequence) -> Series:
        values, scale = self.read(sequence)
        start, freq, timezone = (str(sequence.labels.get(k, "")) for k in ("start", "freq", "timezone"))
        known, past = (
            {n: self._covariate(sequence, field_name(role, n), len(values)) for n in self.config.listed(role)}
            for role in ("known", "past")
        )
        return Series(
            sequence.id,
            values,
            self.config.listed("channels") or tuple(f"{VALUE}_{i + 1}" for i in range(values.shape[1])),
            np.datetime64(start, "ns") if start else None,
            freq or None,
            timezone or None,
            known,
            past,
            scale=scale,
        )

    def same(self, a: Series, b: Series) -> bool:
        """Whether ids, stamps, values and covariates are equal; missing equals missing."""
        stamps = (a.id, a.start, a.freq, a.timezone) == (b.id, b.start, b.freq, b.timezone)
        if not stamps or a.known.keys() != b.known.keys() or a.past.keys() != b.past.keys():
            return False
        pairs = [(a.values, b.values)]
        pairs += [(x[n], y[n]) for x, y in ((a.known, b.known), (a.past, b.past)) for n in x]
        return all(np.array_equal(x, y, equal_nan=True) for x, y in pairs)

    def extend(self, symbols: Iterable[str]) -> Self:
        """With more symbols in every symbol field. Raises ConfigError where the token has none."""
        if not any(f.is_symbol for f in self.spec.fields):
            raise ConfigError(f"tokenizer {self.kind}: its tokens are numbers only, there is nothing to extend")
        return self._with(replace(self.config, extension=(*self.config.extension, *symbols)))

    # Checks and parts.

    def check(self, record: Series) -> None:
        """Raises RecordError for a record that cannot be trained on."""
        if not len(record):
            raise RecordError("empty", f"series '{record.id}' has no steps", record=record.id)
        if record.whole_length < self.patch:
            raise RecordError(
                "shorter_than_a_patch",
                f"series '{record.id}' has {record.whole_length} steps, a patch has {self.patch}",
                record=record.id,
                hint="Take a smaller tokenizer.patch=, or leave such series out.",
            )
        if record.part is None and np.isnan(record.values).all():
            raise RecordError("all_missing", f"series '{record.id}' has no value at all", record=record.id)
        self._check_form(record)

    def _check_form(self, record: Series) -> None:
        unread = [
            name for role in ("known", "past") for name in getattr(record, role) if name not in self.config.listed(role)
        ]
        if unread and self.config.is_fixed and not self._told:
            self._told = True
            _log.warning(
                "series '%s' has covariates that are not read: %s. tokenizer.known and tokenizer.past name those that "
                "are; tokenizer_grows=true adds them to a tokenizer of tokenizer_from=",
                record.id,
                ", ".join(unread),
            )
        if self.config.channels != AUTO and record.values.shape[1] != self.width:
            raise RecordError(
                "channels",
                f"series '{record.id}' has {record.values.shape[1]} channels, the tokenizer {self.width}",
                record=record.id,
                hint="data.channels=apart makes each channel a series of its own.",
            )
        for role in ("known", "past"):
            for name in self.config.listed(role):
                if name not in getattr(record, role):
                    raise RecordError(
                        "covariates", f"series '{record.id}' has no {role} covariate '{name}'", record=record.id
                    )
        covariates = [record.known[n] for n in self.config.listed("known")]
        covariates += [record.past[n] for n in self.config.listed("past")]
        for values in (record.values, *covariates):
            wrong = (np.abs(values) > _LARGEST).reshape(len(values), -1).any(axis=1)
            if wrong.any():
                at = int(np.argmax(wrong))
                raise RecordError(
                    "too_large",
                    f"series '{record.id}': step {at + 1:,} holds {values[at]}, no number of single precision",
                    record=record.id,
                    position=at,
                    hint="Infinities are refused; scale values beyond 3.4e38.",
                )

    def _around(self, record: Series, *, past: bool = True) -> tuple[dict[str, Array], dict[str, Array]]:
        """The calendar and covariates of a record, one a step, and where they are observed."""
        n = len(record)
        arrays = calendar_arrays(self.calendar, record.start, record.freq, record.timezone, n)
        observed: dict[str, Array] = {}
        for role in ("known", "past") if past else ("known",):
            for name in self.config.listed(role):
                values, there = filled(getattr(record, role)[name][:, None])
                arrays[field_name(role, name)] = values
                if not there.all():
                    observed[field_name(role, name)] = there
        return arrays, observed

    def _covariate(self, sequence: Sequence, name: str, steps: int) -> NDArray[np.float64]:
        """(T,) a covariate as it was; NaN where it is missing, or where the sequence is drawn and has none."""
        if name not in sequence.arrays:
            return np.full(steps, np.nan)
        return self.per_step(sequence, missing_as_nan(sequence, name))[:, 0]

    def _fixed(self, first: Series) -> Config:
        """The config with what "auto" stands for."""
        config: SeriesConfig = self.config
        several = first.values.shape[1] > 1
        found = {
            "calendar": usual_calendar(first.freq),
            "known": tuple(first.known),
            "past": tuple(first.past),
            "channels": first.channels if several else (VALUE,),
        }
        fixed = replace(config, **{k: v for k, v in found.items() if getattr(config, k) == AUTO})
        return fixed if self.before is None else self._joined(self.before.config, fixed)  # type: ignore[return-value]


def filled(values: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values as stores keep them, 0 where missing, and where they are there."""
    there = ~np.isnan(values)
    return np.where(there, values, 0).astype(np.float32), there


def missing_as_nan(sequence: Sequence, name: str) -> NDArray[np.float64]:
    """(T, width) of a real field, NaN where it is not observed."""
    values = sequence.arrays[name].astype(np.float64)
    observed = sequence.observed.get(name)
    return values if observed is None else np.where(observed, values, np.nan)
