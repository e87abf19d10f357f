"""Where clusters come from: made by the channel (`data=traces`), or read from files (`data.format=traces`).

Made clusters are a function of the seed and their number. They are prepared once, as many as a run reads, instead of
being made while it trains: the same data, counted and split like any other, and a view still permutes the reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config_keys import from_keys
from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.dna.traces.channel import ChannelConfig, draw_clusters
from domains.dna.traces.cluster import Cluster
from domains.dna.traces.files import ClusterFile

NAME = "traces"
CITATION = "channel: TReconLM, arXiv 2507.12927"
_HELD_OUT = 2000
"""Made clusters that are tested on, and as many validated on: a success rate to about 0.01 [binomial]."""
_UPPER = bytes.maketrans(b"acgt", b"ACGT")


@dataclass(frozen=True)
class TraceConfig(ChannelConfig):
    """The keys below `data`."""

    clusters: int = 200_000
    """How many are made: 37 million tokens at 40 bases and 2 to 5 reads, more than a small preset reads."""
    seed: int = 0
    """Of made clusters."""
    format: str = "traces"
    """Says that data.path= is a file of clusters."""
    truths: str | None = None
    """Files: the strands, one a line, in the clusters' order; None where they are not known."""
    bad_reads: str = "drop"
    """Files: an empty read, or one with N or another letter, is left out and counted (`drop`), or its cluster is
    refused (`refuse`)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", tuple(self.reads))
        object.__setattr__(self, "rates", tuple(self.rates))
        super().__post_init__()
        if not isinstance(self.clusters, int) or self.clusters < 1:
            raise ConfigError(f"data.clusters: got {self.clusters!r}, allowed: a positive whole number")
        if self.format not in ("traces", "auto"):
            raise ConfigError(f"data.format: got {self.format!r}, allowed for clusters: traces")
        if self.bad_reads not in ("drop", "refuse"):
            raise ConfigError(f"data.bad_reads: got {self.bad_reads!r}, allowed: drop, refuse")


def is_traces(data: str | None, options: Mapping[str, Any]) -> bool:
    """Whether these arguments of the domain's `open_source` ask for clusters."""
    return data == NAME or options.get("format") == "traces" or options.get("truths") is not None


def open_traces(
    data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any
) -> TraceSource:
    """A source of clusters: `data="traces"` makes them, `path` names one file of reads.

    Args:
        options: the fields of TraceConfig. Of files at most `reads[1]` reads a cluster are taken.

    Raises:
        ConfigError: neither or both are given, or an unknown option (the nearest is shown) or value.
        InputError: no such file, or more than one.
    """
    config = from_keys(TraceConfig, options, "data")
    if (data is None) == (path is None):
        raise ConfigError("give either data=traces or data.path=reads.txt with data.format=traces")
    if path is None:
        return TraceSource(config)
    paths = [Path(p).expanduser() for p in ([path] if isinstance(path, Path | str) else path)]
    if len(paths) != 1:
        raise InputError(f"data.path names {len(paths)} files of reads, expected one, with its data.truths")
    truths = None if config.truths is None else Path(config.truths).expanduser()
    for file in (paths[0], truths):
        if file is not None and not file.is_file():
            raise InputError(f"there is no file {file}")
    return TraceSource(config, ClusterFile(paths[0], truths, most=config.reads[1], drop=config.bad_reads == "drop"))


def strand(record: Any) -> Any:
    """A cluster's truth, as known or as drawn, as a SeqRecord; anything else as it is."""
    if not isinstance(record, Cluster):
        return record
    from domains.formats.seq_record import make_record

    return make_record((record.truth or "").encode("ascii"), record.id)


class TraceSource:
    """Clusters with their labels and places; a `core.ingest.RecordSource`."""

    canonical_letters = "ACGT"
    tokenizer_kind = "dna_traces"

    def __init__(self, config: TraceConfig, file: ClusterFile | None = None) -> None:
        self.config, self.file = config, file
        self.records_in = 0
        self._place: tuple[str, int | None, int | None] = ("", None, None)

    def __iter__(self) -> Iterator[Cluster | Reject]:
        self.records_in = 0
        if self.file is None:
            for made in draw_clusters(self.config, self.config.clusters, self.config.seed):
                self.records_in += 1
                yield made
            return
        for item, line in self.file:
            self.records_in += 1
            self._place = (str(self.file.reads), line, None)
            yield item

    @property
    def notes(self) -> dict[str, int]:
        """What was left out or unusual in the current pass, with how often."""
        return {} if self.file is None else dict(self.file.notes)

    @property
    def total_bytes(self) -> int | None:
        return None if self.file is None else self.file.reads.stat().st_size

    @property
    def bytes_read(self) -> int:
        """All of a file from the first cluster on: it is read as a whole."""
        return self.total_bytes or 0

    @property
    def provenance(self) -> dict[str, Any]:
        config = self.config
        if self.file is not None:
            where = [p.name for p in (self.file.reads, self.file.truths) if p is not None]
            return {"what": "clusters of reads in files of one's own", "where": where, "licence": ""}
        what = f"{config.clusters:,} clusters of {config.reads[0]} to {config.reads[1]} reads of {config.length} bases"
        return {
            "name": NAME,
            "what": f"{what}, rates {config.rates[0]:g} to {config.rates[1]:g}, made with seed {config.seed}",
            "where": "made by foretell",
            "licence": "CC0-1.0",
            "citation": CITATION,
        }

    @property
    def suggested_split(self) -> dict[str, Any]:
        """At random; of made clusters 2,000 a held-out part, or a tenth where there are fewer than 20,000. Clusters
        whose strands are not known are there to be reconstructed: all of them are the test part."""
        if self.file is not None and self.file.truths is None:
            return {"rule": "given", "leakage": False, "validation": 0.0}
        if self.file is not None:
            return {"rule": "random"}
        share = min(0.1, _HELD_OUT / self.config.clusters)
        return {"rule": "random", "validation": share, "test": share}

    def name(self, record: Cluster) -> str:
        return record.id

    def letters(self, record: Cluster) -> NDArray[np.uint8]:
        """(n,) the truth's bases, or those of all reads where it is not known: what duplicates are looked for in."""
        text = "".join(record.reads) if record.truth is None else record.truth
        return np.frombuffer(text.encode("ascii", "replace").translate(_UPPER), np.uint8)

    def piece(self, record: Cluster, start: int, stop: int) -> Cluster:
        """Refused: a part of a strand has no reads of its own. Raises ConfigError."""
        raise ConfigError(
            "clusters of reads cannot be cut", hint="Choose split.rule=random, cluster or group; not last."
        )

    def split(self, record: Cluster) -> str | None:
        return "test" if self.file is not None and self.file.truths is None else None

    def group(self, record: Cluster) -> str | None:
        return None

    def stamp(self, record: Cluster) -> Any:
        return None

    def labels(self, record: Cluster) -> dict[str, Any]:
        """The channel's rates, where it is ours."""
        names = ("rate_insertion", "rate_deletion", "rate_substitution")
        return {} if record.rates is None else dict(zip(names, record.rates, strict=True))

    def place(self, record: Cluster) -> tuple[str, int | None, int | None]:
        """File and the line of the cluster just read."""
        return self._place
