"""Variants as rows to compare: a window of the genome for each line of a VCF file, and one with each of its alleles.

`data.path=calls.vcf data.reference=genome.fa`. The store has a pair of rows for each allele, (reference, alternative),
which `what=[compare]` scores; the alleles of a line share their reference. None of it is meant to be trained on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from Bio.SeqRecord import SeqRecord

from core.config_keys import from_keys
from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.dna.source.records import DnaSource, SourceConfig
from domains.formats.find_files import find_files
from domains.formats.seq_record import annotation
from domains.formats.sequences import find_sequences
from domains.formats.text import InputFile
from domains.formats.vcf import FLANK, Variant, read_vcf

SUFFIXES = (".vcf", ".vcf.gz", ".vcf.bgz")


@dataclass(frozen=True)
class VariantConfig:
    """The keys below `data` where it is variants."""

    reference: str | None = None
    """The FASTA file of the genome that positions and REF are of."""
    flank: int = FLANK
    """Bases of a window on each side of REF, fewer at the ends of a sequence."""
    format: str = "vcf"
    """Says that data.path= is a VCF file, whatever its name."""

    def __post_init__(self) -> None:
        if self.reference is None:
            raise ConfigError("variants need the genome that they are of", hint="Give data.reference=genome.fa.")
        if not isinstance(self.flank, int) or self.flank < 1:
            raise ConfigError(f"data.flank: got {self.flank!r}, allowed: a positive whole number of bases")
        if self.format not in ("vcf", "auto"):
            raise ConfigError(f"data.format: got {self.format!r}, allowed for variants: vcf")


def is_variants(path: Iterable[Path | str] | Path | str | None, options: Mapping[str, Any]) -> bool:
    """Whether these arguments of the domain's `open_source` ask for variants."""
    given = [path] if isinstance(path, Path | str) else list(path or ())
    named = bool(given) and all(str(place).lower().endswith(SUFFIXES) for place in given)
    return named or options.get("format") == "vcf" or options.get("reference") is not None


def open_variants(
    data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any
) -> VariantSource:
    """A source of the windows of one VCF file.

    Args:
        options: the fields of VariantConfig.

    Raises:
        ConfigError: no reference is given, or an unknown option (the nearest is shown) or value.
        InputError: no such file, or more than one.
    """
    config = from_keys(VariantConfig, options, "data")
    if data is not None or path is None:
        raise ConfigError("data.reference goes with variants of your own", hint="Give data.path=calls.vcf.")
    variants = find_files([path] if isinstance(path, Path | str) else path, {"vcf": (".vcf",)}, "VCF file")
    genome = find_sequences([str(config.reference)])
    for key, files in (("data.path", variants), ("data.reference", genome)):
        if len(files) != 1:
            raise InputError(f"{key} names {len(files)} files, expected one")
    return VariantSource(VariantFiles(variants[0], genome[0], config.flank))


class VariantFiles:
    """The rows of one VCF file with its genome; can be gone through again and again."""

    formats = ("vcf",)

    def __init__(self, variants: Path, genome: Path, flank: int) -> None:
        self.paths, self.flank = [variants, genome], flank
        self.notes: Counter[str] = Counter()
        self._open: list[InputFile] = []
        self._references = 0

    @property
    def total_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.paths)

    @property
    def bytes_read(self) -> int:
        return sum(file.bytes_read for file in self._open)

    @property
    def records_in(self) -> int:
        """Alleles that the splitter found, and the windows of the reference that go with them."""
        return (self._open[0].records if self._open else 0) + self._references

    def __iter__(self) -> Iterator[SeqRecord | Reject]:
        """Of each line its reference, then its alleles; in the genome's order, rejects that need no genome first."""
        self.notes.clear()
        self._references = 0
        variants, genome = InputFile(self.paths[0], "VCF"), InputFile(self.paths[1], "FASTA")
        self._open = [variants, genome]
        line = -1
        for item in read_vcf(variants, genome, flank=self.flank):
            if isinstance(item, Reject):
                yield item
                continue
            variant = item.variant
            if variant.line != line:
                line = variant.line
                self._references += 1
                yield _labelled(item.reference, variant, alt="")
            yield _labelled(item.alternative, variant, alt=variant.alt)
        self.notes.update(variants.notes + genome.notes)


def _labelled(record: SeqRecord, variant: Variant, alt: str) -> SeqRecord:
    labels = {"sequence": variant.sequence, "position": variant.start + 1, "ref": variant.ref, "alt": alt}
    known: dict[str, Any] = {"labels": labels, "reference": (f"line {variant.line}", not alt)}
    record.annotations.update(known)
    return record


class VariantSource(DnaSource):
    """Windows with the variant's place and alleles as labels; a `core.ingest.RecordSource` with references."""

    compared = True
    own_labels = ("sequence", "position", "ref", "alt")

    def __init__(self, files: VariantFiles) -> None:
        super().__init__(files, SourceConfig())

    @property
    def suggested_split(self) -> dict[str, Any]:
        """All of it is the test part: windows of one genome overlap, and are there to be scored."""
        return {"rule": "given", "leakage": False, "validation": 0.0}

    def split(self, record: SeqRecord) -> str | None:
        return "test"

    def files_apart(self) -> list[Path]:
        """Raises ConfigError: variants are read beside their genome."""
        raise ConfigError("variants are prepared by one process", hint="Use launcher=inprocess.")

    def reference(self, record: SeqRecord) -> tuple[str, bool] | None:
        """Which line's, and whether it is the line's reference."""
        found: tuple[str, bool] | None = annotation(record, "reference")
        return found
