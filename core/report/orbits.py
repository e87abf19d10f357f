"""Curves in space that a page turns: a few of them side by side under one scale, kept as small as they are drawn.

`orbits.js` draws them on canvases; without a script, on paper of another browser or for who listens, the still picture
beside them stands. Knows nothing of dynamics.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.durable import read_json, write_json_durably
from core.errors import ConfigError, IntegrityError

POINTS = 2000
"""Drawn of a curve at most, the first so many: more would hide each other, and each costs 8 bytes of the page."""
REACH = 1.5
"""How far from the middle a point is kept, in half widths of the first curve; one that runs away stays at the edge."""
_LEVELS = 2**16 - 1


@dataclass(frozen=True)
class Orbits:
    """Curves by name; the first one gives the scale."""

    runs: Mapping[str, NDArray[np.float64]]
    """(T, 3) each; what is not finite is left out."""
    colours: Sequence[str]
    """Of each run, as #rrggbb."""
    axes: Sequence[str]
    """Names of the three axes; the last one stands upright."""

    def __post_init__(self) -> None:
        wrong = [name for name, run in self.runs.items() if run.ndim != 2 or run.shape[1] != 3]
        if wrong or len(self.axes) != 3 or len(self.colours) != len(self.runs):
            shapes = ", ".join(f"{name} {run.shape}" for name, run in self.runs.items())
            raise ConfigError(f"orbits: expected runs (T, 3), three axes and a colour for each run, got {shapes}")

    def to_config(self) -> dict[str, Any]:
        """Plain values; each point as three 16-bit numbers, -REACH to REACH half widths from the middle."""
        reference = _finite(next(iter(self.runs.values())))
        low, high = (reference.min(0), reference.max(0)) if len(reference) else (np.zeros(3), np.ones(3))
        half = np.maximum(high - low, 1e-12) / 2
        found = []
        for (name, run), colour in zip(self.runs.items(), self.colours, strict=True):
            places = (_finite(run)[:POINTS] - (low + high) / 2) / half
            levels = np.round((np.clip(places, -REACH, REACH) / REACH + 1) / 2 * _LEVELS).astype("<u2")
            found.append({"name": name, "colour": colour, "points": base64.b64encode(levels.tobytes()).decode()})
        return {"axes": list(self.axes), "reach": REACH, "runs": found}

    def write(self, path: Path) -> None:
        """Raises ResourceError where it cannot be written."""
        write_json_durably(path, self.to_config())


def turning(path: Path, still: str) -> str:
    """The still picture's HTML inside an element that a page's script turns into moving ones.

    Raises IntegrityError where the file is none of ours.
    """
    config = read_json(path)
    if not isinstance(config, dict) or not {"axes", "reach", "runs"} <= set(config):
        raise IntegrityError(f"{path} holds no orbits")
    return f'<div class="orbits" data-orbits="{escape(json.dumps(config))}">{still}</div>'


def _finite(run: NDArray[np.float64]) -> NDArray[np.float64]:
    return run[np.isfinite(run).all(axis=1)]
