"""Sampled proteins as a FASTA file, each header with the sequence's likelihood under the model."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from Bio.SeqRecord import SeqRecord

from core.durable import partial_beside, resources_named
from domains.formats.fasta import write_fasta
from domains.formats.seq_record import letters_of, make_record, name_of


def write_samples(path: Path | str, records: Iterable[SeqRecord], nats: Iterable[float] | None = None) -> int:
    """Writes `records` as FASTA, `>id nats=... bits_per_residue=... length=...`, and says how many.

    The file appears when it is whole. Ids are kept, empty ones become sample_1, sample_2 ...

    Args:
        nats: each record's negative log-likelihood, EOS included where it was predicted.

    Raises ResourceError where the file cannot be written, ValueError where `nats` are fewer or more than the records.
    """
    path = Path(path)
    partial = partial_beside(path)
    with resources_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "w", encoding="utf-8") as file:
                count = write_fasta(file, _described(records, nats))
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return count


def _described(records: Iterable[SeqRecord], nats: Iterable[float] | None) -> Iterator[SeqRecord]:
    listed = list(records)
    likelihoods = [None] * len(listed) if nats is None else list(nats)
    for number, (record, nll) in enumerate(zip(listed, likelihoods, strict=True), 1):
        name, letters = name_of(record) or f"sample_{number}", letters_of(record)
        words = [name]
        if nll is not None:
            bits = nll / math.log(2) / len(letters) if letters else math.nan
            words += [f"nats={nll:.6g}", f"bits_per_residue={bits:.5f}"]
        yield make_record(letters, name, " ".join([*words, f"length={len(letters)}"]))
