"""The documentation site is built, without a warning, and has a page for every verb and the keys of every domain."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from domains import DOMAINS
from pipelines.verbs import VERBS

ROOT = Path(__file__).parents[2]


def test_no_link_is_dead_in_the_repository() -> None:
    """Pages that only the site has are named, not linked."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    dead = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert dead == []


@pytest.mark.slow
def test_the_site_is_built(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1", "PATH": ""}
    )
    assert done.returncode == 0, done.stderr
    pages = {path.parent.name for path in (tmp_path / "site" / "reference").glob("*/index.html")}
    assert pages == set(VERBS)
    assert "max_bad" in (tmp_path / "site" / "reference" / "prepare" / "index.html").read_text()
    keys = {path.parent.name: path.read_text() for path in (tmp_path / "site/reference/keys").glob("*/index.html")}
    assert set(keys) == {"dna", "proteins", "molecules", "graphs", "time_series", "robots", "chaos", "music"}
    for name, page in keys.items():
        assert all(f"tokenizer={kind}" in page for kind in DOMAINS.get(name).tokenizers)
        assert "evaluation.seed" in page
        assert "<td></td>\n</tr>" not in page, f"a key of {name} has no meaning"
    assert "core.prediction.store" in {path.parent.name for path in (tmp_path / "site/reference/python").glob("*/*")}
    assert 'href="tutorials/dna/"' in (tmp_path / "site" / "index.html").read_text()
