"""A run folder's identity: `config.yaml` says what is trained there, and who may go on in it.

The same command again resumes; a folder that holds another run is refused with the difference shown. Only what changes
no step may differ: where the data lies, workers, logger, device, launcher, progress, and a later end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from core.durable import resources_named, write_bytes_durably
from core.errors import ConfigError, IntegrityError, nearest_path

CONFIG = "config.yaml"
LOCK = ".lock"
"""Held by the process that trains in the folder."""
FORMAT, FORMAT_VERSION = "foretell/run", 1

_FREE = frozenset({"workers", "device", "threads", "progress", "launcher", "software"})
"""Keys that may differ wherever they stand."""
_FREE_BELOW = {"training": frozenset({"logger", "device", "strategy"}), "data": frozenset({"store"})}
_BUDGETS = ("training.steps", "training.tokens", "training.minutes")
_LONGEST_DIFFERENCE = 5
"""Lines of a difference that an error shows."""
_TOLD_FIRST = ("task", "label", "columns", "init_from", "adapter", "domain", "store", "data", "tokenizer", "objective")
_TOLD_NEXT = ("model", "seed", "training")
"""What a person would call the difference between two runs, in this order; the rest stands behind."""


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise IntegrityError(f"{mark.name}, line {mark.line + 1}: YAML aliases are not read")
        return super().compose_node(parent, index)


class _PlainDumper(yaml.SafeDumper):
    """YAML without aliases: a list that stands in two places is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def read_config(run: Path) -> dict[str, Any]:
    """`config.yaml` of a run folder.

    Raises:
        ConfigError: no run is there.
        IntegrityError: it is damaged, has aliases or interpolations, or was written by a later foretell.
    """
    path = run / CONFIG
    if not path.is_file():
        wrong = f"{run} is not a run folder: it has no {CONFIG}"
        missing = f"there is no run folder at {run}{nearest_path(run)}"
        raise ConfigError(wrong if run.exists() else missing, hint="Give the folder that train wrote to.")
    try:
        loader = _PlainLoader(path.read_text(encoding="utf-8"))
        loader.name = str(path)
        config = loader.get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(f"{path} is damaged: not YAML ({error})") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise IntegrityError(f"{path} is not the config of a run (format: {FORMAT})")
    if not isinstance(config.get("format_version"), int) or config["format_version"] > FORMAT_VERSION:
        raise IntegrityError(
            f"{path}: format_version {config.get('format_version')!r}", hint="Install a newer foretell."
        )
    for key, value in leaves(config):
        if isinstance(value, str) and "${" in value:
            raise IntegrityError(f"{path}: {key} holds an interpolation ({value!r}); a run's config holds values only")
    return config


def claim(run: Path, config: Mapping[str, Any]) -> bool:
    """Makes `run` the folder of the run that `config` describes, or checks that it is already. Returns whether it was.

    Args:
        run: the folder; made where it is missing.
        config: nested plain values.

    Raises:
        ConfigError: the folder holds something that is no run.
        IntegrityError: it holds another run; the difference is shown.
        ResourceError: no space, no permission.
    """
    wanted = {"format": FORMAT, "format_version": FORMAT_VERSION, **config}
    with resources_named(run):
        run.mkdir(parents=True, exist_ok=True)
        known = (run / CONFIG).exists()
        if not known and any(run.iterdir()):
            raise ConfigError(f"{run} is not empty and holds no run", hint="Choose another place for run=.")
    if known:
        before = read_config(run)
        if changes := difference(before, wanted):
            lines = _for_people(changes, before, wanted)
            more = len(lines) - _LONGEST_DIFFERENCE
            shown = "\n".join(f"    {line}" for line in lines[:_LONGEST_DIFFERENCE])
            shown += f"\n    and {more:,} more" if more > 0 else ""
            raise IntegrityError(
                f"{run} holds another run; before -> now:\n{shown}",
                hint="The first command again goes on with that run; another run needs another run=.",
            )
        if before == wanted:
            return True
    text = yaml.dump(wanted, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=110)
    write_bytes_durably(run / CONFIG, text.encode())
    return known


@contextmanager
def claimed(run: Path, config: Mapping[str, Any]) -> Iterator[None]:
    """`claim`. A new folder whose run is refused for its config before it began is given back: the next command may
    say what this one meant.
    """
    made, known = not run.exists(), claim(run, config)
    try:
        yield
    except ConfigError:
        if not known and {path.name for path in run.iterdir()} <= {CONFIG, LOCK}:
            for name in (CONFIG, LOCK):
                (run / name).unlink(missing_ok=True)
            if made:
                run.rmdir()
        raise


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """`key: before -> now` for everything that may not change between a run and its resumption."""
    old, new = dict(leaves(before)), dict(leaves(now))
    lines = []
    for key in [*old, *(k for k in new if k not in old)]:
        a, b = old.get(key), new.get(key)
        if a == b or _may_change(key):
            continue
        if key in _BUDGETS and isinstance(a, int | float) and isinstance(b, int | float) and 0 < a < b:
            continue
        lines.append(f"{key}: {_shown(a)} -> {_shown(b)}")
    return lines


def importance(key: str) -> int:
    """A place in the order in which differing keys are told, small first."""
    first = (*_TOLD_FIRST, *_TOLD_NEXT)
    group = key.partition(".")[0]
    return first.index(group) if group in first else len(first)


def _for_people(changes: list[str], before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The lines of `difference`, what matters most first; stores by their places instead of by what their data hash
    to."""
    data = [line for line in changes if line.startswith("data.") and ".fingerprint:" in line]
    if data:
        places = [[Path(str(entry["store"])).name for entry in config.get("data", ())] for config in (before, now)]
        same = "of the same name, with other data" if places[0] == places[1] else ""
        line = f"store: {same or ' -> '.join(', '.join(names) or 'nothing' for names in places)}"
        changes = [line, *(line for line in changes if not line.startswith("data."))]
    return sorted(changes, key=lambda line: importance(line.partition(":")[0]))


def _may_change(key: str) -> bool:
    parts = key.split(".")
    return bool(_FREE & set(parts)) or parts[-1] in _FREE_BELOW.get(parts[0], frozenset())


def leaves(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything in nested mappings."""
    if isinstance(values, Mapping) and values:
        for name, value in values.items():
            yield from leaves(value, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(values, list | tuple) and any(isinstance(v, Mapping) for v in values):
        for i, value in enumerate(values):
            yield from leaves(value, f"{prefix}.{i}")
    else:
        yield prefix, list(values) if isinstance(values, tuple) else values


def _shown(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
