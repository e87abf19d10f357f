"""Raw files go straight in: each record keeps its row, the refused ones too, and a changed file is noticed."""

import json

import pytest

from core.bundle import load_bundle
from core.errors import ConfigError, InputError, IntegrityError
from core.prediction.input.files import identity_of
from core.prediction.predict import predict
from core.prediction.store import PredictionStore
from tests.core.prediction import readers
from tests.core.prediction.test_predict import keys
from tests.core.tiny import tiny_model, write_bundle

SETTINGS = {"rows_per_block": 2, "threads": 1, "batch_tokens": 64, "reader": readers.letters}


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle", tiny_model())


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "reads"
    folder.mkdir()
    (folder / "a.txt").write_text("one ACGT\ntwo GGCA\nthree\nfour TXA\n")
    (folder / "b.txt").write_text("one TTT\nsix CCCC\n")
    return folder


def given(folder):
    return [folder / "a.txt", folder / "b.txt"]


def test_records_of_files_keep_their_rows_and_names(tmp_path, bundle, folder):
    report = predict(bundle, given(folder), tmp_path / "out.zarr", max_bad=0.5, **SETTINGS)
    assert (report.rows, report.ok, report.refused) == (6, 4, {"bad_letter": 1, "no_letters": 1})
    found = PredictionStore.open(tmp_path / "out.zarr")
    assert found.ids == ["one", "two", "three", "four", "one.2", "six"]
    third = found.refused()[0]
    assert (third["row"], third["line"], third["reason"]) == (2, 3, "no_letters")
    assert third["file"].endswith("a.txt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "out.zarr", "reads"]  # nothing is left beside it


def test_a_second_run_does_nothing_and_a_damaged_block_is_done_again(tmp_path, bundle, folder):
    predict(bundle, given(folder), tmp_path / "out.zarr", max_bad=0.5, **SETTINGS)
    whole = keys(tmp_path / "out.zarr")
    (tmp_path / "out.zarr/nll/c/1").unlink()
    report = predict(bundle, given(folder), tmp_path / "out.zarr", max_bad=0.5, **SETTINGS)
    assert report.blocks_kept == 2
    assert keys(tmp_path / "out.zarr") == whole


def test_a_changed_file_is_refused_with_the_difference(tmp_path, bundle, folder):
    predict(bundle, given(folder), tmp_path / "out.zarr", max_bad=0.5, **SETTINGS)
    (folder / "b.txt").write_text("one TTT\nsix CCCA\n")
    with pytest.raises(IntegrityError, match=r"input\.files\.b\.txt: \w+ -> \w+"):
        predict(bundle, given(folder), tmp_path / "out.zarr", max_bad=0.5, **SETTINGS)


def test_too_many_bad_records_stop_before_anything_is_predicted(tmp_path, bundle, folder):
    listed = tmp_path / "out.zarr.rejects.jsonl"
    with pytest.raises(InputError, match="2 of 6 records") as raised:
        predict(bundle, given(folder), tmp_path / "out.zarr", **SETTINGS)
    assert str(listed) in raised.value.hint
    assert [json.loads(line)["id"] for line in listed.read_text().splitlines()] == ["three", "four"]
    assert list(tmp_path.glob("out.zarr*")) == [listed]  # nothing else is left
    predict(bundle, given(folder), tmp_path / "out.zarr", max_bad=0.5, **SETTINGS)
    assert not listed.exists()  # the output's own list tells it now


def test_a_refused_command_leaves_no_tokens_beside_the_output(tmp_path, bundle, folder):
    with pytest.raises(ConfigError):
        predict(bundle, given(folder), tmp_path / "out.zarr", max_bad=0.5, what=("nothing",), **SETTINGS)
    assert not list(tmp_path.glob("out.zarr*"))
    predict(bundle, given(folder), tmp_path / "out.zarr", max_bad=0.5, **SETTINGS)
    with pytest.raises(IntegrityError, match="another plan"):
        predict(bundle, given(folder), tmp_path / "out.zarr", max_bad=0.5, seed=5, **SETTINGS)
    assert [path.name for path in tmp_path.glob("out.zarr*")] == ["out.zarr"]


def test_what_is_not_there_is_said(tmp_path, bundle):
    with pytest.raises(InputError, match="nothing at"):
        predict(bundle, [tmp_path / "no.txt"], tmp_path / "out.zarr", **SETTINGS)
    with pytest.raises(ConfigError, match="no Zarr group"):
        predict(bundle, tmp_path, tmp_path / "out.zarr", keys={"array": "x"}, **SETTINGS)


def test_the_plan_tells_what_it_was_made_of(tmp_path, bundle, folder):
    predict(bundle, given(folder), tmp_path / "out.zarr", max_bad=0.5, **SETTINGS)
    said = json.loads((tmp_path / "out.zarr/plan.json").read_text())["input"]
    assert (said["kind"], said["rows"], sorted(said["files"])) == ("files", 6, ["a.txt", "b.txt"])


def test_keys_may_be_numbers_that_json_lacks(bundle):
    reader = readers.letters(load_bundle(bundle))
    told = {"missing": ["?", float("inf")], "freq": "h"}
    assert identity_of({}, told, reader)["options"] == {"missing": ["?", "inf"], "freq": "h"}
    json.dumps(identity_of({}, told, reader), allow_nan=False)
