"""A config.json of another library, asked key by key: types are checked, and what we cannot have is collected.

All reasons are told at once, so that nobody mends one only to meet the next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from core.errors import InputError

LARGEST = 2**31
"""Bounds every whole number that is read; what it means for memory is checked against the weights' shapes."""


class Keys:
    """The values of one JSON object, called `where` in errors."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values, self.where = values, where
        self.reasons: list[str] = []

    def get(self, key: str, default: Any = None) -> Any:
        """The value as it stands; a null counts as not given."""
        value = self.values.get(key)
        return default if value is None else value

    def whole(self, key: str, default: int | None = None) -> int:
        """Raises InputError where it is missing without a default, or not a whole number from 0 to LARGEST."""
        value = self._given(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST:
            raise InputError(f"{self.where}: {key} is {value!r}, expected a whole number of at most {LARGEST:,}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Raises InputError where it is missing without a default, or not a finite number."""
        value = self._given(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise InputError(f"{self.where}: {key} is {value!r}, expected a number")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise InputError(f"{self.where}: {key} is {value!r}, expected true or false")
        return value

    def names(self, key: str, default: list[str]) -> list[str]:
        value = self.get(key, default)
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise InputError(f"{self.where}: {key} is {value!r}, expected a list of names")
        return value

    def below(self, key: str) -> Keys:
        """The object at `key`, empty where there is none; its reasons count as ours."""
        value = self.get(key, {})
        if not isinstance(value, Mapping):
            raise InputError(f"{self.where}: {key} is {value!r}, expected an object")
        inner = Keys(value, f"{self.where}: {key}")
        inner.reasons = self.reasons
        return inner

    def must(self, key: str, allowed: tuple[Any, ...], reason: str) -> None:
        """Notes `reason` where the value is given and none of `allowed`."""
        value = self.get(key, allowed[0])
        if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed):
            self.refuse(f"{key} is {value!r}: {reason}")

    def refuse(self, reason: str) -> None:
        self.reasons.append(reason)

    def check(self) -> None:
        """Raises InputError with all reasons where there is one."""
        if self.reasons:
            raise InputError(f"{self.where} describes a model that ours cannot be: {'; '.join(self.reasons)}")

    def _given(self, key: str, default: Any) -> Any:
        value = self.get(key, default)
        if value is None:
            raise InputError(f"{self.where} does not say '{key}'")
        return value


def plain(value: Any) -> Any:
    """`value` with transformers' spelling of numbers that JSON has not, `{"__float__": "Infinity"}`, as floats."""
    if isinstance(value, Mapping):
        if set(value) == {"__float__"} and value["__float__"] in ("Infinity", "-Infinity", "NaN"):
            return float(value["__float__"])
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
