"""Sampled molecules as a .smi file: SMILES, name, nats, and whether RDKit reads it as a molecule."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from core.durable import partial_beside, resources_named
from core.errors import RecordError
from domains.molecules.molecule import Molecule
from domains.molecules.parsing import parse


def write_samples(path: Path | str, records: Iterable[Molecule], nats: Iterable[float] | None = None) -> int:
    """Writes a line `SMILES<tab>id<tab>nats=...<tab>valid|invalid` for each record, and says how many.

    The file appears when it is whole. Ids are kept, empty ones become sample_1, sample_2 ... The SMILES are written as
    the model spelled them, invalid ones too: dropping them would flatter it.

    Args:
        nats: each record's negative log-likelihood, EOS included where it was predicted.

    Raises ResourceError where the file cannot be written, ValueError where `nats` are fewer or more than the records.
    """
    path, listed = Path(path), list(records)
    likelihoods = [None] * len(listed) if nats is None else list(nats)
    partial = partial_beside(path)
    with resources_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "w", encoding="utf-8") as file:
                for number, (record, nll) in enumerate(zip(listed, likelihoods, strict=True), 1):
                    words = [record.smiles, record.id or f"sample_{number}"]
                    words += [] if nll is None else [f"nats={nll:.6g}"]
                    file.write("\t".join([*words, "valid" if is_valid(record.smiles) else "invalid"]) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return len(listed)


def is_valid(smiles: str) -> bool:
    """Whether RDKit reads it as a molecule of at least one atom."""
    try:
        parse(smiles)
    except RecordError:
        return False
    return True
