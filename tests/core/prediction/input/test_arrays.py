"""A Zarr group of one's own is predicted as the token store of the same records is; what is bad keeps its place."""

import numpy as np
import pytest
import xarray
import zarr

from core.errors import ConfigError, InputError, IntegrityError
from core.launch.options import LaunchOptions
from core.prediction.input.arrays import ArrayInput
from core.prediction.options import PredictOptions
from core.prediction.predict import predict
from core.prediction.store import PredictionStore
from core.tokenizer import describe
from tests.core.prediction import readers
from tests.core.prediction.test_predict import keys
from tests.core.tiny import tiny_model, write_bundle, write_store

pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
TEXTS = ["ACGT", "GG", "TTTACA", "A" * 20, "CAT", "GATTACA", "C", "TGCA", "AACC"]
SETTINGS = {"rows_per_block": 4, "threads": 1, "batch_tokens": 64, "reader": readers.letters}


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle", tiny_model())


@pytest.fixture
def scores(tmp_path, bundle):
    """Of the token store of the same records."""
    encoded = [readers.Letters().encode((f"g{i}", text)) for i, text in enumerate(TEXTS)]
    store = write_store(tmp_path / "tokens.zarr", encoded)
    predict(bundle, store.path, tmp_path / "reference.zarr", **SETTINGS)
    return PredictionStore.open(tmp_path / "reference.zarr")["nll"]


def own_group(path, texts=TEXTS, form="texts", zarr_format=3):
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)

    def add(name, values, chunk=3, **more):
        made = group.create_array(
            name, shape=values.shape, dtype=values.dtype, chunks=(chunk, *values.shape[1:]), **more
        )
        made[...] = values

    add("gene", np.array([f"g{i}" for i in range(len(texts))]))
    if form == "texts":
        add("reads", np.array(texts), **({"dimension_names": ("gene",)} if zarr_format == 3 else {}))
    elif form == "bytes":
        add("reads", np.array([text.encode() for text in texts]))
    elif form == "strings":
        add("reads", np.array(texts, dtype=np.dtypes.StringDType()))
    elif form == "letters":
        add("reads", np.array([list(text.ljust(20, "\0").encode()) for text in texts], np.uint8))
    else:
        add("flat", np.frombuffer("".join(texts).encode(), np.uint8))
        add("starts", np.cumsum([0] + [len(text) for text in texts]), chunk=100)
    return path


@pytest.mark.parametrize("form", ["texts", "bytes", "strings", "letters", "ragged"])
def test_rows_of_any_form_are_predicted_as_their_records_are(tmp_path, bundle, scores, form):
    named = {"values": "flat", "offsets": "starts"} if form == "ragged" else {"array": "reads"}
    named |= {} if form == "texts" else {"ids": "gene"}
    report = predict(bundle, own_group(tmp_path / "own.zarr", form=form), tmp_path / "out.zarr", keys=named, **SETTINGS)
    found = PredictionStore.open(tmp_path / "out.zarr")
    assert (report.rows, report.ok, report.tokens) == (9, 9, sum(map(len, TEXTS)))
    assert found.ids == [f"g{i}" for i in range(9)]  # by its key, or as the coordinate of its dimension
    assert np.allclose(found["nll"], scores, atol=1e-6)
    assert np.allclose(found["bits_per_base"], scores / np.log(2) / [len(text) for text in TEXTS], atol=1e-6)


def test_zarr_2_is_read_as_well(tmp_path, bundle, scores):
    own = own_group(tmp_path / "own.zarr", form="bytes", zarr_format=2)
    predict(bundle, own, tmp_path / "out.zarr", keys={"array": "reads"}, **SETTINGS)
    found = PredictionStore.open(tmp_path / "out.zarr")
    assert np.allclose(found["nll"], scores, atol=1e-6)
    assert found.ids == [str(i) for i in range(9)]


