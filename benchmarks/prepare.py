"""How fast FASTA becomes a store: read, check, encode, compress, hash, fsync, on one core, without leakage search.

    python benchmarks/prepare.py [--records dna|proteins] [--megabytes 200] [--runs 5] [--json]

Writes a FASTA file of random letters (the hardest to compress), prepares it five times and prints the median in MB of
FASTA a second of wall time and of CPU time (the same on a quiet machine), then what each stage adds, measured by
running the stages one longer each time. DNA is contigs of 5 Mb whose last part is tested on. Proteins are of 480
residues on average; they are dealt out at random, for which `prepare` looks at copies: that is a stage of its own,
behind the one that counts. A numpy write of the same tokens to one file stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.data_report import LetterCounts
from core.ingest import prepare_store
from core.rows import Rows
from core.sequence import Sequence
from core.split import SplitConfig
from core.store.writer import TokenStoreWriter
from core.tokenizer import describe
from domains.dna.source import open_source as open_dna
from domains.dna.tokenizer import NucleotideTokenizer
from domains.proteins.source import open_source as open_proteins
from domains.proteins.tokenizer import RESIDUES, ResidueTokenizer

KEEP = "pack, hash, fsync"
"""The stage up to which speed is told."""


def write_fasta(path: Path, megabytes: int, lengths: Iterator[int], alphabet: str, line: int) -> int:
    """Random letters in lines, records of these lengths; returns how many letters."""
    rng = np.random.default_rng(0)
    known = np.frombuffer(alphabet.encode("ascii"), np.uint8)
    record = total = 0
    with path.open("wb") as file:
        while file.tell() < megabytes * 1_000_000:
            length = next(lengths)
            letters = known[rng.integers(0, len(known), length, dtype=np.uint8)]
            whole = length // line * line
            body = np.full((whole // line, line + 1), ord("\n"), np.uint8)
            body[:, :line] = letters[:whole].reshape(-1, line)
            tail = letters[whole:].tobytes() + b"\n" if whole < length else b""
            file.write(f">record_{record} made by code, without a meaning\n".encode() + body.tobytes() + tail)
            record, total = record + 1, total + length
    return total


def contigs(length: int) -> Iterator[int]:
    while True:
        yield length


def proteins() -> Iterator[int]:
    """Lengths like UniProt's: 30 residues and more, 480 on average."""
    rng = np.random.default_rng(1)
    while True:
        yield 30 + int(rng.gamma(2, 225))


def timed(work: Callable[[], Any], runs: int) -> tuple[float, float]:
    """Median seconds of wall time and of CPU time."""
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def stages(source: Any, tokenizer: Any, path: Path, out: Path) -> dict[str, Callable[[], Any]]:
    """Name to work; each does what the one before does, and more."""

    def items() -> Iterator[Any]:
        return source.rows() if hasattr(source, "rows") else iter(source)

    def read() -> None:
        with path.open("rb") as file:
            while file.read(2**20):
                pass

    def records() -> None:
        for item in items():
            if not isinstance(item, Rows):
                source.letters(item)

    def counted() -> Iterator[Any]:
        counts = LetterCounts()
        for item in items():
            counts.add(item.letters if isinstance(item, Rows) else source.letters(item))
            yield item

    def count() -> None:
        for _ in counted():
            pass

    def encode() -> None:
        for item in counted():
            tokenizer.encode_rows(item.letters, item.lengths) if isinstance(item, Rows) else tokenizer.encode(item)

    def place() -> Path:
        return out / f"{len(list(out.iterdir()))}.zarr"

    def keep() -> None:
        given: Any = {"domain": "", "source": source.provenance}
        with TokenStoreWriter(place(), tokenizer.spec, describe(tokenizer), **given) as writer:
            for item in counted():
                tokens = tokenizer.encode_rows(item.letters, item.lengths)
                writer.append_rows([Sequence({"tokens": tokens}, item.names[0])], item.lengths, item.names)
                item.counted()
            lengths = writer.row_lengths
            spans = np.stack([np.arange(len(lengths)), np.zeros_like(lengths), lengths], axis=1)
            writer.finish(spans=spans, span_split=np.zeros(len(lengths), np.uint8), counts={}, split={})

    def whole() -> None:
        rule = SplitConfig("random" if hasattr(source, "rows") else "last", leakage=False)
        prepare_store(source, tokenizer, place(), split=rule, domain="")

    found = {"read": read, "split into records": records, "count letters": count, "encode": encode}
    if hasattr(source, "rows"):
        return found | {KEEP: keep, "look for copies, deal out": whole}
    return found | {KEEP: whole}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--records", choices=("dna", "proteins"), default="dna")
    arguments.add_argument("--megabytes", type=int, default=200)
    arguments.add_argument("--record-length", type=int, default=5_000_000)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument(
        "--folder", type=Path, default=None, help="where to write; default: the system's temporary one"
    )
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path, out = Path(folder, "random.fa"), Path(folder, "stores")
        out.mkdir()
        if given.records == "dna":
            letters = write_fasta(path, given.megabytes, contigs(given.record_length), "ACGT", 80)
            source, tokenizer = open_dna(path=path), NucleotideTokenizer()
        else:
            letters = write_fasta(path, given.megabytes, proteins(), RESIDUES, 60)
            source, tokenizer = open_proteins(path=path), ResidueTokenizer()
        size = path.stat().st_size / 1e6
        times = {name: timed(work, given.runs) for name, work in stages(source, tokenizer, path, out).items()}
        tokens = np.random.default_rng(0).integers(5, 9, letters, dtype=np.uint8)

        def plain() -> None:
            tokens.tofile(Path(folder, "plain.bin"))
            os.sync()

        plain_wall, _ = timed(plain, given.runs)
        packed = sum(p.stat().st_size for p in (out / "0.zarr").rglob("*") if p.is_file()) / 1e6
    wall, cpu = times[KEEP]
    result = {
        "megabytes_per_second": size / wall,
        "megabytes_per_second_of_cpu": size / cpu,
        "bar": 150,
        "store_bits_per_letter": 8 * packed * 1e6 / letters,
        "numpy_tofile_megabytes_per_second": size / plain_wall,
        "stages_seconds": {name: seconds for name, (seconds, _) in times.items()},
        "machine": platform.processor() or platform.machine(),
        "load": os.getloadavg()[0],
    }
    if given.json:
        print(json.dumps(result, indent=1))
        return
    length = f"{given.record_length:,} bases" if given.records == "dna" else "480 residues on average"
    what, load = f"{size:.0f} MB, records of {length}", os.getloadavg()[0]
    print(f"prepare: {size / wall:.0f} MB/s of wall time, {size / cpu:.0f} MB/s of CPU time (bar: 150), one core")
    print(f"  {what}, median of {given.runs}, load {load:.1f}")
    print(f"  store: {result['store_bits_per_letter']:.2f} bits a letter")
    print(f"  numpy.tofile and sync: {size / plain_wall:.0f} MB/s")
    before = (0.0, 0.0)
    for name, now in times.items():
        added = [1e3 * (a - b) / size for a, b in zip(now, before, strict=True)]
        print(f"  {name:<30} {added[0]:6.2f} ns/byte wall, {added[1]:6.2f} CPU")
        before = now


if __name__ == "__main__":
    main()
