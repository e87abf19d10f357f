"""From configs/ and what was typed to a verb's checked options.

The options' defaults are a plain node that every primary config begins with; YAML files hold what deviates from them.
An experiment serves several verbs: each takes the keys it knows. Nothing composed may name a Python object.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from core.errors import ConfigError, ForetellError, InputError, nearest
from pipelines.options import build, defaults, field_types, leaves
from pipelines.quoting import normalise, quoted, split_list

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
"""Absolute, because a user's own `configs` package would hide ours under `pkg://`."""

GROUPS = ("domain", "experiment", "model", "size", "objective")

_BUDGETS = ("steps", "tokens", "minutes")
"""Naming one of these on the command line replaces whichever an experiment set."""

_ALL_KEYS = "All keys: the same command with --help."

_OTHER_NAMES = {
    "preset": "experiment",
    "experiment": "preset",
    "epochs": "steps",
    "num_heads": "heads",
    "checkpoint": "bundle",
    "learning_rate": "lr",
    "max_steps": "steps",
    "num_steps": "steps",
    "hidden_size": "width",
    "d_model": "width",
    "n_layers": "layers",
    "num_layers": "layers",
    "num_samples": "n",
    "seq_len": "length",
    "output_dir": "out",
}
"""What other libraries call our keys: the last part of ours."""

_PATHS_IN_OPEN_FIELDS: Mapping[str, Any] = {
    "data.path": tuple[Path, ...],
    "data.bed": Path,
    "data.annotation": Path,
    "input.path": tuple[Path, ...],
    "input.bed": Path,
    "input.reference": Path,
}


def normalised(overrides: Sequence[str], options: type, multirun: bool) -> list[str]:
    """Overrides as Hydra's grammar reads them."""
    return normalise(overrides, options, _PATHS_IN_OPEN_FIELDS, multirun)


def compose(verb: str, options: type, overrides: Sequence[str]) -> Any:
    """The options of `verb` as the command line composes them. Works inside a Hydra app and outside of one."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    register(verb, options)
    typed = normalised(overrides, options, multirun=False)
    try:
        if GlobalHydra.instance().is_initialized():
            return validated(hydra_compose(verb, [searchpath(), *typed]), options, typed)
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return validated(hydra_compose(verb, [searchpath(), *typed]), options, typed)
    except Exception as error:
        raise explained(error, options) from error


def register(verb: str, options: type) -> None:
    """Puts the options' defaults where Hydra finds them."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name=f"{verb}_options", node=defaults(options), provider="foretell")


def primary(verb: str) -> dict[str, Any]:
    """What configs/VERB.yaml sets, as it stands there."""
    from omegaconf import OmegaConf

    values = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{verb}.yaml"), resolve=False)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items() if name != "defaults"}


def load_plugins(overrides: Sequence[str]) -> None:
    """Imports the modules of `plugins=[...]`, which may add to the registries. The working directory is searched last.

    Raises ConfigError where one cannot be imported.
    """
    for override in overrides:
        key, _, value = override.partition("=")
        if key != "plugins" or value in ("", "null"):
            continue
        for name in filter(None, split_list(value.removeprefix("[").removesuffix("]"))):
            if str(Path.cwd()) not in sys.path:  # "." would stay the folder in which it was first looked into
                sys.path.append(str(Path.cwd()))
            try:
                importlib.import_module(name)
            except ImportError as error:
                raise ConfigError(f"plugins: {name} cannot be imported ({error})", hint="Is it installed?") from error


@cache
def _verbs() -> dict[str, type]:
    """The options of every verb that composes a config."""
    from pipelines.verbs import VERBS

    return {name: verb.options() for name, verb in VERBS.items() if verb.composes}


def config_folders() -> list[Path]:
    """Ours, and those of domains that live in other packages; one that cannot be imported keeps nobody from working."""
    from domains import DOMAINS

    folders = []
    for name in DOMAINS.names():
        with suppress(ImportError, AttributeError, ForetellError):
            folders.append(DOMAINS.get(name).configs)
    return [CONFIGS, *(Path(folder).resolve() for folder in folders if folder)]


def searchpath() -> str:
    """The override by which Hydra finds the configs of domains that live in other packages."""
    return f"hydra.searchpath=[{','.join(quoted(f'file://{folder}') for folder in config_folders()[1:])}]"


def check_config_dir(folder: Path) -> None:
    """Raises ConfigError where a YAML file of the user's folder touches Hydra's settings or names Python objects."""
    if not folder.is_dir():
        raise ConfigError(f"--config-dir {folder} is not a folder")
    for path in sorted(folder.rglob("*.y*ml")):
        if found := re.search(r"_target_|\bhydra\b", path.read_text(encoding="utf-8")):
            raise ConfigError(
                f"{path} contains '{found[0]}': configs hold values only, and leave Hydra's settings alone"
            )