def test_bad_rows_keep_their_place_and_too_many_are_an_error(tmp_path, bundle, scores):
    texts = [*TEXTS[:3], "ACGX", *TEXTS[4:7], "", TEXTS[8]]
    own = own_group(tmp_path / "own.zarr", texts)
    with pytest.raises(InputError, match=r"1 of 9 rows are no records .*\n  First: row 3: 'g3': 'X' is no letter"):
        predict(bundle, own, tmp_path / "out.zarr", keys={"array": "reads"}, **SETTINGS)
    with pytest.raises(IntegrityError, match="not complete"):
        PredictionStore.open(tmp_path / "out.zarr")
    report = predict(bundle, own, tmp_path / "out.zarr", keys={"array": "reads"}, max_bad=0.3, **SETTINGS)
    found = PredictionStore.open(tmp_path / "out.zarr")
    assert (report.ok, report.refused, report.blocks_kept) == (7, {"bad_letter": 1, "too_short": 1}, 1)
    assert [(r["row"], r["id"], r["reason"], r["status"]) for r in found.refused()] == [
        (3, "g3", "bad_letter", "bad_record"),
        (7, "g7", "too_short", "bad_record"),
    ]
    good = np.delete(np.arange(9), [3, 7])
    assert np.allclose(found["nll"][good], scores[good], atol=1e-6)
    assert np.isnan(found["nll"][[3, 7]]).all()


def test_which_array_is_meant_must_be_plain(tmp_path, bundle):
    own = own_group(tmp_path / "own.zarr", form="ragged")
    for named, message in (
        ({}, "which of its arrays is to be predicted"),
        ({"array": "redas"}, "no array 'redas'"),
        ({"values": "flat"}, "input.values=NAME with input.offsets=NAME"),
        ({"values": "flat", "offsets": "gene"}, "expected integers"),
        ({"array": "starts"}, "holds int64"),
        ({"array": "flat"}, "end to end"),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            predict(bundle, own, tmp_path / "out.zarr", keys=named, **SETTINGS)
        assert "/" in caught.value.message or caught.value.hint or "input." in caught.value.message
    with pytest.raises(InputError, match="nothing at"):
        predict(bundle, tmp_path / "nowhere.zarr", tmp_path / "out.zarr", **SETTINGS)
    assert not (tmp_path / "out.zarr").exists()


def test_an_input_that_changed_is_refused_with_its_file_named(tmp_path, bundle):
    own = own_group(tmp_path / "own.zarr")
    predict(bundle, own, tmp_path / "out.zarr", keys={"array": "reads"}, **SETTINGS)
    whole = keys(tmp_path / "out.zarr")
    zarr.open_group(own)["reads"][5] = "GATTACC"
    with pytest.raises(IntegrityError, match=r"(?s)input.fingerprint: .*file of the input reads/c/1: "):
        predict(bundle, own, tmp_path / "out.zarr", keys={"array": "reads"}, **SETTINGS)
    assert keys(tmp_path / "out.zarr") == whole


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_damage_that_comes_while_it_runs_costs_its_own_blocks(tmp_path, bundle, damage, monkeypatch):
    own = own_group(tmp_path / "own.zarr")
    chunk, original = own / "reads/c/1", ArrayInput.read

    def read(self, start, stop):
        data = bytearray(chunk.read_bytes()) if chunk.exists() else bytearray()
        if start == 0 and damage == "missing":
            chunk.unlink()
        elif start == 0:
            data[9] ^= 4
            chunk.write_bytes(data[: 7 if damage == "truncated" else None])
        return original(self, start, stop)

    monkeypatch.setattr(ArrayInput, "read", read)
    with pytest.raises(IntegrityError, match=r"(?s)2 of 3 blocks .*block 0, rows 0 to 3: .*reads/c/1 is "):
        predict(bundle, own, tmp_path / "out.zarr", keys={"array": "reads"}, **SETTINGS)
    assert PredictionStore.open(tmp_path / "out.zarr", incomplete=True)["status"].tolist() == [255] * 8 + [0]


def test_a_chunk_that_cannot_be_decoded_names_its_rows(tmp_path, bundle):
    own = own_group(tmp_path / "own.zarr")
    (own / "reads/c/2").write_bytes(b"no chunk at all")
    with pytest.raises(IntegrityError, match=r"(?s)2 of 3 blocks .*block 2, rows 8 to 8: .*reads"):
        predict(bundle, own, tmp_path / "out.zarr", keys={"array": "reads"}, **SETTINGS | {"rows_per_block": 4})


def test_objects_that_must_be_unpickled_are_refused(tmp_path, bundle):
    own = own_group(tmp_path / "own.zarr", form="bytes", zarr_format=2)
    metadata, pickled = (own / "reads/.zarray").read_text(), '"filters": [{"id": "pickle", "protocol": 5}]'
    (own / "reads/.zarray").write_text(metadata.replace('"filters": null', pickled))
    with pytest.raises(IntegrityError, match="pickle"):
        predict(bundle, own, tmp_path / "out.zarr", keys={"array": "reads"}, **SETTINGS)


@pytest.fixture
def series_bundle(tmp_path):
    tokenizer = describe(readers.Values())
    return write_bundle(tmp_path / "values", tiny_model(readers.PAIRS_OF_VALUES), tokenizer=tokenizer)


@pytest.mark.parametrize("dims", [("site", "time", "channel"), ("time", "channel", "site")])
def test_an_array_that_xarray_made_is_forecast_in_any_order_of_axes(tmp_path, series_bundle, dims):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 12, 2))
    values[2] = np.nan
    data = xarray.Dataset(
        {"temperature": (("site", "time", "channel"), values)},
        coords={"site": ["a", "b", "c", "d", "e"], "time": np.arange(12), "channel": ["x", "y"]},
    )
    packed = {"dtype": "int16", "scale_factor": 1 / 4096, "_FillValue": -32768}
    data.transpose(*dims).to_zarr(tmp_path / "own.zarr", encoding={"temperature": packed})
    settings = SETTINGS | {"reader": readers.values, "max_bad": 0.2, "what": ["score", "forecast"]}
    options = PredictOptions(horizon=3, paths=4)
    report = predict(series_bundle, tmp_path / "own.zarr", tmp_path / "out.zarr", options=options, **settings)
    assert (report.rows, report.refused) == (5, {"all_missing": 1})
    tidy = xarray.open_zarr(tmp_path / "out.zarr")
    assert tidy.id.values.tolist() == ["a", "b", "c", "d", "e"]
    assert tidy.forecast.sizes == {"row": 5, "level": 3, "step": 3, "channel": 2}
    there = tidy.forecast.sel(level=0.5).notnull().all(["step", "channel"])
    assert there.values.tolist() == [True, True, False, True, True]
    rows = ArrayInput(tmp_path / "own.zarr", {}, readers.values(None)).read(0, 5)
    assert np.allclose(rows.tokens.arrays["values"][:12], values[0], atol=1e-3)
    shifted = ArrayInput(tmp_path / "own.zarr", {"shift": 2.0}, readers.values(None)).read(0, 1)
    assert np.allclose(shifted.tokens.arrays["values"], values[0] + 2, atol=1e-3)


