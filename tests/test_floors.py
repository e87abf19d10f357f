"""Imports run downward: core < domains/formats < domains/<name> < foretell.py < pipelines; no domain imports another.

Read with `ast`, so imports inside functions and under TYPE_CHECKING count too. What is looked up by name at run time
(`"module:attribute"` texts in registries) is allowed and not seen.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ABOVE = {
    "core": ("domains", "foretell", "pipelines", "configs", "tests", "hydra", "omegaconf", "Bio"),
    "domains": ("foretell", "pipelines", "configs", "tests", "hydra", "omegaconf"),
    "foretell": ("pipelines", "configs", "tests", "hydra", "omegaconf"),
    "pipelines": ("tests",),
}
"""Floor to what it must not import: the floors above, and what core and domains must not know."""


def imports(path: Path, module: str) -> set[str]:
    """Every module that a file imports, and for `from a import b` also `a.b`, which may be one."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base} | {f"{base}.{alias.name}".lstrip(".") for alias in node.names}
    return found


def violations(root: Path) -> list[str]:
    """`module imports module` for every import that runs upward or across."""
    found = []
    for path in sorted([*root.glob("*.py"), *(p for floor in ABOVE for p in (root / floor).rglob("*.py"))]):
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        floor = parts[0]
        for imported in sorted(imports(path, module)) if floor in ABOVE else ():
            steps = imported.split(".")
            upward = steps[0] in ABOVE[floor]
            domain = parts[1] if floor == "domains" and len(parts) > 2 else None
            other = (
                steps[1]
                if steps[0] == "domains" and len(steps) > 1 and (root / "domains" / steps[1]).is_dir()
                else None
            )
            if domain == "formats":
                across = other not in (None, "formats")
            elif domain is not None:
                across = other not in (None, "formats", domain)
            else:
                across = floor == "domains" and other is not None
            if upward or across:
                found.append(f"{module} imports {imported}")
    return found


def test_imports_run_downward() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("core/a.py", "import domains"),
        ("core/a.py", "from domains.dna import domain"),
        ("core/nn/a.py", "def f():\n    import pipelines.cli"),
        ("core/a.py", "if False:\n    from foretell import load"),
        ("core/a.py", "from hydra import compose"),
        ("core/nn/a.py", "from ... import domains"),
        ("domains/formats/a.py", "from domains.dna import tokenizer"),
        ("domains/formats/a.py", "from ..dna import tokenizer"),
        ("domains/dna/a.py", "from domains import music"),
        ("domains/dna/tokenizer/a.py", "import domains.music.tokenizer"),
        ("domains/dna/a.py", "from ..music import x"),
        ("domains/dna/a.py", "from pipelines import train"),
        ("domains/dna/a.py", "import foretell"),
        ("domains/__init__.py", "from domains.dna.domain import DOMAIN"),
        ("domains/__init__.py", "from . import dna"),
        ("foretell.py", "import pipelines"),
        ("pipelines/a.py", "from tests import x"),
    ],
)
def test_an_import_that_runs_upward_or_across_is_seen(tmp_path: Path, path: str, line: str) -> None:
    for folder in ("core/nn", "domains/formats", "domains/dna/tokenizer", "domains/music", "pipelines"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / path).write_text(line + "\n")
    assert len(violations(tmp_path)) >= 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("domains/dna/a.py", "from domains import Domain, formats\nfrom core.errors import InputError"),
        (
            "domains/dna/tokenizer/a.py",
            "from domains.formats.fasta import read_fasta\nfrom . import b\nfrom ..source import x",
        ),
        ("domains/formats/a.py", "from domains.formats import text\nimport Bio"),
        ("foretell.py", "import core, domains\nfrom domains.dna import source"),
        ("pipelines/a.py", "import foretell, hydra\nfrom domains import DOMAINS"),
        ("domains/__init__.py", "from core.registry import Registry"),
    ],
)
def test_downward_imports_are_allowed(tmp_path: Path, path: str, line: str) -> None:
    for folder in ("core/nn", "domains/formats", "domains/dna/tokenizer", "domains/music", "pipelines"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / path).write_text(line + "\n")
    assert violations(tmp_path) == []
