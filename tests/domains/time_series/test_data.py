"""Windows that suit the series."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from domains.time_series.data import open_data, suggest_batching
from domains.time_series.tokenizer import PatchConfig, PatchTokenizer
from tests.domains.time_series.made import daily, make_store


def test_windows_are_whole_patches_and_fit_the_series(tmp_path: Path) -> None:
    long = make_store(tmp_path / "long.zarr", [daily(3000)])
    batching = suggest_batching(long)
    assert (batching.kind, batching.length, batching.stride) == ("windows", 28 * 24, 23)
    short = make_store(tmp_path / "short.zarr", [daily(200)])
    assert suggest_batching(short).length == 120
    fine = make_store(tmp_path / "fine.zarr", [daily(30)], PatchTokenizer(PatchConfig(patch=4)))
    assert suggest_batching(str(tmp_path / "fine.zarr")).length == suggest_batching([(fine, 1.0)]).length == 20


def test_batches_hold_patches_of_the_training_part(tmp_path: Path) -> None:
    store = make_store(tmp_path / "a.zarr", [daily(1000)])
    module = open_data(store, PatchTokenizer.from_config(store.tokenizer["config"]))
    batch = next(iter(module.train_batches(0, 1)))
    values = batch.inputs.fields["values"]
    assert values.shape[-1] == 24
    assert np.isfinite(np.asarray(values)).all()


def test_an_epoch_starts_windows_at_every_hour_of_the_day(tmp_path: Path) -> None:
    """Else a model that reads days as patches would know days that begin at one hour only."""
    store = make_store(tmp_path / "a.zarr", [daily(3000)])
    module = open_data(store, PatchTokenizer.from_config(store.tokenizer["config"]))
    hours = [b.inputs.fields["hour_of_week"][:, 0] % 24 for b in module.train_batches(0, module.steps_per_epoch(0))]
    assert len(np.unique(np.concatenate(hours))) == 24
