"""Weight files of every kind are read; damage is named, and code in a pickle is never run."""

import json
import os

import pytest
import torch
from safetensors.torch import save_file

from core.errors import InputError, IntegrityError
from core.interchange.weights import open_weights

A, B = torch.arange(6.0).view(2, 3), torch.ones(4, dtype=torch.bfloat16)


class RunsWhenUnpickled:
    """What a hostile file holds: a command instead of weights."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def shards(folder, name, save):
    """Two files and their index."""
    save({"a": A}, folder / f"1-of-2{name}")
    save({"b": B}, folder / f"2-of-2{name}")
    index = {"metadata": {}, "weight_map": {"a": f"1-of-2{name}", "b": f"2-of-2{name}"}}
    (folder / f"{'model' if name == '.safetensors' else 'pytorch_model'}{name}.index.json").write_text(
        json.dumps(index)
    )


LAYOUTS = {
    "safetensors": lambda folder: save_file({"a": A, "b": B}, folder / "model.safetensors"),
    "bin": lambda folder: torch.save({"a": A, "b": B}, folder / "pytorch_model.bin"),
    "old bin": lambda folder: torch.save(
        {"a": A, "b": B}, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False
    ),
    "shards of safetensors": lambda folder: shards(folder, ".safetensors", save_file),
    "shards of bin": lambda folder: shards(folder, ".bin", torch.save),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_and_shapes_are_known_before_a_tensor_is_read(layout, tmp_path):
    LAYOUTS[layout](tmp_path)
    stored = open_weights(tmp_path)
    assert stored.shapes == {"a": (2, 3), "b": (4,)}
    assert torch.equal(stored.tensor("a"), A)
    assert torch.equal(stored.tensor("b"), B)
    assert all(path.parent == tmp_path for path in stored.files)


def test_safetensors_are_preferred(tmp_path):
    save_file({"a": A}, tmp_path / "model.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(b"never looked at")
    assert open_weights(tmp_path).files == (tmp_path / "model.safetensors",)


def test_pickled_code_is_refused_and_not_run(tmp_path):
    trace = tmp_path / "it_ran"
    torch.save({"a": A, "b": RunsWhenUnpickled(f"touch {trace}")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="holds pickled code, which is not run"):
        open_weights(tmp_path)
    assert not trace.exists()


def test_a_bin_of_other_things_than_tensors_is_refused(tmp_path):
    for value, said in (([A], "holds a list"), ({"a": 3}, "holds int under 'a'"), ({7: A}, "under 7")):
        torch.save(value, tmp_path / "pytorch_model.bin")
        with pytest.raises(InputError, match=said):
            open_weights(tmp_path)


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    torch.save({"a": torch.ones(1).expand(10_000, 10_000)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(IntegrityError, match="claims more bytes than the file has"):
        open_weights(tmp_path)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"\0" * len(data), lambda data: b""]
)
def test_damage_is_named(layout, damage, tmp_path):
    LAYOUTS[layout](tmp_path)
    file = open_weights(tmp_path).files[0]
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(IntegrityError, match=file.name):
        open_weights(tmp_path)


def test_an_index_may_not_reach_outside_nor_name_what_is_missing(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    for listing, said in (
        ({"weight_map": {"a": "../other.safetensors"}}, "outside"),
        ({"weight_map": {"a": "gone.safetensors"}}, "gone.safetensors is missing"),
        ({"weight_map": {}}, "no weight_map"),
        ([], "no weight_map"),
    ):
        index.write_text(json.dumps(listing))
        with pytest.raises(IntegrityError, match=said):
            open_weights(tmp_path)
    shards(tmp_path, ".safetensors", save_file)
    save_file({"a": A, "b": B}, tmp_path / "2-of-2.safetensors")
    with pytest.raises(IntegrityError, match="'a' a second time"):
        open_weights(tmp_path)


def test_a_folder_without_weights_says_so(tmp_path):
    with pytest.raises(InputError, match="has no weights"):
        open_weights(tmp_path)
