"""Files and folders are whole or not there, and a disk that refuses says so with the path."""

import errno
import os
import subprocess
import sys

import pytest

from core.durable import (
    check_manifest,
    json_bytes,
    manifest,
    new_folder,
    partial_beside,
    read_json,
    resources_named,
    write_bytes_durably,
    write_files_durably,
    write_json_durably,
)
from core.errors import ConfigError, IntegrityError, ResourceError


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with new_folder(tmp_path / "a/b") as folder:
        (folder / "x").write_text("1")
        assert not (tmp_path / "a/b").exists()
    assert (tmp_path / "a/b/x").read_text() == "1"
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "c") as folder:
        (folder / "no/such/place").write_text("1")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]


def test_what_is_there_is_replaced_only_when_told(tmp_path):
    write_bytes_durably(tmp_path / "out/x", b"old")
    with pytest.raises(ConfigError, match="exists"), new_folder(tmp_path / "out"):
        raise AssertionError("no work is begun")
    with pytest.raises(RuntimeError), new_folder(tmp_path / "out", overwrite=True):
        raise RuntimeError
    assert (tmp_path / "out/x").read_bytes() == b"old"
    with new_folder(tmp_path / "out", overwrite=True) as folder:
        (folder / "y").write_bytes(b"new")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["y"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json_durably(path, {"b": 1, "a": [1.5, None]})
    assert read_json(path) == {"a": [1.5, None], "b": 1}

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match=r"no space left while writing .*x\.json"):
        write_json_durably(path, {"b": 2})
    assert read_json(path) == {"a": [1.5, None], "b": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_disk_that_refuses_is_a_resource_error(code):
    with pytest.raises(ResourceError, match="some/place") as caught, resources_named("some/place"):
        raise OSError(code, os.strerror(code))
    assert caught.value.exit_code == 5


def test_other_errors_of_the_system_stay_what_they_are():
    with pytest.raises(FileNotFoundError), resources_named("x"):
        raise FileNotFoundError(errno.ENOENT, "not there")


def test_what_a_killed_process_left_is_removed_and_a_living_ones_work_is_not(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, alive = (tmp_path / f"out[1].partial-{pid}" for pid in (ended.pid, os.getppid()))
    for folder in (dead, alive):
        folder.mkdir()
    with new_folder(tmp_path / "out[1]"):
        pass
    assert not dead.exists()
    assert alive.exists()


def test_many_files_in_new_folders(tmp_path):
    write_files_durably(tmp_path, {"a/b/c": b"1", "d": b"", "a/e": b"2"})
    assert {k: v["size"] for k, v in manifest(tmp_path).items()} == {"a/b/c": 1, "a/e": 1, "d": 0}


def test_a_manifest_finds_what_changed(tmp_path):
    write_files_durably(tmp_path, {"a/b": b"123", "c": b"4", "MANIFEST.json": b"{}"})
    files = manifest(tmp_path)
    assert sorted(files) == ["a/b", "c"]
    check_manifest(tmp_path, files)
    (tmp_path / "a/b").write_bytes(b"124")
    check_manifest(tmp_path, files, hashes=False)
    with pytest.raises(IntegrityError, match="a/b is damaged"):
        check_manifest(tmp_path, files)
    (tmp_path / "a/b").write_bytes(b"12")
    with pytest.raises(IntegrityError, match="a/b has 2 bytes"):
        check_manifest(tmp_path, files, hashes=False)
    (tmp_path / "a/b").unlink()
    with pytest.raises(IntegrityError, match="a/b is missing"):
        check_manifest(tmp_path, files, hashes=False)
    for outside in ("../c", "/etc/passwd"):
        with pytest.raises(IntegrityError, match="outside"):
            check_manifest(tmp_path, {outside: {"sha256": "", "size": 0}})


@pytest.mark.parametrize("text", ["", "{", "NaN", "[Infinity]", "[" * 100_000])
def test_what_is_no_json_is_refused_by_name(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"x\.json is damaged"):
        read_json(tmp_path / "x.json")
    with pytest.raises(IntegrityError, match=r"y\.json is missing"):
        read_json(tmp_path / "y.json")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    (tmp_path / "x.json").write_text("[1, 2, 3]")
    with pytest.raises(IntegrityError, match="9 bytes; at most 8"):
        read_json(tmp_path / "x.json", max_bytes=8)


def test_one_spelling_of_json():
    assert json_bytes({"b": 1, "a": "é"}) == '{\n "a": "é",\n "b": 1\n}\n'.encode()
    with pytest.raises(ValueError):
        json_bytes(float("nan"))


def test_partials_lie_in_the_same_folder(tmp_path):
    assert partial_beside(tmp_path / "x").parent == tmp_path
