"""Keys read from source are those that the class has once it is imported."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from domains import DOMAINS
from pipelines.help_text import shown
from pipelines.key_source import Key, Written, config_of, keys_of
from pipelines.options import documentation

CONFIG = '''
from dataclasses import dataclass, field
from limits import LEAST, MOST as LARGEST

NAME, STEPS = "own", {"few": 3, "many": 1 << 20}


@dataclass
class Part:
    width: int = LEAST
    """Of a part."""


@dataclass
class Config(Part):
    kinds: tuple[str, ...] = tuple(STEPS)
    name: str = NAME
    """The first and the second."""
    most: int = LARGEST
    part: Other = field(default_factory=lambda: 3)
    """Made by code."""
    steps: int = STEPS["few"]
'''


def loaded(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def places(domain: str) -> list[str]:
    found = DOMAINS.get(domain)
    kinds = [config_of(place) or found.keys[f"tokenizer={kind}"] for kind, place in found.tokenizers.items()]
    return [*found.keys.values(), *kinds]


def flat(config: type) -> dict[str, dataclasses.Field[Any]]:
    """Fields, those of a part that is a dataclass itself in its place."""
    found: dict[str, dataclasses.Field[Any]] = {}
    for field in dataclasses.fields(config):
        part = field.default_factory
        found |= flat(part) if isinstance(part, type) and dataclasses.is_dataclass(part) else {field.name: field}
    return found


@pytest.mark.parametrize("domain", DOMAINS.names())
def test_they_are_the_fields_of_the_class(domain: str) -> None:
    assert len(places(domain)) >= 3
    for place in places(domain):
        read, config = keys_of(place), loaded(place)
        known = flat(config)
        assert list(read) == list(known), place
        for name, field in known.items():
            made = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            assert read[name].default == (None if made is dataclasses.MISSING else made), (place, name)
            assert read[name].meaning, (place, name)
        for name, said in documentation(config).items():
            assert name not in read or read[name].meaning == said, (place, name)


def test_constants_parts_and_what_only_running_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings_for_a_test.py").write_text(CONFIG)
    (tmp_path / "limits.py").write_text("LEAST = 2\nMOST: int = 1 << 4\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert keys_of("settings_for_a_test:Config") == {
        "width": Key(2, "Of a part."),
        "kinds": Key(("few", "many"), "The first and the second."),
        "name": Key("own", "The first and the second."),
        "most": Key(Written("LARGEST"), "Made by code."),
        "part": Key(Written("field(default_factory=lambda: 3)"), "Made by code."),
        "steps": Key(3, ""),
    }
    assert shown(Written("LARGEST")) == "LARGEST"
    with pytest.raises(ConfigError, match="no class Confg"):
        keys_of("settings_for_a_test:Confg")


def test_a_tokenizer_without_source_has_no_keys_to_show() -> None:
    assert config_of("nowhere.at_all:Tokenizer") == config_of("math:Tokenizer") == ""
    assert config_of("core.tasks.tokenizer:TaskTokenizer") == ""


def test_nothing_of_a_domain_is_imported() -> None:
    code = "import sys; from pipelines.key_source import keys_of; keys_of('domains.robots.evaluation:EvaluationConfig')"
    shows = "print([m for m in ('torch', 'numpy', 'domains.robots') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", f"{code}; {shows}"], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
