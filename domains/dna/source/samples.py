"""Sampled DNA as a FASTA file, each header with the sequence's likelihood under the model."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path

from Bio.SeqRecord import SeqRecord

from core.durable import partial_beside, resources_named
from domains.formats.fasta import write_fasta
from domains.formats.seq_record import letters_of, make_record, name_of


def write_samples(path: Path | str, records: Iterable[SeqRecord], nats: Iterable[float] | None = None) -> int:
    """Writes `records` as FASTA, `>id nats=... bits_per_base=... length=...`, and says how many.

    The file is there when all of it is. The order is that of the records; ids are kept, empty ones become sample_1 ...

    Args:
        nats: each record's negative log-likelihood, summed over its tokens (EOS included where it was predicted).

    Raises ResourceError where the file cannot be written, ValueError where `nats` are fewer or more than the records.
    """
    path = Path(path)
    partial = partial_beside(path)

    def named() -> Iterator[SeqRecord]:
        pairs = zip(records, repeat(None)) if nats is None else zip(records, nats, strict=True)
        for number, (record, nll) in enumerate(pairs, 1):
            name, letters = name_of(record) or f"sample_{number}", letters_of(record)
            length = len(letters)
            likelihood = ""
            if nll is not None:
                bits = nll / math.log(2) / length if length else math.nan
                likelihood = f" nats={nll:.6g} bits_per_base={bits:.5f}"
            yield make_record(letters, name, f"{name}{likelihood} length={length}")

    with resources_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "w", encoding="utf-8") as file:
                count = write_fasta(file, named())
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return count
