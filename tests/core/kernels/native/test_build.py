"""The libraries are built once, by one of several processes, and where they cannot be built torch's code does the work
and one line says so."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.kernels.native import build as module
from core.kernels.native.build import Unbuilt, build

TRAIN = """
import logging, sys
logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
import torch
from core.kernels import Needs, choose
from core.nn.config import ModelConfig
from core.nn.mamba1 import Mamba1
mixer = Mamba1(ModelConfig(pattern="M", layers=1, width=8))
y, _ = mixer(torch.randn(2, 5, 8))
y.square().sum().backward()
assert all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters())
print("trained with", choose("selective_scan", Needs(gradient=True)).name)
"""


def python(code: str, **environment: str) -> list[str]:
    """Lines that a process of its own prints."""
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def compiler() -> str:
    compilers = module._compilers()
    if not compilers:
        pytest.skip("no C++ compiler")
    return compilers[0][0]


def test_a_library_is_compiled_once_and_found_again(compiler, tmp_path) -> None:
    path, fresh = build("elementary", tmp_path)
    assert fresh
    assert ctypes.CDLL(str(path)).foretell_exp2
    assert build("elementary", tmp_path) == (path, False)
    assert not list(tmp_path.glob("*.partial"))


def test_another_source_or_flag_is_another_file(compiler, tmp_path, monkeypatch) -> None:
    path, _ = build("elementary", tmp_path / "cache")
    for name in ("elementary.cpp", "vector.h"):
        (tmp_path / name).write_text((module.SOURCES / name).read_text())
    monkeypatch.setattr(module, "SOURCES", tmp_path)
    assert build("elementary", tmp_path / "cache") == (path, False)
    monkeypatch.setattr(module, "BASE", (*module.BASE, "-g"))
    assert build("elementary", tmp_path / "cache")[0] != path
    monkeypatch.undo()
    monkeypatch.setattr(module, "SOURCES", tmp_path)
    (tmp_path / "vector.h").write_text((tmp_path / "vector.h").read_text() + "\n")
    assert build("elementary", tmp_path / "cache")[0] != path


def test_of_two_processes_one_builds_and_both_have_it(compiler, tmp_path) -> None:
    code = (
        "from pathlib import Path; from core.kernels.native.build import build;"
        f"print(*build('elementary', Path({str(tmp_path)!r})))"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    both = [subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    results = sorted(process.communicate()[0].decode().split() for process in both)
    assert [result[1] for result in results] == ["False", "True"]
    assert results[0][0] == results[1][0]
    assert [path.name for path in tmp_path.glob("*.so")] == [Path(results[0][0]).name]


def test_a_node_without_a_compiler_uses_what_another_has_built(compiler, tmp_path, monkeypatch) -> None:
    path, _ = build("elementary", tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert build("elementary", tmp_path) == (path, False)
    monkeypatch.setattr(module, "_cpu", lambda: "another CPU")
    with pytest.raises(Unbuilt, match="no C\\+\\+ compiler was found"):
        build("elementary", tmp_path)


def test_without_a_compiler_training_works_and_one_line_says_so(tmp_path) -> None:
    lines = python(TRAIN, PATH="", CXX="", FORETELL_CACHE=str(tmp_path))
    assert lines == [
        "C++ kernels are off, the torch kernels work instead: no C++ compiler was found ($CXX, c++, g++, clang++)",
        "trained with torch",
    ]


def test_with_a_compiler_that_fails_as_well(tmp_path) -> None:
    broken = script(
        tmp_path / "c++", 'if [ "$1" = --version ]; then echo 1.0; exit; fi\necho "internal error: no luck" >&2\nexit 1'
    )
    lines = python(TRAIN, PATH=str(tmp_path), CXX="", FORETELL_CACHE=str(tmp_path))
    assert lines == [
        f"C++ kernels are off, the torch kernels work instead: {broken} failed: internal error: no luck",
        "trained with torch",
    ]


def test_another_compiler_is_tried_where_the_first_fails(compiler, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CXX", str(script(tmp_path / "broken", "exit 1")))
    assert build("elementary", tmp_path)[1]


def test_a_compiler_without_this_cpu_and_threads_makes_a_generic_library(
    compiler, tmp_path, monkeypatch, caplog
) -> None:
    refuse = 'case "$*" in *=native*|*openmp*) echo "error: unknown option" >&2; exit 1;; esac'
    old = script(tmp_path / "old", f'{refuse}\nexec {compiler} "$@"')
    monkeypatch.setenv("CXX", str(old))
    with caplog.at_level("INFO"):
        path, _ = build("elementary", tmp_path)
    assert ctypes.CDLL(str(path)).foretell_exp2
    assert "(generic), for one thread" in caplog.text


READ_ONLY = """
import logging, sys
logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
from core.kernels import native
print(repr(native.obstacle("elementary")))
print(repr(native.obstacle("elementary")))
"""


def test_a_cache_that_cannot_be_written_gives_way_to_the_temporary_folder(compiler, tmp_path) -> None:
    (tmp_path / "file").touch()
    lines = python(READ_ONLY, FORETELL_CACHE=str(tmp_path / "file"), TMPDIR=str(tmp_path))
    assert lines[1:] == ["''", "''"]
    assert lines[0].startswith(f"C++ kernels: {tmp_path / 'file' / 'native'} cannot be written (Not a directory)")
    assert len(list(tmp_path.glob("foretell-*/native/elementary-*.so"))) == 1


def test_without_that_either_torch_does_the_work(compiler, tmp_path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / f"foretell-{os.getuid()}").touch()
    lines = python(READ_ONLY, FORETELL_CACHE=str(tmp_path / "file"), TMPDIR=str(tmp_path))
    assert len(lines) == 3
    assert lines[0].startswith("C++ kernels are off, the torch kernels work instead: ")
    assert "cannot be written" in lines[1]


def test_a_damaged_library_is_built_anew(compiler, tmp_path) -> None:
    path, _ = build("elementary", tmp_path / "native")
    path.write_bytes(path.read_bytes()[:1000])
    assert build("elementary", tmp_path / "native") == (path, True)
    assert ctypes.CDLL(str(path)).foretell_exp2


def test_no_other_user_can_put_a_library_into_the_temporary_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / f"foretell-{os.getuid()}"
    assert folder / "native" in list(module.cache_folders())
    folder.chmod(0o777)
    assert folder / "native" not in list(module.cache_folders())


def test_a_user_without_a_home_has_the_temporary_folder(tmp_path, monkeypatch) -> None:
    def homeless(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("FORETELL_CACHE", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path))
    assert list(module.cache_folders()) == [tmp_path / f"foretell-{os.getuid()}" / "native"]


def test_windows_goes_without(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(module.sys, "platform", "win32")
    with pytest.raises(Unbuilt, match="Windows"):
        build("elementary", tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_threads_are_those_of_torchs_own_runtime() -> None:
    """A second OpenMP runtime in the process would have a second pool of threads that compete with torch's."""
    code = """
import torch
from core.kernels import native
def runtimes():
    return sorted({line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line or "libomp" in line})
before = runtimes()
print(repr(native.obstacle("conv")))
print(before == runtimes(), before)
"""
    lines = python(code)
    if lines[0] != "''":
        pytest.skip(lines[0])
    assert lines[1].startswith("True"), lines
