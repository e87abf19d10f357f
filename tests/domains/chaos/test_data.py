"""The data module: windows over trajectories, as long as what there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.store.writer import TokenStoreWriter
from core.tokenizer import describe
from domains.chaos.data import LENGTH, open_data, suggest_batching
from domains.chaos.source import Trajectory
from domains.chaos.tokenizer import StateConfig, StateTokenizer


def make_store(path: Path, lengths: list[int], patch: int = 1):
    records = [Trajectory(f"r{i}", np.random.default_rng(i).normal(size=(n, 2))) for i, n in enumerate(lengths)]
    tokenizer = StateTokenizer(StateConfig(patch=patch)).fit(records)
    spans = np.array([(i, 0, n) for i, n in enumerate(lengths)], np.int64)
    with TokenStoreWriter(path, tokenizer.spec, describe(tokenizer), domain="chaos", source={}) as writer:
        for record in records:
            writer.append(tokenizer.encode(record))
        return writer.finish(spans=spans, span_split=np.zeros(len(lengths), np.uint8), counts={}, split={}), tokenizer


def test_windows_overlap_over_a_long_trajectory(tmp_path: Path) -> None:
    """The example."""
    store, tokenizer = make_store(tmp_path / "s.zarr", [2000])
    data = open_data(store, tokenizer)
    assert (data.batching.kind, data.batching.length) == ("windows", LENGTH)
    assert data.batching.stride < LENGTH
    assert data.steps_per_epoch() >= 2000 / data.batching.stride / data.batching.batch_size - 1


@pytest.mark.parametrize(("lengths", "patch", "length"), [([2000, 20], 1, 20), ([500], 4, 4 * LENGTH), ([50], 4, 48)])
def test_windows_fit_the_shortest_series_and_hold_whole_patches(tmp_path, lengths, patch, length) -> None:
    store, _ = make_store(tmp_path / "s.zarr", lengths, patch)
    batching = suggest_batching(store)
    assert batching.length == length
    assert batching.length % patch == 0
