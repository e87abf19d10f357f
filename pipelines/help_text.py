"""What `foretell --help` and `foretell VERB --help` print: made from the verbs' table and the options' own words."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

from pipelines.options import REQUIRED, below, defaults, documentation, field_types
from pipelines.settings import Settings

_WIDTH = 110


def overview(verbs: dict[str, str], version: str) -> str:
    """The page of `foretell --help`. `verbs` maps a verb to its summary."""
    width = max(map(len, verbs))
    lines = [f"  {name:{width}}  {summary}" for name, summary in verbs.items()]
    return "\n".join(
        [
            f"foretell {version}: next-token prediction for the sciences",
            "",
            "usage: foretell VERB key=value ...",
            "",
            *lines,
            "",
            "Keys, defaults and examples of one:  foretell VERB --help",
            "See it work:                         foretell demo domains=dna preset=smoke out=demo",
        ]
    )


def verb_help(verb: str, summary: str, options: type, values: Mapping[str, Any]) -> str:
    """The template of a verb's --help page; `$APP_CONFIG_GROUPS` is filled in by Hydra.

    Args:
        values: what the verb's primary config sets upon the options' defaults, nested.
    """
    page = "\n".join(
        [
            f"foretell {verb} key=value ...",
            "",
            textwrap.fill(summary, _WIDTH),
            "",
            "Keys, with their defaults:",
            *_keys(options, values),
            "",
            "Choices (choice=name):",
        ]
    ).replace("$", "$$")
    flags = "Flags: --cfg job shows the composed config, --multirun runs every combination of a=1,2 b=x,y."
    return f"{page}\n$APP_CONFIG_GROUPS\n{flags}"


def _keys(options: type, given: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Required keys first, then the verb's own, then those that every verb has."""
    values, texts = defaults(options), documentation(options)
    everywhere = set(field_types(Settings)) if not prefix else set()
    lines = []
    for name, kind in sorted(
        field_types(options).items(), key=lambda i: (values[i[0]] != REQUIRED, i[0] in everywhere)
    ):
        if inner := below(kind):
            nested = {**(values[name] if inner is not kind else {}), **given.get(name, {})}
            lines += [f"  {prefix}{name}: {texts.get(name, '')}", *_keys(inner, nested, f"{prefix}{name}.")]
            continue
        lines.append(f"  {prefix}{name}={_shown(given.get(name, values[name]))}")
        lines += textwrap.wrap(texts.get(name, ""), _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return lines


def _shown(value: Any) -> str:
    if value == REQUIRED:
        return "(required)"
    if isinstance(value, list):
        return "[" + ",".join(map(_shown, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) + "}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return re.sub(r"\$\{(\w+)\}", r"(as \1)", str(value))
