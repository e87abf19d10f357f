"""What the documentation site has beside the pages of this folder: the reference.

A page for each verb with every key, its default and its meaning, as `foretell VERB --help` prints it, a page for each
domain with the keys of its data, tokenizers and evaluation, and pages of the Python interface from its docstrings. Made
when the site is built, so they cannot fall behind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from domains import DOMAINS

ROOT = Path(__file__).resolve().parent.parent
PYTHON = {
    "Use": {
        "foretell": "What a script needs",
        "core.engine": "Inference with one model",
        "core.ensemble": "Several models as one",
        "core.bundle": "Bundles",
        "core.prediction.predict": "Prediction over a store",
        "core.prediction.store": "What a prediction wrote",
        "core.launch": "Who does the blocks: processes, Dask, SLURM",
        "core.errors": "What can be raised",
    },
    "Data": {
        "core.tokenizer": "The contract of tokenizers",
        "core.vocabulary": "Symbols and ids",
        "core.sequence": "One sequence of tokens, its fields and readings",
        "core.grammar": "What may follow what",
        "core.ingest": "Records into a store",
        "core.store": "Token stores",
        "core.split": "Honest splits",
        "core.rejects": "What was refused, and why",
    },
    "Models and training": {
        "core.nn.config": "Shapes of models",
        "core.nn.model": "The model",
        "core.objectives": "What is trained for",
        "core.training.config": "Steps, rates, schedules",
        "core.training.fit": "The training loop",
        "core.finetuning.config": "Fine-tuning on labels",
        "core.tasks.tokenizer": "Tasks as tokens",
        "core.interchange.export": "Folders that other libraries load",
    },
    "Measuring": {
        "core.evaluation": "Metrics with intervals",
        "core.evaluation_options": "What every evaluation can be told",
        "core.baselines": "Markov baselines",
        "core.report.gallery": "Figures and their style",
    },
    "Domains": {
        "domains": "Domains and their parts",
        **{f"domains.{name}.evaluation": f"{name}: metrics and baselines" for name in DOMAINS.names()},
        **{f"domains.{name}.figures": f"{name}: figures" for name in DOMAINS.names()},
    },
}
"""Heading to module to what it is for."""


def keys_page(name: str) -> str:
    """Every key below `data`, `tokenizer` and `evaluation` of a domain."""
    from pipelines.key_source import config_of

    domain = DOMAINS.get(name)
    tokenizers = {f"tokenizer={kind}": config_of(place) for kind, place in domain.tokenizers.items()}
    places = {**domain.keys, **{heading: place for heading, place in tokenizers.items() if place}}
    text = [f"# Keys of {name}", "\nWhat `data`, `data.path` and `data.labels` are say the pages of the verbs.\n"]
    for group in ("data", "tokenizer", "evaluation"):
        for heading, place in places.items():
            if heading.startswith(group):
                text += [f"## {heading}\n", *keys_table(group, place)]
    return "\n".join(text) + "\n"


def keys_table(prefix: str, place: str) -> list[str]:
    """A line for each field of a config: key, default, the text under it, or under the next that has one."""
    from pipelines.help_text import shown
    from pipelines.key_source import keys_of

    lines = []
    for key, found in keys_of(place).items():
        default = shown(found.default)
        lines.append(
            f"| `{prefix}.{key}` | {f'`{default}`' if default else ''} | {found.meaning.replace('|', chr(92) + '|')} |"
        )
    return ["| key | default | meaning |", "|---|---|---|", *lines, ""]


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
    made |= {f"reference/keys/{name}.md": keys_page(name) for name in DOMAINS.names()}
    made |= {
        f"reference/python/{module}.md": f"# {module}\n\n{what}.\n\n::: {module}\n"
        for modules in PYTHON.values()
        for module, what in modules.items()
    }
    for place, content in made.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_config(config: Any) -> Any:
    """The reference stands in the navigation under its own headings."""
    from pipelines.verbs import VERBS

    verbs = [{name: f"reference/{name}.md"} for name in VERBS]
    python = [
        {heading: [{module: f"reference/python/{module}.md"} for module in modules]}
        for heading, modules in PYTHON.items()
    ]
    keys = [{name: f"reference/keys/{name}.md"} for name in DOMAINS.names()]
    config["nav"][-1] = {"Reference": [{"Command line": verbs}, {"Keys of domains": keys}, {"Python": python}]}
    return config