def validated(config: Any, options: type, overrides: Sequence[str]) -> Any:
    """A composed config as `options`.

    Args:
        config: what Hydra composed.
        overrides: what was typed, as Hydra reports it.

    Raises ConfigError for an unknown key, a value that is not allowed, or a name of a Python object.
    """
    from omegaconf import OmegaConf

    values = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    assert isinstance(values, dict)
    values.pop("hydra", None)
    for key in _keys(values):
        if re.search(r"(^|\.)_\w+_$", key):
            raise ConfigError(f"the config has the key '{key}': configs hold values and never name Python objects")
    known = field_types(options)
    typed = [re.split(r"[=@]", override.lstrip("+~"))[0] for override in overrides]
    for key in typed:
        if key.partition(".")[0] not in known and key not in GROUPS:
            raise unknown_key(key, options)
    budgets = [name for name in _BUDGETS if f"training.{name}" in typed]
    if len(budgets) == 1 and "training" in known:
        values["training"].update(dict.fromkeys(_BUDGETS, 0) | {budgets[0]: values["training"][budgets[0]]})
    foreign = {name for verb in _verbs().values() for name in field_types(verb)} - set(known)
    return build(options, {str(name): value for name, value in values.items() if name not in foreign})


def _keys(values: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(values, dict):
        for name, value in values.items():
            yield f"{prefix}{name}"
            yield from _keys(value, f"{prefix}{name}.")
    elif isinstance(values, list):
        for value in values:
            yield from _keys(value, prefix)


def unknown_key(key: str, options: type) -> ConfigError:
    """The error for a key that the verb does not have, with the nearest one: the same word elsewhere, else the nearest
    of the same group, else of all.
    """
    own = leaves(options)
    known = [*own, *(g for g in GROUPS if g != key), *(k for k in _PATHS_IN_OPEN_FIELDS if k.partition(".")[0] in own)]
    group, _, end = key.rpartition(".")
    if group in own and group not in GROUPS:  # a key with a value of its own has none below it
        return ConfigError(f"unknown key '{key}'; did you mean '{group}'?", hint=_ALL_KEYS)
    elsewhere = get_close_matches(end, _OTHER_NAMES, n=1, cutoff=0.8)
    wanted = (_OTHER_NAMES[elsewhere[0]], end) if elsewhere else (end,)
    same_end = [k for name in wanted for k in known if k.rpartition(".")[2] == name]
    beside = {k.rpartition(".")[2]: k for k in known if group and k.startswith(f"{group}.")}
    if same_end:
        guess = f"; did you mean '{same_end[0]}'?"
    elif beside:  # what all of them begin with would make any two alike
        guess = nearest(end, beside).replace("'", f"'{group}.", 1)
    else:
        guess = nearest(key, known) or nearest(group, {k.partition(".")[0] for k in known})
    return ConfigError(f"unknown key '{key}'{guess}", hint=_ALL_KEYS)


def _alike(name: str, names: Sequence[str]) -> list[str]:
    """All of the names, or of a long list those that begin as `name` does, where some do: presets of one domain."""
    begun = [known for known in names if known.partition("_")[0] == name.partition("_")[0]]
    return sorted(begun if begun and len(names) > _MANY else names)


_MANY = 12


def explained(error: BaseException, options: type) -> BaseException:
    """Hydra's errors about what was typed in our words; any other error as it is."""
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import InterpolationResolutionError

    if isinstance(error, InterpolationResolutionError):
        return ConfigError(
            str(error).splitlines()[0], hint="Other keys are ${seed}, ${model.size}, ${model.pattern} ..."
        )
    if isinstance(error, MissingConfigException):
        choice = re.search(r"Could not find '(?P<group>[\w/]+)/(?P<name>[^']+)'", str(error))
        if choice:
            names = error.options or []
            return ConfigError(
                f"unknown {choice['group']} '{choice['name']}'{nearest(choice['name'], names)}",
                hint=f"Known: {', '.join(_alike(choice['name'], names))}.",
            )
    if isinstance(error, HydraException):
        if key := re.search(r"Could not (?:override|delete from config\.) '([^']+)'", str(error)):
            return unknown_key(key[1], options)
        if "sweep" in str(error) and "--multirun" in str(error):
            return ConfigError(" ".join(str(error).split()), hint="A list is written [a,b]; a sweep needs --multirun.")
        if error.__cause__ is not None:
            return ConfigError(" ".join(f"{error} {error.__cause__}".split()))
    if type(error).__name__ == "YAMLError" or type(error).__module__.startswith("yaml"):
        return InputError(f"a config file is not YAML: {error}")
    return error
