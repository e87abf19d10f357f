"""Input and output at a URL: the same bytes as in a folder, begun once, resumed, and never of two plans."""

import fsspec
import numpy as np
import pytest
import xarray

from core.errors import ConfigError, IntegrityError
from core.places import place
from core.prediction import block
from core.prediction.layout import PLAN
from core.prediction.predict import predict
from core.prediction.store import PredictionStore
from tests.core.prediction import readers
from tests.core.prediction.input.test_arrays import own_group
from tests.core.prediction.test_predict import keys
from tests.core.tiny import records, tiny_model, write_bundle, write_store

SETTINGS = {"rows_per_block": 4, "threads": 1, "batch_tokens": 64, "what": ("score", "token_scores")}


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle", tiny_model())


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "in.zarr", records(3, 0, 16, 17, 20, 40, 1, 16, 5), shard_tokens=64)


@pytest.fixture
def memory():
    """A file system of its own for each test."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    return files


def put(memory, folder, name):
    for file in folder.rglob("*"):
        if file.is_file():
            memory.pipe_file(f"/{name}/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return f"memory://{name}"


def contents(memory, name):
    """As `keys` gives them of a folder."""
    from hashlib import sha256

    found = {path.removeprefix(f"/{name}/"): memory.cat_file(path) for path in memory.find(f"/{name}")}
    return {key: sha256(data).hexdigest() for key, data in found.items()}


def test_a_url_goes_in_and_a_url_comes_out(tmp_path, bundle, store, memory):
    predict(bundle, store.path, tmp_path / "out.zarr", **SETTINGS)
    report = predict(bundle, put(memory, store.path, "in.zarr"), "memory://there/out.zarr", **SETTINGS)
    assert (report.rows, report.ok) == (9, 9)
    assert contents(memory, "there/out.zarr") == keys(tmp_path / "out.zarr")
    found = PredictionStore.open("memory://there/out.zarr", verify="full")
    assert found.ids == list(store.ids)
    assert len(found.row("token_nll", 5)) == 41
    assert np.array_equal(xarray.open_zarr("memory://there/out.zarr").nll, found["nll"])


@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
def test_arrays_at_a_url_are_read_where_they_lie(tmp_path, bundle, memory):
    own = own_group(tmp_path / "own.zarr")
    named = {"keys": {"array": "reads"}, "reader": readers.letters}
    predict(bundle, own, tmp_path / "out.zarr", **SETTINGS, **named)
    url = put(memory, own, "own.zarr")
    predict(bundle, url, "memory://out.zarr", **SETTINGS, **named)
    assert contents(memory, "out.zarr") == keys(tmp_path / "out.zarr")
    memory.rm_file("/own.zarr/reads/c/1")
    with pytest.raises(IntegrityError, match="another plan"):
        predict(bundle, url, "memory://out.zarr", **SETTINGS, **named)


def test_an_interrupted_run_goes_on_at_a_url(tmp_path, bundle, store, memory, monkeypatch):
    predict(bundle, store.path, tmp_path / "whole.zarr", **SETTINGS)
    original = block.marker_bytes

    def dies(plan_hash, index, *rest):
        if index == 1:
            raise KeyboardInterrupt
        return original(plan_hash, index, *rest)

    monkeypatch.setattr(block, "marker_bytes", dies)
    with pytest.raises(KeyboardInterrupt):
        predict(bundle, store.path, "memory://out.zarr", **SETTINGS)
    with pytest.raises(IntegrityError, match="not complete: 2 of 3 blocks"):
        PredictionStore.open("memory://out.zarr")
    monkeypatch.setattr(block, "marker_bytes", original)
    assert predict(bundle, store.path, "memory://out.zarr", **SETTINGS).blocks_kept == 1
    assert contents(memory, "out.zarr") == keys(tmp_path / "whole.zarr")


def test_what_lies_at_a_url_is_respected(tmp_path, bundle, store, memory):
    predict(bundle, store.path, "memory://out.zarr", **SETTINGS)
    before = contents(memory, "out.zarr")
    with pytest.raises(IntegrityError, match="seed: 0 -> 1"):
        predict(bundle, store.path, "memory://out.zarr", seed=1, **SETTINGS)
    assert contents(memory, "out.zarr") == before
    memory.pipe_file("/mine.zarr/zarr.json", b"{}")
    with pytest.raises(ConfigError, match="is not a prediction store"):
        predict(bundle, store.path, "memory://mine.zarr", **SETTINGS)


def test_an_output_that_was_only_just_begun_is_finished(tmp_path, bundle, store, memory):
    predict(bundle, store.path, tmp_path / "whole.zarr", **SETTINGS)
    memory.pipe_file(f"/out.zarr/{PLAN}", (tmp_path / "whole.zarr" / PLAN).read_bytes())
    predict(bundle, store.path, "memory://out.zarr", **SETTINGS)
    assert contents(memory, "out.zarr") == keys(tmp_path / "whole.zarr")


def test_what_other_processes_do_not_see_is_refused(bundle, store):
    with pytest.raises(ConfigError, match=r"launcher=local: memory://out\.zarr is seen by this process only"):
        predict(bundle, store.path, "memory://out.zarr", launcher="local", **SETTINGS)


def test_an_unknown_protocol_is_refused_with_what_to_do():
    with pytest.raises(ConfigError, match="nosuch"):
        place("nosuch://x")
    assert place("file:///tmp/x").is_absolute()
