"""Splice junctions out of R's table of bits: letters, repeats left out, folds that share nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError
from domains.dna.source.splice import FOLDS, SpliceTable
from domains.formats.seq_record import letters_of

rdata = pytest.importorskip("rdata")
BITS = {"A": "100", "C": "010", "G": "001", "T": "000"}


def table(folder: Path, rows: list[tuple[str, str]]) -> Path:
    cells = [[*"".join(BITS[letter] for letter in text), label] for text, label in rows]
    names = [f"V{i + 1}" for i in range(len(cells[0]) - 1)] + ["Class"]
    rdata.write_rda(str(folder / "DNA.rda"), {"DNA": pd.DataFrame(cells, columns=names)})
    return folder / "DNA.rda"


def made(n: int) -> list[tuple[str, str]]:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), 12)) for _ in range(n)]
    return [(text, ("ei", "ie", "n", "n")[i % 4]) for i, text in enumerate(texts)]


def test_bits_are_letters_and_repeats_are_counted(tmp_path: Path) -> None:
    rows = [("ACGT", "ei"), ("TTGA", "n"), ("ACGT", "ei"), ("TTGA", "ie"), ("CCCC", "n")]
    source = SpliceTable(table(tmp_path, rows), 0)
    found = list(source)
    assert [(letters_of(r).decode(), r.annotations["labels"]["class"]) for r in found] == [
        ("ACGT", "ei"),
        ("TTGA", "n"),
        ("CCCC", "n"),
    ]
    assert source.notes == {"rows left out that repeat a sequence": 2, "of them, of another class": 1}
    assert source.records_in == 3


def test_every_record_is_tested_in_one_fold_and_folds_are_alike(tmp_path: Path) -> None:
    path = table(tmp_path, made(200))
    tested: Counter[str] = Counter()
    for fold in range(FOLDS):
        found = list(SpliceTable(path, fold))
        sides = Counter(r.annotations["split"] for r in found)
        assert sides == {"train": 140, "validation": 20, "test": 40}
        test = [r for r in found if r.annotations["split"] == "test"]
        assert {r.annotations["labels"]["fold"] for r in test} == {fold}
        assert Counter(r.annotations["labels"]["class"] for r in test) == {"ei": 10, "ie": 10, "n": 20}
        tested.update(str(r.seq) for r in test)
    assert len(tested) == 200
    assert set(tested.values()) == {1}


def test_folds_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    rows = made(40)
    first = {str(r.seq): r.annotations["labels"]["fold"] for r in SpliceTable(table(tmp_path, rows), 0)}
    second = {str(r.seq): r.annotations["labels"]["fold"] for r in SpliceTable(table(tmp_path, rows[::-1]), 0)}
    assert first == second


def test_a_fold_that_is_not_there_is_refused() -> None:
    from domains.dna.source import SourceConfig

    with pytest.raises(ConfigError, match=r"data\.fold"):
        SourceConfig(fold=5)
