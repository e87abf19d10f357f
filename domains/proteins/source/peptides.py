"""Random peptides, made by code: what the self-check of tasks is learned on (`tasks.sites.kind=positions`).

Their letters are drawn alike and answer the question themselves, so nothing has to be measured and nothing can leak:
a peptide of eight residues or more is hardly ever drawn twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from Bio.SeqRecord import SeqRecord

from core.config_keys import from_keys
from core.errors import ConfigError
from core.order import rng
from domains.formats.seq_record import make_record
from domains.proteins.source.records import ProteinSource, SourceConfig
from domains.proteins.tokenizer.letters import RESIDUES

NAME = "peptides"
_CHUNK = 1000
"""Drawn at once: the first n are the same however many are asked for."""
_LETTERS = np.frombuffer(RESIDUES.encode("ascii"), np.uint8)


@dataclass(frozen=True)
class PeptideConfig:
    """The keys below `data`."""

    length: tuple[int, int] = (8, 40)
    """Shortest and longest, uniform between them."""
    peptides: int = 60_000
    """How many: more than two minutes of training read."""
    seed: int = 0
    """Of all that is made."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", tuple(self.length))
        low, high = self.length if len(self.length) == 2 else (0, 0)
        if not all(isinstance(v, int) for v in self.length) or not 1 <= low <= high:
            raise ConfigError(f"data.length: got {list(self.length)}, allowed: [shortest, longest], at least 1")
        if not isinstance(self.peptides, int) or self.peptides < 1:
            raise ConfigError(f"data.peptides: got {self.peptides!r}, allowed: a positive whole number")


class MadePeptides:
    """Instead of files: records of letters drawn alike."""

    def __init__(self, config: PeptideConfig) -> None:
        self.config = config
        self.paths: list[Path] = []
        self.formats: list[str] = []
        self.notes: dict[str, int] = {}
        self.records_in = 0
        self.total_bytes = config.peptides * (config.length[0] + config.length[1]) // 2
        self.bytes_read = 0

    def __iter__(self) -> Iterator[SeqRecord]:
        low, high = self.config.length
        self.records_in = self.bytes_read = 0
        for number in range(self.config.peptides):
            if number % _CHUNK == 0:
                draw = rng(NAME, self.config.seed, number // _CHUNK)
                lengths = draw.integers(low, high + 1, _CHUNK)
                letters = _LETTERS[draw.integers(0, len(_LETTERS), (_CHUNK, high), dtype=np.uint8)]
            chosen = letters[number % _CHUNK, : lengths[number % _CHUNK]]
            self.records_in = number + 1
            self.bytes_read += len(chosen)
            yield make_record(chosen.tobytes(), f"peptide_{number + 1}")


class PeptideSource(ProteinSource):
    """Peptides as a `core.ingest.RecordSource`."""

    def __init__(self, config: PeptideConfig) -> None:
        super().__init__(MadePeptides(config), SourceConfig())  # type: ignore[arg-type]
        self.made = config

    @property
    def provenance(self) -> dict[str, Any]:
        low, high = self.made.length
        what = f"{self.made.peptides:,} random peptides of {low} to {high} residues, made with seed {self.made.seed}"
        return {"name": NAME, "what": what, "where": "made by foretell", "licence": "CC0-1.0", "citation": ""}

    @property
    def suggested_split(self) -> dict[str, Any]:
        """At random; 2,000 a held-out part, or a tenth where there are fewer than 20,000."""
        share = min(0.1, 2000 / self.made.peptides)
        return {"rule": "random", "validation": share, "test": share, "k": 8, "leakage": False}


def open_peptides(path: Any = None, **options: Any) -> PeptideSource:
    """Raises ConfigError for files beside them, an unknown option (the nearest is shown) or value."""
    if path is not None:
        raise ConfigError(f"give either data={NAME} or data.path=FILES")
    values: Mapping[str, Any] = options
    return PeptideSource(from_keys(PeptideConfig, values, "data"))
