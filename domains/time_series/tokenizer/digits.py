"""A series as text: sign, digits and a comma for each step, as LLMTime writes them (arXiv 2310.07820).

Values are divided by the series' scale and rounded to `precision` digits after the point, which is not written:
lossless up to half a unit of the last digit times the scale. Every step begins with its sign (LLMTime writes minus
signs only), so that a cut through the text shows where steps begin. A missing step is the token `nan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError
from core.grammar import Grammar
from core.sequence import Array, Field, Sequence, symbol
from core.tokenizer import no_channels
from core.vocabulary import SPECIALS, Vocabulary
from domains.formats.series import Series
from domains.time_series.tokenizer.scale import ScaledConfig, ScaledTokenizer

PLUS, MINUS, MISSING, COMMA = range(len(SPECIALS), len(SPECIALS) + 4)
FIRST_DIGIT = COMMA + 1
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class DigitsConfig(ScaledConfig):
    """How numbers are written."""

    base: int = 10
    """Of the digits [LLMTime: 10]."""
    precision: int = 2
    """Digits after the point of a scaled value [LLMTime: 2 to 3]."""
    before: int = 4
    """Digits before the point at most: values beyond base^before scales are refused."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, low, high in (("base", 2, len(_DIGITS)), ("precision", 0, 8), ("before", 1, 8)):
            value = getattr(self, key)
            if not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"tokenizer.{key}: got {value!r}, allowed: {low} to {high}")
        if self.base ** (self.before + self.precision) > 2**53:
            raise ConfigError(
                f"tokenizer: {self.before + self.precision} digits of base {self.base} are more than a double holds"
            )
        for key in ("calendar", "known", "past"):
            if getattr(self, key):
                raise ConfigError(
                    f"tokenizer.{key}: got {getattr(self, key)!r}, allowed: none, for digits",
                    hint="How many tokens a coming step takes is not known, so nothing can be said ahead of it.",
                )


