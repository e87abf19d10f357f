"""Batches of proteins: whole records by length, and from both ends where the tokenizer reads both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.ingest import prepare_store
from core.split import SplitConfig
from domains.proteins.data import open_data, suggest_batching
from domains.proteins.source import open_source
from domains.proteins.tokenizer import RESIDUES, ResidueConfig, ResidueTokenizer


@pytest.mark.parametrize("directions", ["forward", "both"])
def test_proteins_come_whole_and_from_the_ends_that_are_read(tmp_path: Path, directions: str) -> None:
    rng = np.random.default_rng(0)
    text = "".join(f">p{i}\n{''.join(rng.choice(list(RESIDUES), rng.integers(10, 90)))}\n" for i in range(80))
    (tmp_path / "a.fa").write_text(text)
    tokenizer = ResidueTokenizer(ResidueConfig(directions=directions))
    split = SplitConfig(rule="random", k=8)
    prepare_store(open_source(path=tmp_path), tokenizer, tmp_path / "s.zarr", split=split, domain="proteins")
    assert suggest_batching().kind == "buckets"
    module = open_data(tmp_path / "s.zarr", tokenizer, seed=1)
    module.setup("fit")
    starts = []
    for batch in module.train_dataloader():
        targets, counted = batch.targets["tokens"], batch.loss_mask["tokens"]
        starts += targets[:, 0].tolist()
        if directions == "both":
            assert not counted[:, 0].any(), "the mark of the direction is predicted"
    if directions == "both":
        marks = [tokenizer.vocabulary.ids[mark] for mark in ("<n>", "<c>")]
        assert set(starts) == set(marks)
        assert 0.2 < starts.count(marks[1]) / len(starts) < 0.8
    else:
        assert max(starts) < 25
