"""Whether the memory of `predict` grows with the number of rows: the peak of a process each, from a token store and
from an array of one's own.

    python benchmarks/predict_memory.py [--rows 10000 1000000] [--length 16] [--json]

A tiny model, so that the rows are what counts. Bar: flat from 10,000 to 1,000,000 rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import zarr

from core.bundle import Bundle, save_bundle
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.prediction.input import Reader
from core.prediction.predict import predict
from core.sequence import Sequence
from core.store import TokenStoreWriter
from core.tokenizer import describe
from core.vocabulary import SPECIALS
from domains.dna.source.rows import dna_row
from domains.dna.tokenizer import NucleotideTokenizer

CHUNK = 2**16


def reader(bundle: Bundle) -> Reader:
    return Reader(NucleotideTokenizer(), text=dna_row)


def make(folder: Path, rows: int, length: int) -> None:
    """A bundle, `rows` rows of random letters as a token store, and the same as an array of letters."""
    tokenizer, described = NucleotideTokenizer(), describe(NucleotideTokenizer())
    model = SequenceModel(tokenizer.spec, ModelConfig(pattern="A", layers=1, width=16, headdim=16, context=length))
    save_bundle(folder / "bundle", model, tokenizer=described, domain="dna", metrics={}, card="", training={})
    draw = np.random.default_rng(0)
    group = zarr.open_group(folder / "own.zarr", mode="w")
    array = group.create_array("letters", shape=(rows, length), dtype="uint8", chunks=(CHUNK, length))
    source = {"what": "random"}
    with TokenStoreWriter(folder / "in.zarr", tokenizer.spec, described, domain="dna", source=source) as writer:
        for first in range(0, rows, CHUNK):
            n = min(CHUNK, rows - first)
            letters = draw.integers(4, size=(n, length)).astype(np.uint8)
            array[first : first + n] = np.frombuffer(b"ACGT", np.uint8)[letters]
            tokens = Sequence({"tokens": (letters + len(SPECIALS)).reshape(-1)})
            writer.append_rows([tokens], np.full(n, length), [str(first + i) for i in range(n)])
        none = np.zeros((0, 3), np.int64)
        counts = {"in": rows, "ok": rows}
        writer.finish(spans=none, span_split=np.zeros(0, np.uint8), counts=counts, split={"rule": "none"})


def measured(folder: Path, form: str, rows: int, length: int) -> dict[str, float]:
    """Peak memory and seconds of a process that predicts all rows."""
    command = [sys.executable, __file__, "--one", str(folder), form, "--length", str(length), "--rows", str(rows)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(out.splitlines()[-1]))


def one(folder: Path, form: str, rows: int) -> None:
    torch.set_num_threads(1)
    given = folder / ("own.zarr" if form == "array" else "in.zarr")
    begin = time.process_time()
    report = predict(folder / "bundle", given, folder / f"{form}.zarr", threads=1, reader=reader, rows_per_block=2**12)
    assert report.ok == rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": round(peak), "cpu_seconds": round(time.process_time() - begin, 1)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "FORM"), help="what the script calls itself with")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.one:
        one(Path(args.one[0]), args.one[1], args.rows[0])
        return
    result = {}
    for rows in args.rows:
        with tempfile.TemporaryDirectory() as place:
            make(Path(place), rows, args.length)
            for form in ("store", "array"):
                result[f"{form} {rows}"] = measured(Path(place), form, rows, args.length)
    if args.json:
        print(json.dumps(result))
        return
    for name, figures in result.items():
        print(f"{name:16} " + "  ".join(f"{key} {value}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
