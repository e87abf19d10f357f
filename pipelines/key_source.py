"""The keys of a configuration's dataclass, read from its source: nothing of it is imported, so --help stays fast.

A place is `"module:Class"`, as a `Domain` has them. Fields, their defaults and the texts under them are found in the
class and its bases, names of constants where they are defined. A default that only running the code would tell is shown
as it is written.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from core.errors import ConfigError


@dataclass(frozen=True)
class Key:
    default: Any
    """Its value, or a `Written`; None where the field has none of its own."""
    meaning: str
    """The text under it, or under the next field that has one."""


@dataclass(frozen=True)
class Written:
    """A default that the source alone does not tell."""

    code: str


def keys_of(place: str) -> dict[str, Key]:
    """Name to key, those of the bases first, as dataclasses order them; the keys of a part that is a dataclass itself
    stand among them, as on the command line.

    Raises ConfigError where no class is there.
    """
    found: dict[str, Key] = {}
    for module, body in reversed(list(_lineage(place))):
        own = _fields(body)
        texts, said = _texts(body), ""
        meanings: dict[str, str] = {}
        for name in reversed(list(own)):
            said = texts.get(name, said)
            meanings[name] = texts.get(name) or (found[name].meaning if name in found else said)
        for name, value in own.items():
            if part := _part(module, value):
                found |= keys_of(part)
            else:
                found[name] = Key(None if value is None else _value(module, value), meanings[name])
    return found


def config_of(place: str) -> str:
    """The place of the class that a tokenizer's class names as its `config_class`; empty where it names none, or where
    there is no source of it.
    """
    if not isinstance(_definition(*_home(*place.split(":"))), ast.ClassDef):
        return ""
    for module, body in _lineage(place):
        for node in body.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if isinstance(target, ast.Name) and target.id == "config_class" and isinstance(value, ast.Name):
                home, name = _home(module, value.id)
                return f"{home}:{name}"
    return ""


def _fields(body: ast.ClassDef) -> dict[str, ast.expr | None]:
    """Name to the default's expression."""
    return {
        node.target.id: node.value
        for node in body.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if "ClassVar" not in ast.unparse(node.annotation)
    }


def _texts(body: ast.ClassDef) -> dict[str, str]:
    found = {}
    for node, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[node.target.id] = " ".join(str(below.value.value).split())
    return found


def _part(module: str, value: ast.expr | None) -> str:
    """The place of the dataclass that `field(default_factory=Class)` makes; empty for any other default."""
    made_by = _factory(value)
    home, name = _home(module, made_by)
    return f"{home}:{name}" if isinstance(_definition(home, name), ast.ClassDef) else ""


def _factory(value: ast.expr | None) -> str:
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "field"):
        return ""
    made_by = next((k.value for k in value.keywords if k.arg == "default_factory"), None)
    return made_by.id if isinstance(made_by, ast.Name) else ""


def _lineage(place: str) -> Iterator[tuple[str, ast.ClassDef]]:
    """The class and its bases that are found in source, each with the module that defines it."""
    module, _, name = place.partition(":")
    module, name = _home(module, name)
    body = _definition(module, name)
    if not isinstance(body, ast.ClassDef):
        raise ConfigError(f"there is no class {name} in {module}")
    yield module, body
    for base in body.bases:
        plain = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(plain, ast.Name) and _definition(*_home(module, plain.id)) is not None:
            home, name = _home(module, plain.id)
            if isinstance(_definition(home, name), ast.ClassDef):
                yield from _lineage(f"{home}:{name}")


def _home(module: str, name: str) -> tuple[str, str]:
    """Where a name that a module knows is defined, behind any imports."""
    node = _definition(module, name)
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        (original,) = (alias.name for alias in node.names if (alias.asname or alias.name) == name)
        if _file(node.module) is not None:
            return _home(node.module, original)
    return module, name


def _definition(module: str, name: str) -> ast.stmt | None:
    """The statement at the top of a module that makes a name: a class, an assignment, an import."""
    return _top(module).get(name)


@cache
def _top(module: str) -> dict[str, ast.stmt]:
    file = _file(module)
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body if file else ():
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            found.update((alias.asname or alias.name, node) for alias in node.names)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
        elif isinstance(node, ast.Assign):
            for target, value in _pairs(node):
                found[target.id] = ast.Assign([target], value)
    return found


def _pairs(node: ast.Assign) -> Iterator[tuple[ast.Name, ast.expr]]:
    """Names and values of `A = 1` and of `A, B = 1, 2`."""
    for target in node.targets:
        if isinstance(target, ast.Name):
            yield target, node.value
        elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            for name, value in zip(target.elts, node.value.elts, strict=False):
                if isinstance(name, ast.Name):
                    yield name, value


@cache
def _file(module: str) -> Path | None:
    """A module's file; only the package at its root is looked up, none is imported."""
    root, *parts = module.split(".")
    spec = importlib.util.find_spec(root)
    if spec is None or not (spec.submodule_search_locations or spec.origin):
        return None
    places = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not parts:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in places:
        for file in (folder.joinpath(*parts, "__init__.py"), folder.joinpath(*parts).with_suffix(".py")):
            if file.is_file():
                return file
    return None


def _value(module: str, node: ast.expr) -> Any:
    """What an expression of literals, constants and `field(default_factory=...)` is; else a Written."""
    try:
        return _computed(module, node)
    except (ValueError, KeyError, TypeError, ConfigError):
        return Written(ast.unparse(node))


def _computed(module: str, node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        home, name = _home(module, node.id)
        made = _definition(home, name)
        value = getattr(made, "value", None)
        if not isinstance(made, ast.Assign | ast.AnnAssign) or value is None:
            raise ValueError(name)
        return _computed(home, value)
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_computed(module, item) for item in node.elts)
    if isinstance(node, ast.Dict):  # its values may be functions: nobody shows them
        pairs = zip(node.keys, node.values, strict=True)
        return {_computed(module, key): _value(module, value) for key, value in pairs if key}
    if isinstance(node, ast.Subscript):
        return _computed(module, node.value)[_computed(module, node.slice)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "tuple" and len(node.args) == 1:
            return tuple(_computed(module, node.args[0]))
        if made_by := _factory(node):
            return {"dict": {}, "list": [], "tuple": ()}[made_by]
    return ast.literal_eval(node)
