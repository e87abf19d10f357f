"""What README and docs show is run: every command in a reduced form, every block of Python as it stands."""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path

import pytest

from domains import DOMAINS
from tests.readme.commands import Block, blocks, commands, domain_of, reduced, run
from tests.readme.made import make_files

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TAUGHT = sorted(page.stem for page in (DOCS / "own_data").glob("*.md"))
"""Domains with a tutorial and a page about one's own data, which begins with the run of the tutorial."""
START = DOCS / "index.md"
"""It shows a run of the tutorial on DNA as well."""
TOGETHER = {START, *(DOCS / kind / f"{domain}.md" for kind in ("tutorials", "own_data") for domain in TAUGHT)}
PAGES = [ROOT / "README.md", *(page for page in sorted(DOCS.glob("**/*.md")) if page not in TOGETHER)]

EXAMPLE = """
```sh
foretell prepare domain=dna data=ecoli \\
    store=own.zarr   # a comment
$ foretell train store=own.zarr run=run training.minutes=20 size=s
make demo
```
```text
foretell nothing of this is run
```
```python
import foretell
print(foretell.load("run").score(["ACGTACGT"])[0].nats)
```
"""


def play(page: list[Block], folder: Path, domain: str | None = None) -> int:
    """Runs the blocks of a page in order in `folder` and returns how many commands and Python blocks there were.

    Blocks of Python share their names, as a reader's session does.
    """
    n, domain = 0, domain or domain_of(page)
    names = {"__name__": "__main__"}
    make_files(folder)
    with contextlib.chdir(folder):
        for block in page:
            if block.language == "python":
                exec(compile(block.text, f"block of line {block.line}", "exec"), names)
                n += 1
                continue
            for command in commands(block):
                run(command, folder, domain)
                n += 1
    return n


def test_a_page_is_taken_apart_and_run_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell, python = blocks(EXAMPLE)
    assert [c.split()[:2] for c in commands(shell)] == [
        ["foretell", "prepare"],
        ["foretell", "train"],
        ["make", "demo"],
    ]
    small = reduced(commands(shell)[1].split()[1:])
    assert "training.minutes=20" not in small
    assert "training.steps=6" in small
    assert play([shell, python], tmp_path) == 4
    assert float(capsys.readouterr().out.splitlines()[-1]) > 0


def test_what_is_not_known_or_fails_is_not_passed_over(tmp_path: Path) -> None:
    refused = ["rm -rf /tmp/x", "make tea", "foretell trane", "foretell describe nothing_here"]
    for command in (*refused, "python benchmarks/generate.py --fast"):
        with pytest.raises(AssertionError):
            play([Block("sh", command, 1)], tmp_path)


@pytest.fixture(autouse=True)
def _example_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of the page about a ninth domain, as if it were installed."""
    monkeypatch.syspath_prepend(ROOT / "docs" / "examples" / "stacking")
    monkeypatch.setattr(DOMAINS, "_entries", dict(DOMAINS._entries))
    DOMAINS.add("stacking", importlib.import_module("foretell_stacking").DOMAIN)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: os.fspath(path.relative_to(ROOT)))
def test_page(page: Path, tmp_path: Path) -> None:
    found = blocks(page.read_text(encoding="utf-8"))
    if not found:
        pytest.skip(f"{page.name} shows no commands")
    assert play(found, tmp_path) > 0


@pytest.mark.slow
@pytest.mark.parametrize("domain", TAUGHT)
def test_a_tutorial_and_then_data_of_ones_own(domain: str, tmp_path: Path) -> None:
    pages = [DOCS / kind / f"{domain}.md" for kind in ("tutorials", "own_data")]
    for page in [*pages, START] if domain == "dna" else pages:
        assert play(blocks(page.read_text(encoding="utf-8")), tmp_path, domain) > 0, page
