"""How fast DNA becomes a store: read, check, encode, compress, hash, fsync, on one core, without leakage search.

Writes a FASTA file of random bases (200 MB, the hardest to compress), prepares it five times and prints the median in
MB of FASTA a second of wall time and of CPU time (the same on a quiet machine), then what each stage adds, measured by
running the stages one longer each time. A numpy write of the same tokens to one file stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.data_report import LetterCounts
from core.ingest import prepare_store
from core.split import SplitConfig
from domains.dna.source import DnaSource, open_source
from domains.dna.tokenizer import NucleotideTokenizer


def write_fasta(path: Path, megabytes: int, record_length: int, line: int = 80) -> None:
    """Random bases in lines of 80, `record_length` of them a record."""
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", np.uint8)
    with path.open("wb") as file:
        record = 0
        while file.tell() < megabytes * 1_000_000:
            bases = letters[rng.integers(0, 4, record_length, dtype=np.uint8)]
            whole = record_length // line * line
            body = np.full((whole // line, line + 1), ord("\n"), np.uint8)
            body[:, :line] = bases[:whole].reshape(-1, line)
            tail = bases[whole:].tobytes() + b"\n" if whole < record_length else b""
            file.write(f">contig_{record}\n".encode() + body.tobytes() + tail)
            record += 1


def timed(work: Callable[[], Any], runs: int) -> tuple[float, float]:
    """Median seconds of wall time and of CPU time."""
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def stages(source: DnaSource, tokenizer: NucleotideTokenizer, path: Path, out: Path) -> dict[str, Callable[[], Any]]:
    """Name to work; each does what the one before does, and more."""

    def read() -> None:
        with path.open("rb") as file:
            while file.read(2**20):
                pass

    def records() -> None:
        for record in source:
            source.letters(record)

    def count() -> None:
        counts = LetterCounts()
        for record in source:
            counts.add(source.letters(record))

    def encode() -> None:
        counts = LetterCounts()
        for record in source:
            counts.add(source.letters(record))
            tokenizer.encode(record)

    def whole() -> None:
        number = len(list(out.iterdir()))
        split = SplitConfig("last", leakage=False)
        prepare_store(source, tokenizer, out / f"{number}.zarr", split=split, domain="dna")

    return {
        "read": read,
        "split into records": records,
        "count letters": count,
        "encode": encode,
        "cut spans, pack, hash, fsync": whole,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
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
        write_fasta(path, given.megabytes, given.record_length)
        size = path.stat().st_size / 1e6
        source, tokenizer = open_source(path=path), NucleotideTokenizer()
        times = {name: timed(work, given.runs) for name, work in stages(source, tokenizer, path, out).items()}
        tokens = np.random.default_rng(0).integers(5, 9, int(size * 1e6 * 80 / 81), dtype=np.uint8)

        def plain() -> None:
            tokens.tofile(Path(folder, "plain.bin"))
            os.sync()

        plain_wall, _ = timed(plain, given.runs)
        packed = sum(p.stat().st_size for p in (out / "0.zarr").rglob("*") if p.is_file()) / 1e6
    wall, cpu = times["cut spans, pack, hash, fsync"]
    result = {
        "megabytes_per_second": size / wall,
        "megabytes_per_second_of_cpu": size / cpu,
        "bar": 150,
        "store_bits_per_base": 8 * packed / (size * 80 / 81),
        "numpy_tofile_megabytes_per_second": size / plain_wall,
        "stages_seconds": {name: seconds for name, (seconds, _) in times.items()},
        "machine": platform.processor() or platform.machine(),
        "load": os.getloadavg()[0],
    }
    if given.json:
        print(json.dumps(result, indent=1))
        return
    bases, load = f"{size:.0f} MB, records of {given.record_length:,} bases", os.getloadavg()[0]
    print(f"prepare: {size / wall:.0f} MB/s of wall time, {size / cpu:.0f} MB/s of CPU time (bar: 150), one core")
    print(f"  {bases}, median of {given.runs}, load {load:.1f}")
    print(
        f"  store: {result['store_bits_per_base']:.2f} bits a base; numpy.tofile and sync: {size / plain_wall:.0f} MB/s"
    )
    before = (0.0, 0.0)
    for name, now in times.items():
        added = [1e3 * (a - b) / size for a, b in zip(now, before, strict=True)]
        print(f"  {name:<30} {added[0]:6.2f} ns/byte wall, {added[1]:6.2f} CPU")
        before = now


if __name__ == "__main__":
    main()
