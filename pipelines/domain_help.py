"""What `foretell VERB domain=NAME --help` adds to a verb's page: the domain's keys, data sets, tokenizers and presets.

Read from what the domain says of itself and from its source, without importing its code.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.errors import ConfigError, nearest
from domains import DOMAINS, Domain
from pipelines.help_text import key_lines, shown
from pipelines.key_source import config_of, keys_of

GROUPS = {"prepare": ("data", "tokenizer"), "predict": ("data",), "evaluate": ("evaluation",)}
"""Verb to the words with which the headings begin that matter to it."""
PRESETS = ("prepare", "train", "finetune", "evaluate", "sample")


def domain_lines(verb: str, typed: Mapping[str, str], folders: Sequence[Path], width: int) -> list[str]:
    """The lines of the domain that was typed with `--help`; where none was, one that says how.

    Args:
        typed: key to value.
        folders: of configs, in which presets are looked up.

    Raises ConfigError, with the nearest name, for a domain or a tokenizer that there is not.
    """
    if verb not in PRESETS and verb not in GROUPS:
        return []
    name = typed.get("domain") or _domain_of_preset(typed.get("experiment", ""), folders)
    if not name:
        return [f"Keys and presets of one domain:  foretell {verb} domain=dna --help", ""]
    domain = DOMAINS.get(name)
    lines = []
    for heading, entries in entries_of(verb, domain, typed.get("tokenizer")).items():
        lines += [f"{domain.title}, {heading}:", *key_lines(entries, width), ""]
    if verb == "prepare":
        kind = typed.get("tokenizer") or domain.default_tokenizer
        others = ", ".join(other for other in domain.tokenizers if other != kind)
        lines += [*_wrapped(f"Other tokenizers (tokenizer=KIND): {others}", width)] if others else []
        lines += ["", f"{domain.title}, data sets (data=NAME):"]
        for known, text in domain.datasets.items():
            lines += textwrap.wrap(f"{known}: {text}", width, initial_indent="  ", subsequent_indent="    ")
        lines += [""]
    found = sorted({f.stem for folder in folders for f in _presets(folder) if _chosen(f) == name})
    if verb in PRESETS and found:
        lines += [*_wrapped(f"{domain.title}, presets (experiment=NAME): {', '.join(found)}", width), ""]
    return lines


def entries_of(verb: str, domain: Domain, tokenizer: str | None = None) -> dict[str, dict[str, tuple[str, str]]]:
    """Heading to the keys of the domain that a verb takes, each with its default as it is typed and its text.

    Raises ConfigError, with the nearest kind, for a tokenizer that the domain does not have.
    """
    kind = tokenizer or domain.default_tokenizer
    if kind not in domain.tokenizers:
        raise ConfigError(
            f"unknown tokenizer of domain {domain.name} '{kind}'{nearest(kind, domain.tokenizers)}",
            hint=f"Known: {', '.join(domain.tokenizers)}.",
        )
    found = {}
    for heading, place in _places(verb, domain, kind).items():
        under = "input" if verb == "predict" else re.split(r"\W", heading)[0]
        keys = keys_of(place).items()
        found[heading] = {f"{under}.{name}": (shown(key.default), key.meaning) for name, key in keys}
    return found


def _places(verb: str, domain: Domain, kind: str) -> dict[str, str]:
    """Heading to the class of its keys, in the order of the verb's groups."""
    own = {f"tokenizer={kind}": config_of(domain.tokenizers[kind])} if f"tokenizer={kind}" not in domain.keys else {}
    known = {heading: place for heading, place in {**domain.keys, **own}.items() if place}
    return {
        heading: place
        for group in GROUPS.get(verb, ())
        for heading, place in known.items()
        if re.split(r"\W", heading)[0] == group and (group != "tokenizer" or heading == f"tokenizer={kind}")
    }


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ")


def _presets(folder: Path) -> list[Path]:
    return sorted((folder / "experiment").glob("*.yaml"))


def _domain_of_preset(name: str, folders: Sequence[Path]) -> str:
    return next((_chosen(file) for folder in folders for file in _presets(folder) if file.stem == name), "")


def _chosen(preset: Path) -> str:
    """The domain that a preset is of."""
    found = re.search(r"^\s*- /domain/(\w+)|^domain: (\w+)", preset.read_text(encoding="utf-8"), re.MULTILINE)
    return (found[1] or found[2]) if found else ""
