"""`foretell domains [NAME ...] [--json]`: what can be modelled, from the registry alone; nothing heavy is imported."""

from __future__ import annotations

import json
import sys
import textwrap
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from core.errors import ForetellError
from domains import DOMAINS
from pipelines.help_text import terminal_width
from pipelines.plain_help import PlainParser


def parser() -> ArgumentParser:
    made = PlainParser("domains")
    made.add_argument("names", nargs="*", metavar="NAME", help="only these; all where none is given")
    made.add_argument(
        "--json", action="store_true", help="a list of objects instead of text; an error stays text, on stderr"
    )
    return made


def main(arguments: Sequence[str]) -> int:
    """Raises ConfigError with the nearest domain for a name that none has."""
    wanted = parser().parse_args(list(arguments))
    for name in wanted.names:
        DOMAINS.get(name)
    described = []
    for name in wanted.names or DOMAINS.names():
        try:
            described.append(_described(name))
        except (ImportError, AttributeError, ForetellError) as error:
            print(f"foretell: domain '{name}' cannot be imported: {error}", file=sys.stderr)
    if wanted.json:
        print(json.dumps(described, indent=1, ensure_ascii=False))
    else:
        print("\n\n".join(map(_text, described)))
        print("\nOne of them at work:  foretell demo domains=dna preset=smoke out=demo")
    return 0


def _described(name: str) -> dict[str, Any]:
    domain = DOMAINS.get(name)
    return {
        "name": domain.name,
        "summary": domain.summary,
        "natural_unit": domain.natural_unit,
        "tokenizers": list(domain.tokenizers),
        "default_tokenizer": domain.default_tokenizer,
        "datasets": dict(domain.datasets),
        "example": domain.example,
    }


def _text(domain: dict[str, Any]) -> str:
    def wrapped(text: str) -> str:
        return textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    ")

    width = terminal_width()
    kinds = [f"{kind} (default)" if kind == domain["default_tokenizer"] else kind for kind in domain["tokenizers"]]
    lines = [domain["name"], wrapped(domain["summary"]), wrapped(f"tokenizers: {', '.join(kinds)}")]
    lines += [wrapped(f"data={name}: {text}") for name, text in domain["datasets"].items()]
    if domain["example"]:
        lines.append(f"  {domain['example']}")
    return "\n".join(lines)
