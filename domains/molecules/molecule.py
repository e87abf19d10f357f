"""A molecule as this domain knows it: a SMILES with a name, labels and where it was read.

`canonical` says that the SMILES is RDKit's own canonical form already, so that nobody needs to parse it again: parsing
takes 200 microseconds, everything else together two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

Place = tuple[str, int | None, int | None]
"""File, line from 1, byte offset."""

_ATOM = re.compile(r"\[[^\]]*\]|Cl|Br|[BCNOPSFIbcnops*]")


@dataclass(slots=True)
class Molecule:
    """One molecule. Equal molecules have equal canonical SMILES."""

    smiles: str
    id: str = ""
    labels: dict[str, Any] = field(default_factory=dict)
    group: str | None = None
    """Molecules of one group (a scaffold) stay on one side of a split."""
    split: str | None = None
    """train, validation or test, where the data say so."""
    stamp: float | None = None
    place: Place = ("", None, None)
    canonical: bool = False
    """Whether `smiles` is canonical already."""
    reading: str = ""
    """Another SMILES of the same molecule that is to be encoded in place of the canonical one."""

    def __len__(self) -> int:
        """Atoms that are written: hydrogens count only where they stand as atoms of their own."""
        return len(_ATOM.findall(self.smiles))


def as_molecule(record: Molecule | str) -> Molecule:
    """The record itself, or a nameless molecule of a bare SMILES."""
    return Molecule(record) if isinstance(record, str) else record
