"""From texts to canonical molecules, in order, on as many cores as there are: parsing is what prepare spends time on.

Texts go through in chunks. A few are worked on here, many by worker processes; results come back in the order of the
texts. A worker knows nothing but its chunk.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from typing import Any

from core.errors import RecordError
from core.rejects import Reject
from domains.formats.smiles_table import MoleculeText
from domains.molecules.descriptors import property_of, scaffold_of
from domains.molecules.molecule import Molecule
from domains.molecules.parsing import canonical_smiles, cleaned, mol_smiles, parse

CHUNK = 1000
"""Texts that a worker gets at once: a quarter of a second."""
ALONE = 20
"""Chunks up to which no workers are started: they take two seconds to load RDKit."""


@dataclass(frozen=True)
class Treatment:
    """What is done with every text."""

    cleaning: tuple[str, ...] = ()
    """See `parsing.CLEANING`."""
    trusted: bool = False
    """Take SMILES as canonical without parsing them."""
    scaffolds: bool = False
    """Group molecules by their Bemis-Murcko scaffold."""
    properties: tuple[str, ...] = ()
    """What is computed and becomes a label."""

    @property
    def parses(self) -> bool:
        return not self.trusted or bool(self.scaffolds or self.properties)


@dataclass
class Read:
    """What came of one text."""

    smiles: str = ""
    group: str | None = None
    labels: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    """Set where it was refused."""
    message: str = ""


def read_texts(
    items: Iterable[MoleculeText | Reject], treatment: Treatment, workers: int
) -> Iterator[Molecule | Reject]:
    """Molecules and rejects in the order of the texts.

    Args:
        workers: processes; 0: as many as this process may use cores, none for a few texts.
    """
    chunks = _chunks(items)
    first = list(islice(chunks, ALONE)) if workers == 0 else []
    for chunk in first:
        yield from _joined(chunk, _work(_texts(chunk), treatment))
    n = workers or _cores()
    if n < 2 or not treatment.parses:
        for chunk in chunks:
            yield from _joined(chunk, _work(_texts(chunk), treatment))
        return
    ahead = next(chunks, None)
    if ahead is None:
        return
    # "spawn": a forked copy of a process that has threads of torch may hang
    with ProcessPoolExecutor(n, mp_context=get_context("spawn")) as pool:
        waiting: deque[tuple[list[MoleculeText | Reject], Future[list[Read]]]] = deque()
        try:
            while ahead is not None or waiting:
                while ahead is not None and len(waiting) < 4 * n:
                    waiting.append((ahead, pool.submit(_work, _texts(ahead), treatment)))
                    ahead = next(chunks, None)
                chunk, future = waiting.popleft()
                yield from _joined(chunk, future.result())
        finally:
            for _, future in waiting:
                future.cancel()


def _chunks(items: Iterable[MoleculeText | Reject]) -> Iterator[list[MoleculeText | Reject]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _texts(chunk: list[MoleculeText | Reject]) -> list[tuple[str, str, str]]:
    return [(item.form, item.text, item.id) for item in chunk if isinstance(item, MoleculeText)]


def _joined(chunk: list[MoleculeText | Reject], done: list[Read]) -> Iterator[Molecule | Reject]:
    results = iter(done)
    for item in chunk:
        if isinstance(item, Reject):
            yield item
            continue
        read = next(results)
        file, line, offset = item.place
        if read.reason:
            yield Reject(file, item.index, item.id, line, offset, read.reason, read.message)
            continue
        labels = {**item.labels, **read.labels} if read.labels else item.labels
        yield Molecule(
            read.smiles, item.id, labels, read.group or item.group, item.split, item.stamp, item.place, canonical=True
        )


def _work(texts: list[tuple[str, str, str]], treatment: Treatment) -> list[Read]:
    return [_read(form, text, name, treatment) for form, text, name in texts]


def _read(form: str, text: str, name: str, treatment: Treatment) -> Read:
    try:
        if form != "smiles":
            mol: Any = _from_block(form, text, name)
            smiles = mol_smiles(cleaned(mol, treatment.cleaning), name)
        elif treatment.trusted:
            smiles = _trusted(text, name)
        else:
            smiles = canonical_smiles(text, name, treatment.cleaning)
        if not treatment.scaffolds and not treatment.properties:
            return Read(smiles)
        mol = parse(smiles, name)
        group = scaffold_of(mol) or "acyclic" if treatment.scaffolds else None
        return Read(smiles, group, {what: property_of(mol, what) for what in treatment.properties})
    except RecordError as error:
        return Read(reason=error.reason, message=error.message)


def _trusted(text: str, name: str) -> str:
    """Raises RecordError for what no SMILES can be; all else is the tokenizer's to refuse."""
    if not text or not text.isascii() or any(c.isspace() for c in text):
        parse(text, name)
    return text


def _from_block(form: str, text: str, name: str) -> Any:
    """Raises RecordError where RDKit cannot read it."""
    from rdkit import Chem

    from domains.molecules.parsing import quiet

    quiet()
    mol = Chem.MolFromMolBlock(text) if form == "sdf" else Chem.MolFromMol2Block(text)
    if mol is None:
        what = "mol block" if form == "sdf" else "MOL2 record"
        raise RecordError("unparsable", f"molecule '{name}': RDKit cannot read its {what}", record=name)
    if not mol.GetNumAtoms():
        raise RecordError("empty_smiles", f"molecule '{name}' has no atoms", record=name)
    return mol


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
