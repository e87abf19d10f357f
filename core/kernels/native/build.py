"""Compile a C++ kernel once per machine: source, flags, compiler and CPU are in the name of its file in the cache.

The cache is `$FORETELL_CACHE/native`, by default ~/.cache/foretell/native; where that can't be written, a folder of
this user below the temporary one. Several processes may start at once: one builds, the others wait, and the file
appears by a rename. The name ends with the content's own hash: a damaged file would take the process down when it is
loaded. A node without a compiler uses what another node with the same CPU has left in a shared cache.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import filelock

from core.places import cache_folder

log = logging.getLogger(__name__)

SOURCES = Path(__file__).parent
BASE = (
    *("-std=c++17", "-O3", "-fPIC", "-shared"),
    # NaN, Inf and the order of additions stay as written; only what nobody observes is given up
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
    "-Wno-psabi",
    *(("-Wl,--no-undefined",) if sys.platform.startswith("linux") else ()),
)
ARCHITECTURES: tuple[tuple[str, ...], ...] = (("-march=native",), ("-mcpu=native",), ())
PROBE = """
extern "C" int probe(int n) {
    int sum = 0;
    #pragma omp parallel for num_threads(2) reduction(+:sum)
    for (int i = 0; i < n; i++) sum += i;
    return sum;
}
"""
TIMEOUT = 300
"""Seconds for a compiler, or for another process that builds."""


class Unbuilt(Exception):
    """There is no library, and why. `final`: another folder would not help."""

    def __init__(self, reason: str, *, final: bool = True) -> None:
        super().__init__(reason)
        self.final = final


def cache_folders() -> Iterator[Path]:
    """Where to build: the user's cache, then the temporary folder. Each only where it can be named."""
    with suppress(RuntimeError):  # a user without a home
        yield cache_folder() / "native"
    with suppress(OSError):
        private = Path(tempfile.gettempdir()) / f"foretell-{os.getuid()}"
        private.mkdir(mode=0o700, exist_ok=True)
        status = private.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022:
            yield private / "native"


def build(name: str, folder: Path) -> tuple[Path, bool]:
    """The file in `folder` of the library of NAME.cpp, and whether this call has compiled it.

    Raises Unbuilt where it is neither there nor can be compiled.
    """
    if sys.platform == "win32":
        raise Unbuilt("they are not built on Windows")
    compilers, stem = _compilers(), f"{name}-{_machine_key(name)}"
    if not compilers:
        known = _known(folder, stem)
        if known:
            return known, False
        raise Unbuilt("no C++ compiler was found ($CXX, c++, g++, clang++)")
    failures = []
    for compiler in compilers:
        version = _version(*compiler)
        if version is None:
            failures.append(f"{shlex.join(compiler)} does not run")
            continue
        full = f"{stem}-{_hash(*compiler, version, *BASE, *map(str, _openmp_libraries()))}"
        known = _known(folder, full)
        if known:
            return known, False
        try:
            with _turn(folder / f"{full}.lock"):
                known = _known(folder, full)
                if known:
                    return known, False
                return _compile(compiler, name, folder, full), True
        except OSError as error:
            raise Unbuilt(f"{folder} cannot be written ({error.strerror or error})", final=False) from None
        except _Failed as error:
            failures.append(str(error))
    raise Unbuilt("; ".join(failures))


def _known(folder: Path, stem: str) -> Path | None:
    """The library whose name begins so, if there is one and it is whole."""
    return next((path for path in sorted(folder.glob(f"{stem}-*.so")) if path.stem.endswith(_content(path))), None)


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return "unreadable"


class _Failed(Exception):
    """A compiler did not make a library of the sources."""


def _compile(compiler: list[str], name: str, folder: Path, stem: str) -> Path:
    """Compile NAME.cpp to a file in `folder` whose name begins with `stem`. Raises _Failed."""
    began = time.monotonic()
    architecture, openmp = _flags(compiler, folder)
    source = str(SOURCES / f"{name}.cpp")
    part = folder / f"{stem}.{os.getpid()}.partial"
    try:
        result = _run([*compiler, *BASE, *architecture, source, "-o", str(part), *openmp])
        if result.returncode and architecture:  # as an assembler that is older than the CPU
            architecture = ()
            result = _run([*compiler, *BASE, source, "-o", str(part), *openmp])
        if result.returncode:
            raise _Failed(f"{shlex.join(compiler)} failed: {_first_error(result.stderr)}")
        path = part.replace(folder / f"{stem}-{_content(part)}.so")
    finally:
        part.unlink(missing_ok=True)
    log.info(
        "C++ kernel '%s': compiled by %s in %.1f s (%s)%s",
        name,
        shlex.join(compiler),
        time.monotonic() - began,
        " ".join((*architecture, *openmp)) or "generic",
        "" if any("openmp" in flag and "simd" not in flag for flag in openmp) else ", for one thread",
    )
    return path


