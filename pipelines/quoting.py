"""From what a user types to what Hydra's override grammar can read.

The grammar refuses `reads[1].fa`, `a,b.zarr`, `~/x`, `run#1` and anything that is not ASCII. A value is quoted where
the key is a path or a text, or where it does not parse; lists, sweeps (in a multirun) and `${...}` keep their meaning.
`data=ecoli` becomes `data.name=ecoli`, and keys below an open field (`tokenizer.k=6`) need no `+`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import ConfigError
from pipelines.options import is_list, is_open, leaves, takes

_OVERRIDE = re.compile(r"(?P<sign>\+\+?|~)?(?P<key>[^=\s]*)(?:(?P<equal>=)(?P<value>.*))?", re.DOTALL)


def quoted(text: str) -> str:
    """`text` as a quoted string of the grammar, `~/` expanded; it comes out of Hydra as it went in."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(os.path.expanduser(text), Quote.single).with_quotes()


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" else text


def split_list(text: str) -> list[str]:
    """`a.fa, 'b,c.fa'` at the commas outside of quotes, quotes and spaces around each piece removed."""
    pieces = re.findall(r"\s*((?:'[^']*'|\"[^\"]*\"|[^,])+)\s*(?:,|$)", text)
    return [_unquoted(piece.strip()) for piece in pieces]


def _parsed(argument: str) -> Any:
    """What Hydra reads in `argument`: an Override, or None where the grammar refuses it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        return None


def _path(value: str, many: bool, multirun: bool) -> str:
    if not value or value == "null" or value.startswith("???"):
        return value
    if value != _unquoted(value):
        return quoted(_unquoted(value))
    if value.startswith("[") and value.endswith("]") and not Path(value).exists():
        return "[" + ",".join(map(quoted, split_list(value[1:-1]))) + "]"
    if "," in value and (many or multirun) and not Path(os.path.expanduser(value)).exists():
        pieces = ",".join(map(quoted, split_list(value)))
        return f"[{pieces}]" if many else pieces
    if multirun and re.match(r"(glob|choice|range|sort|shuffle)\(", value):
        return value
    return quoted(value)


def _text(argument: str, value: str, many: bool, multirun: bool) -> str:
    override = _parsed(argument)
    if many and value and value != "null" and not (override and override.is_sweep_override() and "[" in value):
        return "[" + ",".join(map(quoted, split_list(value.removeprefix("[").removesuffix("]")))) + "]"
    if override is None or (override.is_sweep_override() and not multirun):
        return quoted(_unquoted(value))
    if isinstance(override.value(), int | float) and not override.is_sweep_override():
        return quoted(value)
    return value


def _value(key: str, kind: Any, value: str, multirun: bool) -> str:
    if kind is not None and takes(kind, Path):
        return _path(value, is_list(kind), multirun)
    argument = f"{key}={value}"
    if kind is not None and takes(kind, str) and not is_open(kind):
        return _text(argument, value, is_list(kind), multirun)
    if kind is not None and is_list(kind) and value and not value.startswith("["):
        return f"[{value}]"
    if _parsed(argument) is None:
        if value.startswith("[") and value.endswith("]"):
            return "[" + ",".join(map(quoted, split_list(value[1:-1]))) + "]"
        return quoted(value)
    return value


def normalise(arguments: Sequence[str], options: type, named: Mapping[str, Any], multirun: bool) -> list[str]:
    """Command-line overrides as Hydra reads them.

    Args:
        arguments: as typed, without flags: `key=value`, `+key=value`, `~key`.
        options: the verb's options, which say what is a path, a text, a list, an open field.
        named: types of keys below open fields that are known all the same, such as data.path.
        multirun: whether commas separate the jobs of a sweep.

    Raises ConfigError for an argument without `=` and for keys of Hydra's own.
    """
    kinds = leaves(options)
    result = []
    for argument in arguments:
        match = _OVERRIDE.fullmatch(argument)
        sign, key, value = (match["sign"] or "", match["key"], match["value"]) if match else ("", "", None)
        if not key or (value is None and sign != "~"):
            raise ConfigError(
                f"expected key=value, got '{argument}'", hint="Spaces in a value need quotes in the shell."
            )
        if re.match(r"hydra\b|_target_", key) or re.search(r"@hydra\b|\b_target_$", key):
            raise ConfigError(
                f"'{argument}': keys of Hydra itself and Python objects cannot be set",
                hint="What can be set: foretell VERB --help.",
            )
        if value is None:
            result.append(argument)
            continue
        if key in kinds and is_open(kinds[key]) and not value.startswith("{"):
            key = f"{key}.{_BY_A_WORD[key]}" if key in _BY_A_WORD else key
        parent = key.rpartition(".")[0]
        if not sign and any(parent == k or parent.startswith(f"{k}.") for k, kind in kinds.items() if is_open(kind)):
            sign = "++"
        kind = named.get(key, kinds.get(key))
        result.append(f"{sign}{key}={_value(key, kind, value, multirun)}")
    return result


_BY_A_WORD = {"data": "name", "tokenizer": "name", "input": "path"}
"""Open fields that take a word on their own, and the key that it is: `data=ecoli` is `data.name=ecoli`."""
