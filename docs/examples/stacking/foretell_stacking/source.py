"""Where crystals come from: text files of one's own (`id letters` a line), or 14H with faults made by code."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.errors import ConfigError, InputError
from core.order import rng
from core.rejects import Reject
from foretell_stacking.tokenizer import Crystal

TURNS = (0.02, 0.02, 0.05, 0.05, 0.10, 0.10, 0.80, 0.50)
"""Probability that the stacking turns after 1, 2, ... layers the same way, 8 or more: 14H turns after seven."""


def entropy_rate() -> float:
    """Bits a layer of crystals made with TURNS: a turn is a coin whose bias depends on the layers since the last."""
    turn = np.array(TURNS)
    stay = np.cumprod([1.0, *(1 - turn[:-1])])
    stay[-1] /= turn[-1]  # eight or more
    bits = -turn * np.log2(turn) - (1 - turn) * np.log2(1 - turn)
    return float((stay * bits).sum() / stay.sum())


def make(number: int, layers: int, seed: int) -> Crystal:
    draws, at, way, since, out = rng(seed, "crystal", number), 0, 1, 1, ["A"]
    for draw in draws.random(layers - 1):
        way, since = (-way, 1) if draw < TURNS[min(since, len(TURNS)) - 1] else (way, since + 1)
        at = (at + way) % 3
        out.append("ABC"[at])
    return Crystal(f"crystal_{number}", "".join(out))


class Crystals:
    """A `core.ingest.RecordSource`."""

    def __init__(self, path: Path | None, count: int, layers: int, seed: int) -> None:
        self.path, self.count, self.size, self.seed = path, count, layers, seed
        made = {"name": "faulted_14h", "what": "14H with faults, made by code"}
        self.provenance = {"what": f"crystals of {path.name}"} if path else made
        self.total_bytes, self.bytes_read = path.stat().st_size if path else count * layers, 0

    def __iter__(self):
        self.bytes_read = 0
        if self.path is None:
            for number in range(self.count):
                self.bytes_read += self.size
                yield make(number, self.size, self.seed)
            return
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            self.bytes_read += len(line) + 1
            words = line.split()
            if len(words) == 2:
                yield Crystal(*words)
            elif words:
                yield Reject(str(self.path), number - 1, words[0], number, None, "no_pair", "expected: id layers")

    def name(self, record):
        return record.id

    def letters(self, record):
        return np.frombuffer(record.layers.encode("ascii", "replace"), np.uint8)

    def piece(self, record, start, stop):
        return Crystal(record.id, record.layers[start:stop])

    def group(self, record):
        return None

    stamp = group

    def labels(self, record):
        return {}


def open_source(data=None, path=None, *, count: int = 2000, layers: int = 200, seed: int = 0) -> Crystals:
    if (data is None) == (path is None) or data not in (None, "faulted_14h"):
        raise ConfigError(f"expected either data=faulted_14h or data.path=FILE, got data={data!r} and path={path!r}")
    if path and not Path(path).is_file():
        raise InputError(f"{path} is not there")
    return Crystals(Path(path) if path else None, count, layers, seed)


def write_samples(path, records, nats=None) -> None:
    Path(path).write_text(
        "".join(f"{record.id or f'sample_{i}'} {record.layers}\n" for i, record in enumerate(records))
    )
