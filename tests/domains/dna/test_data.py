"""The DNA data module: windows for genomes, whole records for reads, strands turned in training only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.batching.config import BatchingConfig
from core.ingest import prepare_store
from core.split import SplitConfig
from domains.dna.data import open_data, suggest_batching
from domains.dna.source import open_source
from domains.dna.tokenizer import NucleotideConfig, NucleotideTokenizer


def prepare(tmp_path: Path, lengths: list[int]) -> Path:
    draw = np.random.default_rng(0)
    records = [f">r{i}\n{''.join(draw.choice(list('ACGT'), n))}\n" for i, n in enumerate(lengths)]
    (tmp_path / "in.fa").write_text("".join(records))
    split = SplitConfig(rule="last" if len(lengths) < 5 else "random", test=0.2, validation=0.2)
    tokenizer = NucleotideTokenizer()
    prepare_store(open_source(path=tmp_path / "in.fa"), tokenizer, tmp_path / "s.zarr", split=split, domain="dna")
    return tmp_path / "s.zarr"


def test_a_genome_is_read_in_windows_half_of_them_turned(tmp_path: Path) -> None:
    store = prepare(tmp_path, [40_000])
    batching = BatchingConfig(kind="windows", length=32, batch_size=8, jitter=False)
    turned = NucleotideTokenizer(NucleotideConfig(reverse_complement=0.5))
    data = open_data(store, turned, batching)
    plain = open_data(store, turned, batching, views=False)
    batch, same = next(iter(data.train_batches(0, 1))), next(iter(plain.train_batches(0, 1)))
    assert batch.row_digest() == same.row_digest()
    different = (batch.targets["tokens"] != same.targets["tokens"]).any(dim=1)
    assert 0 < int(different.sum()) < 8
    complement = {5: 8, 6: 7, 7: 6, 8: 5}
    for row in np.flatnonzero(different.numpy()):
        original = same.targets["tokens"][row].tolist()
        assert batch.targets["tokens"][row].tolist() == [complement[token] for token in reversed(original)]


@pytest.mark.parametrize(("lengths", "kind"), [([5000], "windows"), ([60] * 40, "buckets")])
def test_batching_follows_the_records_length(tmp_path: Path, lengths: list[int], kind: str) -> None:
    store = prepare(tmp_path, lengths)
    assert suggest_batching(store).kind == kind
    assert suggest_batching([(store, 1.0), (store, 2.0)]).kind == kind
    assert open_data(store).batching.kind == kind