def _flags(compiler: list[str], folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those for this CPU and for threads that the compiler understands, tried on a few lines."""
    out = folder / f"probe.{os.getpid()}.partial"
    message = ""
    try:
        for openmp in _openmp():
            for architecture in ARCHITECTURES:
                command = [*compiler, *BASE, *architecture, "-x", "c++", "-", "-o", str(out)]
                result = _run([*command, "-x", "none", *openmp], PROBE)
                if not result.returncode:
                    return architecture, openmp
                message = message or _first_error(result.stderr)
    finally:
        out.unlink(missing_ok=True)
    raise _Failed(f"{shlex.join(compiler)} failed: {message}")


def _openmp() -> list[tuple[str, ...]]:
    """Ways to ask for threads, ending with none. The runtime should be the one that torch has loaded already: by its
    common name that happens by itself, one with a name of its own is linked by its file."""
    libraries = tuple(map(str, _openmp_libraries()))
    if sys.platform == "darwin":
        tries = [("-Xpreprocessor", "-fopenmp", *libraries)] if libraries else []
        return [*tries, ("-fopenmp",), ("-fopenmp-simd",), ()]
    tries = [("-fopenmp", "-Wl,--as-needed", *libraries)] if libraries else []
    return [*tries, ("-fopenmp",), ("-fopenmp-simd",), ()]


def _openmp_libraries() -> list[Path]:
    """The OpenMP runtime that comes with torch, where it must be named to be found."""
    import torch

    root = Path(torch.__file__).parent
    pattern = "libomp.dylib" if sys.platform == "darwin" else "libgomp-*.so*"
    return sorted([*(root / "lib").glob(pattern), *(root.parent / "torch.libs").glob(pattern)])[:1]


def _compilers() -> list[list[str]]:
    """Those of this machine, the preferred first, each once."""
    named = [shlex.split(os.environ["CXX"])] if os.environ.get("CXX") else []
    found: dict[str, list[str]] = {}
    for command in (*named, ["c++"], ["g++"], ["clang++"]):
        program = shutil.which(command[0])
        if program:
            found.setdefault(shlex.join((os.path.realpath(program), *command[1:])), [program, *command[1:]])
    return list(found.values())


@cache
def _version(*compiler: str) -> str | None:
    result = _run([*compiler, "--version"])
    return None if result.returncode else result.stdout


def _run(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, errors="replace", timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"it took more than {TIMEOUT} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _first_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "it said nothing")


@contextmanager
def _turn(file: Path) -> Iterator[None]:
    """One builder at a time; who waits too long builds as well, which the rename makes harmless."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(file, timeout=TIMEOUT)
    # it waited too long, or the file system has no locks: without a turn the same file is made twice
    with suppress(filelock.Timeout, NotImplementedError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _machine_key(name: str) -> str:
    """Of the sources and of the CPU that -march=native is for."""
    texts = [text for _, text in sorted(_sources(f"{name}.cpp").items())]
    return _hash(*texts, platform.machine(), _cpu())


def _sources(file: str) -> dict[str, str]:
    """The text of a source and of what it includes from this folder, by name."""
    found, names = {}, [file]
    while names:
        found[names[-1]] = text = (SOURCES / names[-1]).read_text()
        names = [*names[:-1], *(set(re.findall(r'^#include "(.+)"', text, re.MULTILINE)) - found.keys())]
    return found


@cache
def _cpu() -> str:
    """What tells one CPU's instructions from another's."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        first = cpuinfo.read_text().split("\n\n")[0].splitlines()
        words = ("model name", "cpu family", "model\t", "flags", "Features", "CPU implementer", "CPU part", "isa")
        return "\n".join(line for line in first if line.startswith(words))
    return _run(["sysctl", "-n", "machdep.cpu.brand_string"]).stdout or platform.processor()


def _hash(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]
