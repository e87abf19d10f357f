"""A configuration's dataclass from plain values, as a file or a Python caller gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from core.errors import ConfigError, nearest

Config = TypeVar("Config")


def from_keys(config: type[Config], values: Mapping[str, Any], what: str) -> Config:
    """`config(**values)`, where every key is one of its fields.

    Args:
        config: a dataclass, which checks its values itself.
        what: the user's word for it, "model" say; used in the error.

    Raises ConfigError for an unknown key, with the nearest one.
    """
    return _checked(config, values, f"{what}: unknown key '{{}}'")


def tokenizer_settings(config: type[Config], values: Mapping[str, Any], kind: str) -> Config:
    """The same for the config of a tokenizer of that kind, whose keys are what a user calls its settings."""
    return _checked(config, values, f"tokenizer {kind} has no setting '{{}}'")


def _checked(config: type[Config], values: Mapping[str, Any], complaint: str) -> Config:
    known = [field.name for field in fields(config) if field.init]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ConfigError(
                f"{complaint.format(key)}{nearest(key, known)}", hint=f"Known: {', '.join(known) or 'none'}."
            )
    return config(**values)
