"""Sampled episodes as JSON lines, written and read: an episode a line, its arrays as lists, its likelihood beside."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from core.durable import write_bytes_durably
from core.errors import InputError
from core.rejects import Reject
from domains.formats.episodes import FileFacts
from domains.robots.source.episode import Episode, as_episode


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
        if one.intended is not None:
            line["intended"] = _plain(one.intended)
        if nll is not None:
            line["nats_per_step"] = nll / max(1, len(one))
        lines.append(json.dumps(line, allow_nan=False))
    write_bytes_durably(Path(path), "".join(f"{line}\n" for line in lines).encode())
    return len(lines)


class SampleFile:
    """The episodes of a file that `write_samples` wrote; their spaces are those of the tokenizer that reads them."""

    def __init__(self, path: Path) -> None:
        self.path, self.facts = path, FileFacts()
        self.records_in = self.bytes_read = 0

    def __iter__(self) -> Iterator[Episode | Reject]:
        self.records_in = self.bytes_read = 0
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                offset, self.bytes_read = self.bytes_read, self.bytes_read + len(line)
                if not line.strip():
                    continue
                self.records_in += 1
                try:
                    yield self._episode(json.loads(line), (str(self.path), number, offset))
                except (ValueError, TypeError, KeyError, InputError) as error:
                    trouble = f"no episode as samples are written: {type(error).__name__} {error}"
                    yield Reject(str(self.path), self.records_in - 1, "", number, offset, "not_a_sample", trouble)

    def _episode(self, found: dict[str, Any], place: tuple[str, int, int]) -> Episode:
        labels = {key: math.nan if value is None else value for key, value in found.items()}
        seen, done, given = (np.array(found[name], np.float64) for name in ("observations", "actions", "rewards"))
        wanted = np.array(found["intended"], np.float64) if "intended" in found else None
        one = Episode.from_labels(str(found["id"]), seen, done, given, labels)
        return replace(one, place=place, intended=wanted)


def _plain(values: Any) -> Any:
    """Nested lists in float32's digits, None for NaN."""
    rounded = np.asarray(values, np.float32).astype(object)
    rounded[np.isnan(np.asarray(values, np.float64))] = None
    return rounded.tolist()


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
