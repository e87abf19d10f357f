"""Sampled episodes as JSON lines: one episode a line, its arrays as lists, its likelihood beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from core.durable import write_bytes_durably
from domains.robots.source.episode import as_episode


def write_samples(path: Path | str, records: Iterable[Any], nats: Iterable[float] | None = None) -> int:
    """Writes a line an episode and says how many there were; what is not known is null.

    Args:
        nats: each episode's negative log-likelihood, summed over its steps.

    Raises ResourceError where the file cannot be written, ValueError where `nats` are fewer or more than the records.
    """
    lines: list[str] = []
    pairs = zip(records, repeat(None)) if nats is None else zip(records, nats, strict=True)
    for record, nll in pairs:
        one = as_episode(record)
        line: dict[str, Any] = {
            "id": one.id or f"sample_{len(lines) + 1}",
            **{key: None if _is_nan(value) else value for key, value in one.labels().items()},
            "observations": _plain(one.observations),
            "actions": _plain(one.actions),
            "rewards": _plain(one.rewards),
        }
        if nll is not None:
            line["nats_per_step"] = nll / max(1, len(one))
        lines.append(json.dumps(line, allow_nan=False))
    write_bytes_durably(Path(path), "".join(f"{line}\n" for line in lines).encode())
    return len(lines)


def _plain(values: Any) -> Any:
    """Nested lists in float32's digits, None for NaN."""
    rounded = np.asarray(values, np.float32).astype(object)
    rounded[np.isnan(np.asarray(values, np.float64))] = None
    return rounded.tolist()


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
