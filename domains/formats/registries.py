"""Where published packages are found: the index that pip is configured with, apt, the Debian pool over https.

Each way puts one file into a folder, or raises `Unreachable` with the reason; another way may then be tried. The sha256
that an index gives for a file is checked. `pip download` is not used: for a source distribution it runs the build.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

from core.durable import resources_named

PYPI = "https://pypi.org/simple"
DEBIAN_POOL = "https://deb.debian.org/debian"
_APT_LISTS = Path("/var/lib/apt/lists")
_SIMPLE_API = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
_TRIES = 3
_APT_SECONDS = 600


class Unreachable(Exception):
    """This way does not lead to the file; the text says why."""


@dataclass(frozen=True)
class PipSettings:
    """What pip's configuration says of where packages are: its files, overridden by `PIP_*` variables."""

    indexes: tuple[str, ...] = (PYPI,)
    find_links: tuple[str, ...] = ()
    certificates: str | None = None
    timeout: float = 60.0

    @classmethod
    def read(cls) -> PipSettings:
        """Asks pip itself; without pip, the `PIP_*` variables alone."""
        values = {
            name[4:].lower().replace("_", "-"): value for name, value in os.environ.items() if name.startswith("PIP_")
        }
        try:
            asked = subprocess.run(
                [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60, check=True
            )
        except (OSError, subprocess.SubprocessError):
            lines: list[str] = []
        else:
            lines = asked.stdout.splitlines()
        for section in ("global", "download"):
            for line in lines:
                key, _, value = line.partition("=")
                where, _, name = key.partition(".")
                if where == section and value.startswith(("'", '"')):
                    values.setdefault(name, str(ast.literal_eval(value)))
        indexes = (values.get("index-url", PYPI), *values.get("extra-index-url", "").split())
        return cls(
            () if values.get("no-index", "").lower() in ("1", "true", "yes", "on") else indexes,
            tuple(values.get("find-links", "").split()),
            values.get("cert") or None,
            float(values.get("default-timeout") or values.get("timeout") or 60),
        )


def from_pypi(name: str, file: str, folder: Path) -> Path:
    """The wheel or sdist called `file` of project `name`, out of pip's find-links and indexes. Raises Unreachable."""
    settings = PipSettings.read()
    reasons = []
    project = re.sub(r"[-_.]+", "-", name).lower()
    for place in [*settings.find_links, *(f"{index.rstrip('/')}/{project}/" for index in settings.indexes)]:
        try:
            local = _local(place)
            if local is not None and (local / file).is_file():
                with resources_named(folder):
                    return Path(shutil.copy(local / file, folder / file))
            if local is not None and local.is_dir():
                page = (local / "index.html").read_text("utf-8") if (local / "index.html").is_file() else ""
            else:
                page = _get(place, settings, accept=_SIMPLE_API).decode("utf-8", "replace")
            url, digest = _links(page, place).get(file, ("", ""))
            if url:
                return _download(url, folder / file, settings, digest)
            reasons.append(f"{_shown(place)} has no {file}")
        except (Unreachable, OSError) as error:
            reasons.append(f"{_shown(place)}: {error}")
    raise Unreachable("; ".join(reasons) or "pip's configuration names no index and no find-links")


def from_apt(name: str, folder: Path) -> Path:
    """The Debian package `name` in the release that this machine's apt knows. Raises Unreachable."""
    if shutil.which("apt-get") is None:
        raise Unreachable("there is no apt-get on this machine")
    if not any(_APT_LISTS.glob("*_Packages*")):
        if os.geteuid() != 0:
            raise Unreachable("apt's package lists are empty: run 'sudo apt-get update'")
        _apt("update", "-q", folder=folder)
    _apt("download", "-q", name, folder=folder)
    found = sorted(folder.glob("*.deb"))
    if not found:
        raise Unreachable("apt-get download left no file")
    return found[0]


def from_pool(path: str, folder: Path) -> Path:
    """The file at `path` in the Debian pool, over https. Raises Unreachable."""
    settings = PipSettings.read()
    return _download(f"{DEBIAN_POOL}/{path}", folder / path.rsplit("/", 1)[-1], settings, "")


def _apt(*words: str, folder: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            ["apt-get", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_APT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"apt-get {words[0]}: {error}") from error
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise Unreachable(f"apt-get {words[0]}: {errors[0] if errors else f'exit code {done.returncode}'}")


def _local(place: str) -> Path | None:
    """A place that is a folder on this machine, None for one on the network."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(url2pathname(unquote(parts.path)))
    return Path(place).expanduser() if parts.scheme == "" else None


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.targets += [value for name, value in attrs if name == "href" and value]


def _links(page: str, base: str) -> dict[str, tuple[str, str]]:
    """File name to (address, sha256 or "") of a page of the simple API, JSON (PEP 691) or HTML (PEP 503)."""
    if page.lstrip().startswith("{"):
        files = json.loads(page).get("files", [])
        return {f["filename"]: (urljoin(base, f["url"]), f.get("hashes", {}).get("sha256", "")) for f in files}
    anchors = _Anchors()
    anchors.feed(page)
    found = {}
    for target in anchors.targets:
        address, fragment = urldefrag(urljoin(base, target))
        digest = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
        found[unquote(urlsplit(address).path).rsplit("/", 1)[-1]] = (address, digest)
    return found


def _request(url: str, accept: str) -> urllib.request.Request:
    """A request; a name and password inside the address, as pip allows them, become a header."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    headers = {"User-Agent": "foretell", "Accept": accept}
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(unquote(login).encode()).decode("ascii")
    return urllib.request.Request(urlunsplit(parts._replace(netloc=host)), headers=headers)


def _shown(place: str) -> str:
    parts = urlsplit(place)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _get(url: str, settings: PipSettings, *, accept: str = "*/*") -> bytes:
    context = ssl.create_default_context(cafile=settings.certificates)
    for left in reversed(range(_TRIES)):
        try:
            with urllib.request.urlopen(_request(url, accept), timeout=settings.timeout, context=context) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            # 4xx is an answer, not an accident: asking again brings the same
            if error.code < 500 or left == 0:
                raise Unreachable(f"the server answered {error.code} {error.reason}") from error
        except (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError, ValueError) as error:
            if left == 0 or isinstance(error, ValueError):
                raise Unreachable(str(getattr(error, "reason", error))) from error
        time.sleep(0.5 * (_TRIES - left))
    raise AssertionError("the last try returns or raises")


def _download(url: str, target: Path, settings: PipSettings, digest: str) -> Path:
    local = _local(url)
    try:
        content = local.read_bytes() if local is not None else _get(url, settings)
    except OSError as error:
        raise Unreachable(f"{_shown(url)}: {error.strerror}") from error
    if digest and hashlib.sha256(content).hexdigest() != digest:
        raise Unreachable(f"{_shown(url)}: the bytes that came have another sha256 than the index says")
    with resources_named(target):
        target.write_bytes(content)
    return target