@pytest.mark.slow
def test_several_processes_write_the_bytes_of_one_from_arrays(tmp_path, bundle):
    own = own_group(tmp_path / "own.zarr")
    for name, more in (("one", {}), ("two", {"launcher": "local", "launch": LaunchOptions(workers=2)})):
        predict(bundle, own, tmp_path / f"{name}.zarr", keys={"array": "reads"}, **SETTINGS, **more)
    assert keys(tmp_path / "one.zarr") == keys(tmp_path / "two.zarr")


def test_chunks_that_were_never_there_are_told(tmp_path, bundle, caplog):
    path = own_group(tmp_path / "own.zarr", form="letters")
    given = {"input": path, "keys": {"array": "reads"}, **SETTINGS}
    predict(bundle, output=tmp_path / "whole.zarr", **given)
    assert "are not there" not in caplog.text
    (path / "reads/c/1/0").unlink()
    report = predict(bundle, output=tmp_path / "out.zarr", max_bad=0.5, **given)
    assert "own.zarr/reads: 1 of 3 chunks are not there and are read as the fill value" in caplog.text
    assert "entries 3 to 5" in caplog.text
    assert report.refused == {"too_short": 3}


def test_an_output_is_finished_with_the_threads_it_was_begun_with(tmp_path, bundle):
    path = own_group(tmp_path / "own.zarr")
    given = {"input": path, "keys": {"array": "reads"}, **{k: v for k, v in SETTINGS.items() if k != "threads"}}
    predict(bundle, output=tmp_path / "out.zarr", threads=3, block_range=(0, 1), **given)
    assert predict(bundle, output=tmp_path / "out.zarr", **given).missing == 0
    with pytest.raises(IntegrityError, match="threads: 3 -> 2"):
        predict(bundle, output=tmp_path / "out.zarr", threads=2, **given)
