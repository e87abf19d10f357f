"""One verb as a Hydra app: composed from configs/ upon its options' defaults, run once or as a sweep.

Hydra's own folders (outputs/, multirun/, .hydra/) and its logging set-up are switched off; keys of Hydra's own are
refused, in arguments and in a `--config-dir`. A sweep runs all its jobs and its exit code is that of the first one that
failed; a job that a signal stopped ends the sweep.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.errors import ConfigError, StoppedError, nearest
from pipelines import compose, exit_codes
from pipelines.domain_help import domain_lines
from pipelines.help_text import WIDTH, terminal_width, verb_help
from pipelines.quoting import quoted
from pipelines.verbs import VERBS, again

_REFUSED_FLAGS = ("--experimental-rerun", "--config-path", "-cp", "--config-name", "-cn", "--shell-completion", "-sc")
_KNOWN_FLAGS = (
    *("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--resolve", "--package", "-p", "--run", "-r"),
    *("--multirun", "-m", "--info", "-i", "--config-dir", "-cd"),
)
_FLAGS_WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--info", "-i", "--config-dir", "-cd")


def run(verb: str, summary: str, options: type, task: Callable[[Any], None], arguments: Sequence[str]) -> int:
    """Composes `options` from `arguments` and hands them to `task`. Errors are printed. Returns the exit code."""
    codes: list[int] = []
    try:
        flags, overrides = split_flags(arguments)
        compose.load_plugins(overrides)
        if "--help" in flags or "-h" in flags:
            beside = {key: value for key, _, value in (override.partition("=") for override in overrides)}
            print(page(verb, summary, options, typed=beside, width=terminal_width()))
            return exit_codes.DONE
        multirun = "--multirun" in flags or "-m" in flags
        compose.register(verb, options)
        typed = compose.normalised(overrides, options, multirun)
        with tempfile.TemporaryDirectory(prefix="foretell-") as scratch:
            own = [
                "hydra/job_logging=none",
                "hydra/hydra_logging=none",
                "hydra.run.dir=.",
                "hydra.output_subdir=null",
                f"hydra.sweep.dir={quoted(scratch)}",
                "hydra.sweep.subdir=.",
                compose.searchpath(),
            ]
            stopped = again([verb, *arguments])
            _start(verb, _job(verb, options, task, codes, multirun, stopped), [*flags, *own, *typed])
    except SystemExit as stop:
        # Hydra leaves with 1 where what was typed is at fault; a job that was stopped leaves with 128 + n.
        codes.append(exit_codes.USAGE if stop.code == 1 or isinstance(stop.code, str) else int(stop.code or 0))
    except (Exception, KeyboardInterrupt) as error:
        codes.append(exit_codes.report(compose.explained(error, options), again=again([verb, *arguments])))
    return next((code for code in codes if code), exit_codes.DONE)


def page(verb: str, summary: str, options: type, *, typed: Mapping[str, str] | None = None, width: int = WIDTH) -> str:
    """What --help prints, with the choices of every folder of configs.

    Args:
        typed: keys and values beside it; those of the domain that they name are shown as well.
    """
    folders = compose.config_folders()
    domain = domain_lines(verb, typed or {}, folders, width)
    return verb_help(verb, summary, options, compose.primary(verb), folders=folders, domain=domain, width=width)


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags with their values, and the overrides. Raises ConfigError for flags that replace our configs, and
    for those that there are not."""
    flags: list[str] = []
    overrides: list[str] = []
    takes_value = False
    for argument in arguments:
        name, _, value = argument.partition("=")
        if takes_value and not argument.startswith("-"):
            flags.append(argument)
            if flags[-2] in ("--config-dir", "-cd"):
                compose.check_config_dir(Path(argument))
            takes_value = False
        elif argument.startswith("-"):
            if name in _REFUSED_FLAGS:
                raise ConfigError(f"{name} is not offered", hint="A folder of your own configs: --config-dir DIR.")
            if name not in _KNOWN_FLAGS:
                raise _unknown_flag(name)
            if name == "--config-dir" and value:
                compose.check_config_dir(Path(value))
            flags.append(argument)
            takes_value = argument in _FLAGS_WITH_VALUE
        else:
            overrides.append(argument)
    return flags, overrides


def _unknown_flag(name: str) -> ConfigError:
    """The error for a flag that verbs with keys do not have: which verbs do, else the nearest one."""
    others = [verb for verb, it in VERBS.items() if not it.composes and name in it.parser().format_usage()]
    if others:
        return ConfigError(f"unknown flag '{name}'; these verbs have it: {', '.join(others)}")
    guess = nearest(name, ("--help", "--cfg", "--multirun", "--info", "--config-dir"))
    return ConfigError(f"unknown flag '{name}'{guess}", hint="Keys are written without dashes: key=value.")


def _job(
    verb: str, options: type, task: Callable[[Any], None], codes: list[int], multirun: bool, stopped: str
) -> Callable[[Any], None]:
    """What Hydra calls with each composed config: never raises an error, so that the other jobs of a sweep run."""

    def job(config: Any) -> None:
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        overrides = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
        assert isinstance(overrides, list)
        place = ""
        if multirun:
            place = f"job {len(codes)} ({' '.join(overrides)}): "
            print(f"# job {len(codes)}: {' '.join(overrides)}", flush=True)
        try:
            task(compose.validated(config, options, overrides))
            codes.append(exit_codes.DONE)
        except (StoppedError, KeyboardInterrupt) as error:
            codes.append(exit_codes.report(error, place=place, again=stopped))
            raise SystemExit(codes[-1]) from None
        except Exception as error:
            codes.append(exit_codes.report(compose.explained(error, options), place=place))

    job.__module__ = f"pipelines.{verb}"  # Hydra calls the job after it
    return job


def _start(verb: str, job: Callable[[Any], None], arguments: list[str]) -> None:
    import hydra

    with _arguments([f"foretell {verb}", *arguments]), _errors_come_through():
        hydra.main(config_path=str(compose.CONFIGS), config_name=verb, version_base="1.3")(job)()


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, arguments
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _errors_come_through() -> Iterator[None]:
    """Hydra hands errors on, where it would otherwise print them and exit with 1."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


NUMBERED_JOB = re.compile(r"^# job (\d+): (.*)$", re.MULTILINE)
"""How a sweep announces each job on stdout."""
