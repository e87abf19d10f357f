"""The verbs by name: what each does in a line, and where its code is. Importing this page imports none of them."""

from __future__ import annotations

import importlib
import shlex
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import ConfigError, nearest


@dataclass(frozen=True)
class Verb:
    """A verb that composes a config is a module with OPTIONS and run(options); any other one has parser() and
    main(arguments)."""

    summary: str
    module: str
    composes: bool = True
    resumes: bool = False
    """Whether the same command goes on where it was stopped; any other one begins anew."""

    def options(self) -> type:
        """The dataclass of the verb's keys."""
        found: type = importlib.import_module(self.module).OPTIONS
        return found

    def task(self) -> Callable[[Any], None]:
        found: Callable[[Any], None] = importlib.import_module(self.module).run
        return found

    def parser(self) -> ArgumentParser:
        """Of a verb with plain arguments: what reads them, and what its --help is made of."""
        found: ArgumentParser = importlib.import_module(self.module).parser()
        return found

    def main(self, arguments: Sequence[str]) -> int:
        """Of a verb with plain arguments: does it and returns the exit code."""
        return int(importlib.import_module(self.module).main(arguments))


VERBS = {
    "prepare": Verb(
        "read, check, split and tokenize records; writes a token store and a data report", "pipelines.prepare"
    ),
    "train": Verb("train a model on a token store; the same command again goes on", "pipelines.train", resumes=True),
    "finetune": Verb("go on from a trained model on data of your own", "pipelines.finetune", resumes=True),
    "evaluate": Verb("metrics with intervals beside baselines, and figures", "pipelines.evaluate"),
    "sample": Verb("draw new records from a model into a file of the domain's own type", "pipelines.sample"),
    "predict": Verb(
        "score or embed every record of a store into a prediction store", "pipelines.predict", resumes=True
    ),
    "export": Verb("a model as a folder that transformers or mamba-ssm loads", "pipelines.export"),
    "report": Verb("one self-contained HTML page about a run", "pipelines.report"),
    "compare": Verb("several runs side by side", "pipelines.compare", composes=False),
    "describe": Verb("what a store, run, bundle or prediction is", "pipelines.describe", composes=False),
    "domains": Verb("the domains, their tokenizers and data sets", "pipelines.domains", composes=False),
    "demo": Verb("the whole chain on real data, with one page at the end", "pipelines.demo", resumes=True),
    "completion": Verb(
        "what makes a shell complete verbs, keys and names: bash, zsh, fish", "pipelines.completion", composes=False
    ),
}


def again(given: Sequence[str]) -> str:
    """What to say to who has stopped a command: whether it goes on or begins anew, and what to type."""
    verb = VERBS.get(given[0]) if given else None
    resumes = verb is not None and verb.resumes and not {"task=classify", "task=regress"} & set(given)
    how = "goes on from there" if resumes else "begins anew"
    return f"The same command {how}: {shlex.join(['foretell', *given])}"


def find(name: str) -> Verb:
    """Raises ConfigError with the nearest verb where there is none of that name."""
    if name not in VERBS:
        raise ConfigError(f"unknown verb '{name}'{nearest(name, VERBS)}", hint="All verbs: foretell --help")
    return VERBS[name]
