"""Wild types as records of their own, before their variants: a store of a scan has pairs that `what=[compare]` scores.

A variant and its mutations give its wild type back, so no file has to hold it. Where the table has a row for it, that
row is the reference if it comes before the variants; else one is put there, without a score, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from Bio.SeqRecord import SeqRecord

from core.errors import RecordError
from core.rejects import Reject
from domains.formats.mutations import WILD_TYPE, reference_of
from domains.formats.seq_record import annotation, letters_of, make_record, name_of

NAME = "wild_type"


class WildTypes:
    """Puts them there; `added` counts those of the current pass, `found` the wild types of all its variants."""

    def __init__(self) -> None:
        self.added = self.found = 0

    def before(self, items: Iterable[SeqRecord | Reject]) -> Iterator[SeqRecord | Reject]:
        """The items, each record with a label `mutant` behind its wild type."""
        self.added = self.found = 0
        seen: dict[bytes, str] = {}
        for item in items:
            mutant = None if isinstance(item, Reject) else (annotation(item, "labels") or {}).get("mutant")
            if isinstance(item, Reject) or mutant is None or item.letter_annotations:
                yield item
                continue
            letters = letters_of(item)
            try:
                wild = reference_of(letters, mutant, name_of(item))
            except RecordError:  # of letters and mutations that agree once gaps are taken out, say
                yield item
                continue
            is_wild = mutant.upper() in WILD_TYPE
            if wild not in seen:
                seen[wild] = f"wild type {len(seen) + 1}"
                self.found += 1
                if is_wild:
                    yield _of(item, seen[wild], is_wild=True)
                    continue
                self.added += 1
                name = NAME if len(seen) == 1 else f"{NAME}_{len(seen)}"
                first = make_record(wild, name, place=annotation(item, "place"), labels=_blank(item))
                yield _of(_beside(first, item), seen[wild], is_wild=True)
            yield item if is_wild else _of(item, seen[wild], is_wild=False)


def _of(record: SeqRecord, key: str, *, is_wild: bool) -> SeqRecord:
    known: Any = (key, is_wild)
    record.annotations["reference"] = known
    return record


def _blank(variant: SeqRecord) -> dict[str, Any]:
    """A variant's labels without what was measured of it."""
    labels: dict[str, Any] = annotation(variant, "labels")
    return {k: "WT" if k == "mutant" else "" if isinstance(v, str) else float("nan") for k, v in labels.items()}


def _beside(wild: SeqRecord, variant: SeqRecord) -> SeqRecord:
    """On the side of the split that trains, in the group of none of its variants."""
    if annotation(variant, "split") is not None:
        wild.annotations["split"] = "train"
    return wild
