"""A verb's options: frozen dataclasses whose fields are the keys of the command line, and how values get into them.

`defaults` gives what Hydra composes upon, `build` checks what it composed against the types, `documentation` reads the
text right under each field. Values are plain (YAML scalars, lists, mappings): nothing here can name a Python object.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import os
import textwrap
import types
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from core.errors import ConfigError, nearest

Options = TypeVar("Options")

REQUIRED = "???"
"""What OmegaConf calls a value that must be given."""


@dataclasses.dataclass(frozen=True)
class Some:
    """Marks a dict of values for some fields of a dataclass; what is null is decided later, from the data.

    split: Annotated[dict[str, Any], Some(SplitConfig)]
    """

    of: type


@cache
def field_types(options: type) -> dict[str, Any]:
    """Field name to its type, with the text of annotations resolved."""
    hints = get_type_hints(options, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(options) if f.init}


def is_open(kind: Any) -> bool:
    """Whether a field takes keys of any name: `tokenizer.k=6` with `tokenizer: dict[str, Any]`."""
    return get_origin(kind) is dict


def below(kind: Any) -> type | None:
    """The dataclass whose fields are the keys below a field, where there is one."""
    if get_origin(kind) is Annotated:
        return next((extra.of for extra in get_args(kind)[1:] if isinstance(extra, Some)), None)
    return kind if dataclasses.is_dataclass(kind) and isinstance(kind, type) else None


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def leaves(options: type, prefix: str = "") -> dict[str, Any]:
    """Dotted key to type, for every key that a user may set; an open field stands for itself."""
    found: dict[str, Any] = {}
    for name, kind in field_types(options).items():
        if inner := below(kind):
            found.update(leaves(inner, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = kind
    return found


def takes(kind: Any, wanted: type) -> bool:
    """Whether values of `wanted` (Path, str) are what a field of type `kind` is for, alone or in a tuple."""
    members = [k for alternative in _alternatives(kind) for k in (get_args(alternative) or (alternative,))]
    return wanted in members or (wanted is str and any(isinstance(k, str) for k in members))


def is_list(kind: Any) -> bool:
    return any(get_origin(k) is tuple for k in _alternatives(kind))


def defaults(options: type) -> dict[str, Any]:
    """The defaults as nested plain values; required keys are REQUIRED, unless their own fields have defaults."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, tuple):
            return [plain(v) for v in value]
        if isinstance(value, Mapping):
            return {k: plain(v) for k, v in value.items()}
        return os.fspath(value) if isinstance(value, Path) else value

    result: dict[str, Any] = {}
    for f in dataclasses.fields(options):
        kind = field_types(options)[f.name]
        if get_origin(kind) is Annotated and (inner := below(kind)):
            result[f.name] = dict.fromkeys(field_types(inner))
        elif f.default is not dataclasses.MISSING:
            result[f.name] = plain(f.default)
        elif f.default_factory is not dataclasses.MISSING:
            result[f.name] = plain(f.default_factory())
        else:
            result[f.name] = defaults(kind) if below(kind) else REQUIRED
    return result


def _wrong(key: str, expected: str, value: Any) -> ConfigError:
    return ConfigError(f"{key}={value!r}: expected {expected}")


def _scalar(kind: Any, value: Any, key: str) -> Any:
    """`value` as `kind`, where nothing is lost by it (an int is a float, a float is not an int)."""
    if kind is Any or (kind is type(None) and value is None):
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and (type(value) is int or (type(value) is float and value.is_integer())):
        return int(value)
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    if kind is Path and isinstance(value, str | Path) and str(value):
        return Path(value)
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}
    raise _wrong(key, names.get(kind, str(kind)), value)


def _value(kind: Any, value: Any, key: str) -> Any:
    choices = _alternatives(kind)
    if len(choices) > 1:
        if value is None and type(None) in choices:
            return None
        errors = []
        for choice in choices:
            if choice is not type(None):
                try:
                    return _value(choice, value, key)
                except ConfigError as error:
                    errors.append(error)
        raise errors[0]
    if inner := below(kind):
        if not isinstance(value, Mapping):
            raise _wrong(key, f"keys like {key}.{next(iter(field_types(inner)))}=...", value)
        if inner is kind:
            return build(inner, value, f"{key}.")
        return given_values(inner, {k: v for k, v in value.items() if v is not None}, f"{key}.")
    origin = get_origin(kind)
    if origin is Literal:
        if value not in get_args(kind):
            guess = nearest(str(value), map(str, get_args(kind)))
            raise ConfigError(f"{key}={value!r}: expected one of {', '.join(map(str, get_args(kind)))}{guess}")
        return value
    if origin is tuple:
        items = list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
        members = get_args(kind)
        if len(members) == 2 and members[1] is Ellipsis:
            members = (members[0],) * len(items)
        if len(members) != len(items):
            raise _wrong(key, f"{len(members)} values", value)
        return tuple(_value(m, item, key) for m, item in zip(members, items, strict=True))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong(key, f"keys like {key}.name=...", value)
        return {str(k): v for k, v in value.items()}
    return _scalar(kind, value, key)


def build(options: type[Options], values: Mapping[str, Any], prefix: str = "") -> Options:
    """The dataclass from composed values.

    Raises ConfigError naming the key where it is unknown (with the nearest name), missing, or of another type.
    """
    return options(**given_values(options, values, prefix))


def given_values(options: type, values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`values` with each as its field's type; fields that are not given are left out. Raises as `build`."""
    known = field_types(options)
    for name in values:
        if name not in known:
            raise ConfigError(
                f"unknown key '{prefix}{name}'{nearest(str(name), known)}", hint=f"Known: {', '.join(sorted(known))}."
            )
    given = {}
    for name, value in values.items():
        if isinstance(value, str) and value == REQUIRED:
            raise ConfigError(f"{prefix}{name}= is required", hint=documentation(options).get(name, ""))
        given[name] = _value(known[name], value, f"{prefix}{name}")
    return given


@cache
def documentation(options: type) -> dict[str, str]:
    """Field name to the text right under it, inherited fields included."""
    found: dict[str, str] = {}
    for cls in reversed(options.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, below in zip(body.body, [*body.body[1:], None], strict=True):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                found[statement.target.id] = " ".join(below.value.value.split())
    return found
