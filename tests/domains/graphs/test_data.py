"""Batches of graphs: whole, walked anew in every epoch, and learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import foretell
from core.ingest import prepare_store
from core.sequence import Sequence
from core.split import SplitConfig
from core.vocabulary import EOS
from domains.graphs.data import open_data, suggest_batching
from domains.graphs.graph import Graph
from domains.graphs.source import open_source
from domains.graphs.tokenizer import SentConfig, SentTokenizer


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("planar") / "planar.zarr"
    source = open_source(data="planar", nodes=[6, 9], count=60, held_out=4)
    prepare_store(
        source, SentTokenizer(SentConfig(max_nodes=16)), out, split=SplitConfig(rule="given", k=6), domain="graphs"
    )
    return out


def test_batches_hold_whole_graphs_in_new_walks(store: Path) -> None:
    tokenizer = SentTokenizer(SentConfig(max_nodes=16))
    data = open_data(store, tokenizer)
    assert data.batching.kind == "buckets"
    assert data.report()[0].left_out == 0 if hasattr(data.report()[0], "left_out") else True
    seen: dict[int, set[bytes]] = {}
    per_epoch = data.steps_per_epoch(0)
    for batch in data.train_batches(0, 2 * per_epoch):
        for row, place in zip(batch.targets["tokens"].numpy(), batch.rows, strict=True):
            end = int(np.argmax(row == EOS))
            assert row[end] == EOS
            tokens = row[:end].astype(tokenizer.vocabulary.dtype)
            assert isinstance(tokenizer.decode(Sequence({"tokens": tokens})), Graph)
            seen.setdefault(int(place[1]), set()).add(tokens.tobytes())
    assert len(seen) == 60
    assert np.mean([len(walks) for walks in seen.values()]) > 1.8


def test_batching_fits_the_longest(store: Path) -> None:
    from core.store import TokenStore

    lengths = np.diff(TokenStore.open(store).offsets)
    assert suggest_batching(store).length == lengths.max()
    assert suggest_batching([(store, 1.0)]).long == "refuse"


def test_a_few_steps_from_python(store: Path, tmp_path: Path) -> None:
    model = foretell.train(store, tmp_path / "run", size="xs", steps=3, seed=0)
    drawn = model.sample(2, grammar=True, seed=0, max_length=30)
    assert all(isinstance(d.record, Graph) for d in drawn)
    assert model.natural_unit == "edge"
    (likelihood,) = model.score([drawn[0].record])
    assert likelihood.units == len(drawn[0].record.edges)
