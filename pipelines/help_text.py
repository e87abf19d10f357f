"""What `foretell --help` and `foretell VERB --help` print: from the verbs' guides and the options' own words.

The keys that matter stand first, then the others by group, then those that every verb has.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.examples import GUIDES
from pipelines.key_source import Written
from pipelines.options import REQUIRED, below, defaults, documentation, field_types
from pipelines.settings import Settings

WIDTH = 110
"""Of a page that is not for a terminal; on one, its own width up to this."""
FLAGS = "Flags: --cfg job shows the composed config, --multirun runs every combination of a=1,2 b=x,y."


def overview(verbs: dict[str, str], version: str) -> str:
    """The page of `foretell --help`. `verbs` maps a verb to its summary."""
    width = max(map(len, verbs))
    lines = [
        textwrap.fill(
            summary, terminal_width(), initial_indent=f"  {name:{width}}  ", subsequent_indent=" " * (width + 4)
        )
        for name, summary in verbs.items()
    ]
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


def terminal_width() -> int:
    """Columns of the terminal, 60 to WIDTH; COLUMNS overrules it."""
    return max(60, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))


def verb_help(
    verb: str,
    summary: str,
    options: type,
    values: Mapping[str, Any],
    *,
    folders: Sequence[Path] = (),
    domain: Sequence[str] = (),
    width: int = WIDTH,
) -> str:
    """A verb's --help page.

    Args:
        domain: lines about one domain, or about how to ask for them.
        values: what the verb's primary config sets upon the options' defaults, nested.
        folders: of configs, in which the groups' choices are looked up.
    """
    guide = GUIDES[verb]
    entries = dict(_entries(options, values))
    wanted = [key for key, (shown, _) in entries.items() if shown == _REQUIRED]
    wanted += [key for key in guide.keys if key not in wanted]
    found = {key: entries.get(key, ("", "")) for key in wanted}
    first = {key: (shown, guide.notes.get(key, text)) for key, (shown, text) in found.items()}
    others = {key: entry for key, entry in entries.items() if key not in first}
    everywhere = {key: others.pop(key) for key in field_types(Settings) if key in others}
    lines = [f"foretell {verb} key=value ...", "", *textwrap.wrap(f"{summary[:1].upper()}{summary[1:]}.", width), ""]
    lines += ["Examples:"]
    for what, line in guide.examples:
        lines += [f"  # {what}", f"  {line}"]
    lines += ["", "Keys that matter most:", *key_lines(first, width), "", *domain]
    if others:
        lines += ["Further keys, with their defaults:", *_grouped(others, options, width), ""]
    lines += ["Keys of every verb:", *key_lines(everywhere, width), ""]
    if choices := _choices(verb, folders):
        lines += ["Choices (choice=name):"]
        for group, names in choices.items():
            lines += textwrap.wrap(f"{group}: {', '.join(names)}", width, initial_indent="  ", subsequent_indent="    ")
        lines += [""]
    return "\n".join([*lines, *textwrap.wrap(FLAGS, width)])


_REQUIRED = "(required)"


def _entries(options: type, given: Mapping[str, Any], prefix: str = "") -> list[tuple[str, tuple[str, str]]]:
    """Each key with its default as it is shown and its text, in the order of the fields."""
    values, texts = defaults(options), documentation(options)
    found: list[tuple[str, tuple[str, str]]] = []
    for name, kind in field_types(options).items():
        if inner := below(kind):
            nested = {**(values[name] if inner is not kind else {}), **given.get(name, {})}
            found += _entries(inner, nested, f"{prefix}{name}.")
            continue
        text = texts.get(name, "")
        default = _REQUIRED if text.startswith("Required:") else shown(given.get(name, values[name]))
        found.append((f"{prefix}{name}", (default, text.removeprefix("Required: "))))
    return found


def key_lines(entries: Mapping[str, tuple[str, str]], width: int) -> list[str]:
    """`key=default` and its text below; a key without a default of its own, such as a group, stands as `key=`."""
    lines = []
    for key, (shown, text) in entries.items():
        lines.append(f"  {key}={shown}")
        lines += textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return lines


def _grouped(entries: Mapping[str, tuple[str, str]], options: type, width: int) -> list[str]:
    """Keys without a dot first, then group by group under the group's own words."""
    texts = documentation(options)
    plain = {key: entry for key, entry in entries.items() if "." not in key}
    lines = key_lines(plain, width)
    for group in dict.fromkeys(key.partition(".")[0] for key in entries if "." in key):
        title = f"  {group}: {texts.get(group, '')}".rstrip(": ")
        lines += ["", *textwrap.wrap(title, width, subsequent_indent="    ")]
        lines += key_lines(
            {key: entry for key, entry in entries.items() if key.partition(".")[0] == group and "." in key}, width
        )
    return lines


def _choices(verb: str, folders: Sequence[Path]) -> dict[str, list[str]]:
    """Names by group, of the groups that the verb's primary config has."""
    if not folders:
        return {}
    primary = (folders[0] / f"{verb}.yaml").read_text(encoding="utf-8")
    groups = re.findall(r"^\s+- (\w+): null$", primary, re.MULTILINE)
    found = {group: sorted({f.stem for folder in folders for f in (folder / group).glob("*.yaml")}) for group in groups}
    return {group: names for group, names in found.items() if names}


def shown(value: Any) -> str:
    """A default as it would be typed."""
    if value == REQUIRED:
        return _REQUIRED
    if isinstance(value, Written):
        return value.code
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(shown, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {shown(v)}" for k, v in value.items()) + "}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return re.sub(r"\$\{(\w+)\}", r"(as \1)", str(value))
