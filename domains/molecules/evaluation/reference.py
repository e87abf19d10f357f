"""What samples are compared with: the whole test set of MOSES for its stores, else the store's own test part.

Statistics of sets of real molecules are measured once and kept in the cache as plain arrays (.npz, no pickle), under a
name made of the molecules and of what was measured.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.durable import resources_named, write_bytes_durably
from core.places import cache_folder
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.formats.package_data import fetch_members
from domains.molecules.evaluation.moses import PROPERTIES, Statistics, read_valid, statistics
from domains.molecules.evaluation.stored import stored_smiles
from domains.molecules.source.datasets import MOLSETS, MOSES_MEMBERS, MOSES_SCAFFOLDS, MOSES_TEST

VERSION = 1
"""Raised when the same molecules would be measured otherwise."""
_OF_STORE = {"moses": MOSES_TEST, "moses_scaffolds": MOSES_SCAFFOLDS}


def reference_smiles(store: TokenStore, tokenizer: Tokenizer[Any], split: str, *, whole: bool) -> tuple[str, list[str]]:
    """What the reference is called and its SMILES.

    Args:
        whole: of a store made from MOSES, its published test set in place of the part that the store has.

    Raises ResourceError where MOSES is not there and cannot be fetched.
    """
    name = str(store.source.get("name", ""))
    if whole and split == "test" and name in _OF_STORE:
        member = _OF_STORE[name]
        path = fetch_members(MOLSETS, {member: MOSES_MEMBERS[member]})[member]
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            return f"all of {name}", [row["SMILES"] for row in csv.DictReader(file)]
    return f"{store.name}/{split}", list(stored_smiles(store, tokenizer, store.spans(split)))


def cached_statistics(
    smiles: Sequence[str],
    *,
    fcd: bool,
    costly: int,
    names: Sequence[str] = PROPERTIES,
    say: Callable[[str], None] = lambda text: None,
) -> Statistics:
    """The statistics of real molecules, measured once on this machine; arguments as of `moses.statistics`."""
    import rdkit

    key = hashlib.sha256(f"{VERSION} {rdkit.__version__} {fcd} {costly} {list(names)}\n".encode())
    for text in smiles:
        key.update(text.encode() + b"\n")
    path = cache_folder() / "molecules" / f"statistics-{key.hexdigest()[:32]}.npz"
    if path.is_file():
        return load_statistics(path)
    valid = read_valid(smiles)
    found = statistics(valid.smiles, valid.mols, fcd=fcd, costly=costly, names=names, say=say)
    save_statistics(found, path)
    return found


def save_statistics(found: Statistics, path: Path) -> None:
    """Raises ResourceError where it cannot be written."""
    arrays: dict[str, NDArray[Any]] = {"n": np.array([found.n, found.costly]), "packed": found.packed}
    for name, counts in (("fragments", found.fragments), ("scaffolds", found.scaffolds)):
        arrays[name] = np.frombuffer("\n".join(counts).encode(), np.uint8)
        arrays[f"{name}_counts"] = np.array(list(counts.values()), np.int64)
    arrays |= {f"property_{name}": values for name, values in found.properties.items()}
    if found.mean is not None and found.covariance is not None:
        arrays |= {"mean": found.mean, "covariance": found.covariance}
    made = io.BytesIO()
    np.savez_compressed(made, allow_pickle=False, **arrays)
    with resources_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_durably(path, made.getvalue())


def load_statistics(path: Path) -> Statistics:
    with np.load(path, allow_pickle=False) as arrays:
        counted = {}
        for name in ("fragments", "scaffolds"):
            names = bytes(arrays[name]).decode()
            counts = arrays[f"{name}_counts"].tolist()
            counted[name] = Counter(dict(zip(names.split("\n"), counts, strict=True)) if counts else {})
        n, costly = arrays["n"].tolist()
        return Statistics(
            n,
            arrays["packed"],
            counted["fragments"],
            counted["scaffolds"],
            {name: arrays[f"property_{name}"] for name in PROPERTIES if f"property_{name}" in arrays},
            arrays.get("mean"),
            arrays.get("covariance"),
            costly,
        )
