"""A URL answers as a path does: names, files, sizes, listing; and it crosses to another process."""

import pickle
from pathlib import Path

import fsspec
import pytest

from core.durable import file_digest, manifest, read_json, write_files_durably
from core.errors import ConfigError, IntegrityError
from core.places import Remote, is_remote, place


@pytest.fixture
def there():
    """An empty folder in memory."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    return place("memory://there/")


def test_a_path_stays_a_path_and_a_url_becomes_a_remote(tmp_path):
    assert place(str(tmp_path)) == tmp_path == place(tmp_path) == place(f"file://{tmp_path}")
    assert not is_remote(tmp_path)
    assert place("memory://a/b.zarr/") == Remote("memory://a/b.zarr")
    assert place(Remote("memory://a")) == Remote("memory://a")
    with pytest.raises(ConfigError, match="nosuch"):
        place("nosuch://a")


def test_names_are_put_together_and_taken_apart():
    where = place("memory://a/b.zarr")
    assert (where.name, where.stem, where.suffix, str(where / "c/0")) == (
        "b.zarr",
        "b",
        ".zarr",
        "memory://a/b.zarr/c/0",
    )
    assert where.with_name("x") == place("memory://a/x") == where.parent / "x"
    assert (where / "c/0").relative_to(where).as_posix() == "c/0"
    assert pickle.loads(pickle.dumps(where)) == where


def test_what_is_written_durably_is_read_back(there, tmp_path):
    files = {"a.json": b"{}\n", "deep/er/b": b"0123"}
    for folder in (there, tmp_path):
        write_files_durably(folder, files)
        assert (folder / "deep/er/b").read_bytes() == b"0123"
        assert (folder / "deep/er/b").stat().st_size == 4
        assert read_json(folder / "a.json") == {}
        assert [path.name for path in folder.rglob("*") if path.is_file()] == ["a.json", "b"]
        assert [path.name for path in sorted(folder.glob("*"))] == ["a.json", "deep"]
        assert (folder.exists(), folder.is_dir(), (folder / "no").exists()) == (True, True, False)
    assert manifest(there) == manifest(tmp_path)
    assert file_digest(there / "a.json") == file_digest(tmp_path / "a.json")


def test_what_is_missing_is_said_as_of_a_path(there):
    with pytest.raises(IntegrityError, match=r"memory://there/no\.json is missing"):
        read_json(there / "no.json")
    with pytest.raises(FileNotFoundError):
        (there / "no").unlink()
    (there / "no").unlink(missing_ok=True)


def test_a_new_file_replaces_none(there):
    (there / "a").write_bytes(b"1")
    with pytest.raises(FileExistsError):
        Remote(str(there / "a")).write_bytes(b"2", new=True)
    assert (there / "a").read_bytes() == b"1"


def test_a_path_that_holds_two_slashes_is_still_a_path():
    assert isinstance(place(Path("a//b")), Path)
