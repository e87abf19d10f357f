"""Names to things, filled by plain dicts. A value may be `"module:attribute"`, imported at first use.

A registry is the only way from a name in a config, a bundle or a checkpoint to a Python object: no text from outside is
ever taken as a class path.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

from core.errors import ConfigError, nearest

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """The things of one kind by name.

    Args:
        kind: what one entry is, in the user's words ("mixer", "objective"); used in errors.
        entries: name to thing, or to the `"module:attribute"` text of a place in code where it is found.
    """

    def __init__(self, kind: str, entries: Mapping[str, Thing | str]) -> None:
        self.kind = kind
        self._entries: dict[str, Thing | str] = dict(entries)

    def names(self) -> list[str]:
        return sorted(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def add(self, name: str, entry: Thing | str) -> None:
        """Add an entry. Raises ConfigError if another thing has the name already."""
        if self._entries.get(name, entry) != entry:
            raise ConfigError(f"two {self.kind}s are called '{name}'", hint="Rename the one from the plug-in.")
        self._entries[name] = entry

    def get(self, name: str) -> Thing:
        """The thing called `name`. Raises ConfigError with the nearest name where there is none."""
        if name not in self._entries:
            raise ConfigError(
                f"unknown {self.kind} '{name}'{nearest(name, self._entries)}", hint=f"Known: {', '.join(self.names())}."
            )
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = cast(Thing, cast(Any, getattr(importlib.import_module(module), attribute)))
            self._entries[name] = entry
        return entry
