"""What the documentation site has beside the pages of this folder: the reference.

A page for each verb with every key, its default and its meaning, as `foretell VERB --help` prints it, and pages of the
Python interface from its docstrings. Made when the site is built, so they cannot fall behind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PYTHON = {
    "foretell": "What a script needs",
    "core.engine": "Inference with one model",
    "core.tokenizer": "The contract of tokenizers",
    "core.ingest": "Records into a store",
    "core.store": "Token stores",
    "core.bundle": "Bundles",
    "core.evaluation": "Metrics with intervals",
    "core.baselines": "Markov baselines",
    "core.report.gallery": "Figures and their style",
    "domains": "Domains and their parts",
}
"""Module to what it is for."""


def verb_page(name: str) -> str:
    """What `foretell VERB --help` prints."""
    from pipelines import hydra_app
    from pipelines.help_text import WIDTH
    from pipelines.verbs import VERBS

    verb = VERBS[name]
    if verb.composes:
        text = hydra_app.page(name, verb.summary, verb.options(), width=WIDTH)
    else:
        text = verb.parser().format_help()
    return f"# foretell {name}\n\n```text\n{text.strip()}\n```\n"


def on_files(files: Files, *, config: Any) -> Files:
    from pipelines.verbs import VERBS

    made = {f"reference/{name}.md": verb_page(name) for name in VERBS}
    made |= {
        f"reference/python/{module}.md": f"# {module}\n\n{what}.\n\n::: {module}\n" for module, what in PYTHON.items()
    }
    for place, content in made.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_config(config: Any) -> Any:
    """The reference stands in the navigation under its own headings."""
    from pipelines.verbs import VERBS

    verbs = [{name: f"reference/{name}.md"} for name in VERBS]
    python = [{module: f"reference/python/{module}.md"} for module in PYTHON]
    config["nav"][-1] = {"Reference": [{"Command line": verbs}, {"Python": python}]}
    return config