class DigitsTokenizer(ScaledTokenizer[DigitsConfig]):
    """One symbol field `tokens` of sign, digits, comma and nan."""

    kind: ClassVar[str] = "ts_digits"
    config_class = DigitsConfig
    token_is_step: ClassVar[bool] = False

    def __init__(self, config: DigitsConfig | None = None) -> None:
        super().__init__(config or DigitsConfig())

    def growing(self) -> NoReturn:
        raise no_channels(self.kind)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(("+", "-", "nan", ",", *_DIGITS[: self.config.base], *self.config.extension))

    @property
    def longest(self) -> int:
        """Tokens of the longest step."""
        return self.config.before + self.config.precision + 2

    def target_field(self) -> Field:
        return symbol("tokens", self.vocabulary)

    def symbols_of(self, record: Series, scaled: NDArray[np.float64]) -> Sequence:
        config = self.config
        there = np.isfinite(scaled)
        whole = np.round(np.where(there, scaled, 0.0) * float(config.base) ** config.precision)
        sizes = np.abs(whole)
        if (sizes >= float(config.base) ** (config.before + config.precision)).any():
            at = int(np.argmax(sizes))
            raise RecordError(
                "too_large",
                f"series '{record.id}': step {at + 1:,} holds {scaled[at]:.3g} times the scale, expected fewer than "
                f"{config.before} digits before the point",
                record=record.id,
                position=at,
                hint="Take a larger tokenizer.before= or tokenizer.head=.",
            )
        numbers = sizes.astype(np.int64)
        digits = np.ones(len(numbers), np.int64)
        for power in range(1, config.before + config.precision):
            digits += numbers >= config.base**power
        lengths = np.where(there, digits + 2, 2)
        ends = np.cumsum(lengths)
        starts = ends - lengths
        tokens = np.full(int(ends[-1]) if len(ends) else 0, COMMA, self.vocabulary.dtype)
        tokens[starts] = np.where(there, np.where(whole < 0, MINUS, PLUS), MISSING)
        for place in range(int(digits.max(initial=0))):
            has = there & (digits > place)
            tokens[ends[has] - 2 - place] = FIRST_DIGIT + numbers[has] // config.base**place % config.base
        return Sequence({"tokens": tokens})

    def read(self, sequence: Sequence) -> tuple[NDArray[np.float64], float | None]:
        """Raises RecordError where the tokens are no numbers."""
        scale = self.kept_scale(sequence.labels)
        tokens = sequence.arrays["tokens"].astype(np.int64)
        if broken := self._misplaced(tokens):
            found = self.vocabulary.symbol(int(tokens[broken - 1]))
            raise RecordError(
                "no_number",
                f"sequence '{sequence.id}': token {broken} is {found!r}, which cannot stand there",
                record=sequence.id,
                position=broken - 1,
            )
        return self._values(tokens)[:, None] * scale, scale

    def _misplaced(self, tokens: NDArray[np.int64]) -> int:
        """The number, from 1, of the first token that breaks the form `sign digits comma | nan comma`; 0 where none."""
        after = np.concatenate([[COMMA], tokens])
        begins, ends = after[1:], after[:-1]
        digit, sign = begins >= FIRST_DIGIT, (begins == PLUS) | (begins == MINUS)
        digit &= begins < FIRST_DIGIT + self.config.base
        good = np.where(
            ends == COMMA,
            sign | (begins == MISSING),
            np.where(ends == MISSING, begins == COMMA, digit | ((begins == COMMA) & (ends >= FIRST_DIGIT))),
        )
        wrong = np.flatnonzero(~good)
        if len(wrong):
            return int(wrong[0]) + 1
        return len(tokens) if len(tokens) and tokens[-1] != COMMA else 0

    def _values(self, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        """(T,) in scales, of tokens of the right form; NaN for missing steps."""
        starts = np.flatnonzero((tokens >= PLUS) & (tokens <= MISSING))
        ends = np.flatnonzero(tokens == COMMA)
        places = np.flatnonzero(tokens >= FIRST_DIGIT)
        step = np.searchsorted(starts, places, side="right") - 1
        worth = (tokens[places] - FIRST_DIGIT) * self.config.base ** (ends[step] - 1 - places)
        whole = np.bincount(step, worth.astype(np.float64), minlength=len(starts))
        signed = np.where(tokens[starts] == MINUS, -whole, whole)
        return np.where(tokens[starts] == MISSING, np.nan, signed / float(self.config.base) ** self.config.precision)

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """1 for the token that a step begins with, 0 for the others."""
        tokens = arrays["tokens"]
        return ((tokens >= PLUS) & (tokens <= MISSING)).astype(np.float64)

    def step_starts(self, sequence: Sequence) -> NDArray[np.int64]:
        return np.append(np.flatnonzero(self.units(sequence.arrays)), len(sequence))

    def per_token(self, sequence: Sequence, values: Array) -> Array:
        return np.repeat(values, np.diff(self.step_starts(sequence)), axis=0)

    def per_step(self, sequence: Sequence, values: Array) -> Array:
        return values[self.step_starts(sequence)[:-1]]

    def grammar(self, **limits: Any) -> Grammar[Any] | None:
        """The automaton of sequences that read as numbers, of at most `before + precision` digits.

        Args:
            limits: `missing=False` rules missing steps out; others do not concern a series.
        """
        from domains.time_series.tokenizer.digit_grammar import DigitGrammar

        digits = self.config.before + self.config.precision
        return DigitGrammar(len(self.vocabulary), self.config.base, digits, missing=limits.get("missing", True))

    def log_volume(self, sequence: Sequence) -> NDArray[np.float64]:
        """(T,) log of the last digit's unit in raw values at the token that a step begins with, 0 elsewhere.

        Nats summed over a step plus this are nats of a density.
        """
        unit = np.log(self.kept_scale(sequence.labels)) - self.config.precision * np.log(self.config.base)
        logs: NDArray[np.float64] = self.units(sequence.arrays) * unit
        return logs

    def tokens_ahead(self, horizon: int) -> int:
        return horizon * self.longest

    def last_tokens(self, context: Sequence, room: int) -> Sequence:
        starts = self.step_starts(context)
        return context.slice(int(starts[np.searchsorted(starts, len(context) - room)]), len(context))

    def continuation(self, drawn: Sequence, context: Sequence, horizon: int) -> NDArray[np.float64]:
        tokens = drawn.arrays["tokens"].astype(np.int64)
        ends = np.flatnonzero(tokens == COMMA)
        whole = tokens[: ends[horizon - 1] + 1]
        return self._values(whole) * self.kept_scale(context.labels)
