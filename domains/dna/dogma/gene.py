"""A stretch of whole codons with its protein, and how coding regions of GenBank records are cut into such stretches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from Bio.SeqRecord import SeqRecord

from core.errors import RecordError
from domains.formats.genbank import coding_regions
from domains.formats.seq_record import letters_of, name_of

BASES, RESIDUES = "ACGT", "ACDEFGHIKLMNPQRSTVWY"
STANDARD = 1
"""NCBI's number of the standard genetic code; 11 (bacteria, plastids) differs in starts only."""


@dataclass(frozen=True)
class Gene:
    """Codons and what they are translated to."""

    id: str
    cds: str
    """Whole codons of A, C, G, T without a stop."""
    protein: str | None = None
    """A residue a codon; None where it is to be predicted."""
    group: str = ""
    """The coding region that it is a stretch of."""
    made: bool = False
    """Whether code drew it."""


def canonical(gene: Gene) -> Gene:
    """Upper case, U read as T.

    Raises RecordError: "no_codons" for bases that are no whole number of codons, "bad_letter" for another letter than a
    base or one of the twenty residues, "bad_length" for a protein with another number of residues than codons.
    """
    cds = gene.cds.upper().replace("U", "T")
    protein = None if gene.protein is None else gene.protein.upper()
    if not cds or len(cds) % 3:
        raise RecordError(
            "no_codons",
            f"'{gene.id}' has {len(cds)} bases, expected whole codons: a multiple of three from 3",
            record=gene.id,
        )
    for letters, known, what in ((cds, BASES, "base"), (protein or "", RESIDUES, "residue")):
        bad = next((i for i, letter in enumerate(letters) if letter not in known), None)
        if bad is not None:
            raise RecordError(
                "bad_letter",
                f"'{gene.id}', {what} {bad + 1}: got {letters[bad]!r}, expected one of {known}",
                record=gene.id,
                position=bad,
            )
    if protein is not None and len(protein) != len(cds) // 3:
        raise RecordError(
            "bad_length", f"'{gene.id}' has {len(cds) // 3} codons and {len(protein)} residues", record=gene.id
        )
    return Gene(gene.id, cds, protein, gene.group, gene.made)


@cache
def genetic_code(table: int = STANDARD) -> dict[str, str]:
    """Codon to residue of NCBI's table of that number; stops are left out."""
    from Bio.Data import CodonTable

    return dict(CodonTable.unambiguous_dna_by_id[table].forward_table)


def translate(cds: str, table: int = STANDARD) -> str:
    """The residues of whole codons, the first one read as any other. Raises KeyError for a stop or another letter."""
    code = genetic_code(table)
    return "".join(code[cds[i : i + 3]] for i in range(0, len(cds), 3))


@dataclass(frozen=True)
class LeftOut:
    """A coding region that is not translated."""

    id: str
    reason: str
    message: str


def genes_of(record: SeqRecord, codons: int, notes: Counter[str]) -> Iterator[Gene | LeftOut]:
    """The coding regions of a GenBank record in stretches of at most so many codons, introns cut out, stop left out.

    The protein is what the region's /transl_table says of its codons; where /translation says otherwise (another start,
    RNA editing) that is noted, and bases behind the last whole codon as well. Regions with an unknown base or a stop
    inside, of a table that nobody knows, partly in another record, or without a codon are left out.
    """
    for number, feature in enumerate(coding_regions(record), 1):
        said: dict[str, list[str]] = feature.qualifiers
        gene = next((said[key][0] for key in ("gene", "locus_tag", "protein_id") if key in said), str(number))
        group = f"{name_of(record)}:{gene}:{number}"
        try:
            letters, table = _spliced(feature, record), _table(said)
            protein = translate(without_stop(letters, table), table)
        except KeyError as codon:
            yield LeftOut(group, "not_translated", f"'{group}': {codon} is a stop or no codon of table {table}")
            continue
        except ValueError as error:
            yield LeftOut(group, "not_readable", f"'{group}': {error}")
            continue
        if not protein:
            yield LeftOut(group, "no_codons", f"'{group}' has no codon beside its stop")
            continue
        if len(letters) % 3:
            notes["coding regions with bases behind their last whole codon"] += 1
        if "translation" in said and said["translation"][0] != protein:
            notes["translations that differ from the codons' own (starts, RNA editing)"] += 1
        for first in range(0, len(protein), codons):
            piece = protein[first : first + codons]
            yield Gene(f"{group}:{first + 1}", letters[3 * first : 3 * (first + len(piece))], piece, group)


def without_stop(letters: str, table: int) -> str:
    """The whole codons without the stop at their end, where there is one."""
    whole = letters[: len(letters) // 3 * 3]
    last = whole[-3:]
    return whole[:-3] if last and last not in genetic_code(table) and not set(last) - set(BASES) else whole


def _spliced(feature: Any, record: SeqRecord) -> str:
    """The region's bases from its first whole codon on. Raises ValueError where they are not all in the record."""
    start = int(feature.qualifiers.get("codon_start", ["1"])[0]) - 1
    return letters_of(SeqRecord(feature.extract(record.seq)))[start:].decode("ascii").upper()


def _table(said: dict[str, list[str]]) -> int:
    """Number of the region's genetic code. Raises ValueError for one that NCBI does not have."""
    from Bio.Data import CodonTable

    given = said.get("transl_table", [str(STANDARD)])[0]
    if not given.isdecimal() or int(given) not in CodonTable.unambiguous_dna_by_id:
        raise ValueError(f"transl_table {given} is no genetic code of NCBI's")
    return int(given)
