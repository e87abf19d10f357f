"""Starters: a small bundle per domain to fine-tune from, made once on this machine by `foretell demo preset=starter`.

They lie in the cache and are named `starter/DOMAIN` wherever a bundle is named. Nothing is downloaded: a starter that
has not been made is an error that says how it is made.
"""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import ConfigError
from core.places import cache_folder
from domains import DOMAINS

PRESET = "starter"
MOST_BYTES = 4_000_000
"""Of a starter's bundle: small enough to keep eight of them, and to fine-tune on a laptop in minutes."""


def folder() -> Path:
    """Where they are made: a folder a domain, as every demo has it."""
    return cache_folder() / "starters"


def find(path: str | os.PathLike[str]) -> Path | None:
    """The run folder of the starter that `path` names; None where it names none, or something of that name is here.

    Raises ConfigError for one that has not been made, and for a domain that is unknown.
    """
    named = Path(path)
    if len(named.parts) != 2 or named.parts[0] != PRESET or named.exists():
        return None
    domain = DOMAINS.get(named.parts[1]).name
    run = folder() / domain / "run"
    if not (run / "bundle").is_dir():
        raise ConfigError(
            f"{named}: no starter of domain '{domain}' has been made here",
            hint=f"Made once, in some minutes: foretell demo domains={domain} preset={PRESET}",
        )
    return run
