"""Proteins of a GenBank file: the `/translation` of each coding region; of a GenPept file the sequence itself."""

from __future__ import annotations

from collections.abc import Iterator

from Bio.SeqRecord import SeqRecord

from core.rejects import Reject
from domains.formats.genbank import read_genbank
from domains.formats.seq_record import annotation, letters_of, make_record, name_of
from domains.formats.text import InputFile


def read_translations(file: InputFile) -> Iterator[SeqRecord | Reject]:
    """The translations in the order of their coding regions, named by protein_id, locus_tag or gene.

    A coding region without one (a pseudogene, a piece) is no record and is counted. A refused GenBank record stays one
    refused record. Raises InputError as `read_genbank` does.
    """
    count = 0
    for item in read_genbank(file):
        if isinstance(item, Reject):
            count += 1
            file.records = count
            yield item
            continue
        for protein in _proteins(item, file):
            count += 1
            file.records = count
            yield protein
        file.records = count
    file.records = count


def _proteins(record: SeqRecord, file: InputFile) -> Iterator[SeqRecord]:
    place = annotation(record, "place")
    if record.annotations.get("molecule_type") == "protein":
        yield make_record(letters_of(record), name_of(record), record.description or "", place=place)
        return
    any_translation = False
    for number, feature in enumerate((f for f in record.features if f.type == "CDS"), 1):
        said = feature.qualifiers
        translation = said.get("translation", [""])[0].replace(" ", "")
        if not translation:
            file.notes["coding regions without a translation"] += 1
            continue
        any_translation = True
        names = (said[key][0] for key in ("protein_id", "locus_tag", "gene") if key in said)
        name = next(names, f"{name_of(record)}_cds{number}")
        product = said.get("product", [""])[0]
        yield make_record(translation.encode("ascii", "replace"), name, f"{name} {product}".strip(), place=place)
    if not any_translation:
        file.notes["GenBank records without a translation"] += 1
