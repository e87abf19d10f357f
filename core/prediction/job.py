"""A plan and how a process opens it, in a form that travels: pickled to a worker, or as JSON to another machine.

The grammar and the other strand belong to the bundle's tokenizer, which core does not know; a job carries the names of
functions that make them from the bundle.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from core.bundle import Bundle, load_bundle
from core.durable import read_json
from core.errors import ConfigError, ResourceError
from core.grammar import Grammar
from core.places import place
from core.prediction.block import ONE_STRAND, BlockRunner, Opened, OtherStrand
from core.prediction.input import Input, MakeReader
from core.prediction.input.opening import open_input
from core.prediction.layout import PLAN, read_marker
from core.prediction.plan import PredictionPlan

MakeGrammar = Callable[[Bundle], Grammar | None]
MakeOtherStrand = Callable[[Bundle], OtherStrand | None]
MAKERS = ("grammar", "other_strand", "reader")
"""What a job carries by name."""


@dataclass(frozen=True)
class Job:
    """What is to be done, and by which functions of a module a process opens it; a `core.launch.job.Job`."""

    kind: ClassVar[str] = "prediction"

    plan: PredictionPlan
    grammar: MakeGrammar | None = None
    """Makes the grammar of the bundle's tokenizer, where the plan's options ask for it."""
    other_strand: MakeOtherStrand | None = None
    """Gives how the bundle's tokenizer turns tokens, where the plan's options ask for both strands."""
    reader: MakeReader | None = None
    """Gives how records of the bundle's kind are read, where the input is no token store, or bits a unit are wanted."""

    def open(self, bundle: Bundle | None = None, rows: Input | None = None) -> Opened:
        """Bundle and input, opened here where they are not given.

        Raises:
            ConfigError: the bundle's tokenizer has no grammar, or no other strand, and the plan needs one.
            IntegrityError: bundle or input is damaged, or not what was planned.
        """
        bundle = bundle or load_bundle(self.plan.bundle)
        reader = self.reader(bundle) if self.reader is not None else None
        rows = rows or open_input(self.plan, reader)
        options = self.plan.options
        automaton = self.grammar(bundle) if self.grammar is not None and options.grammar else None
        if options.grammar and automaton is None:
            raise ConfigError("grammar: the bundle's tokenizer has none")
        turn = self.other_strand(bundle) if self.other_strand is not None and options.strands == "both" else None
        if options.strands == "both" and turn is None:
            raise ConfigError("strands=both: the bundle's tokenizer knows no other strand", hint=ONE_STRAND)
        return Opened(bundle, rows, reader, automaton, turn)

    def open_runner(self, between: Callable[[], None] = lambda: None) -> BlockRunner:
        """Raises as `open`."""
        return BlockRunner(self.plan, self.open(), between=between)

    @property
    def output(self) -> Path:
        return self.plan.output

    @property
    def hash(self) -> str:
        return self.plan.hash

    @property
    def n_blocks(self) -> int:
        return self.plan.n_blocks

    @property
    def threads(self) -> int:
        return max(1, int(self.plan.identity["threads"]))

    def is_done(self, block: int) -> bool:
        """Whether its done-marker is there."""
        return read_marker(self.plan.output, block, self.plan.hash, hashes=False) is not None

    def items(self, block: int) -> int:
        """Its rows."""
        start, stop = self.plan.block(block)
        return stop - start

    def said(self, block: int) -> str:
        start, stop = self.plan.block(block)
        return f"block {block} (rows {start:,} to {stop - 1:,})"

    def to_config(self, *, whole: bool = True) -> dict[str, Any]:
        """JSON values; places are absolute. Not `whole`: without the plan's identity, which may be long."""
        places = {name: str(getattr(self.plan, name).resolve()) for name in ("bundle", "input", "output")}
        makers = {name: _name_of(getattr(self, name)) for name in MAKERS}
        return {**({"identity": self.plan.identity} if whole else {}), **places, **makers}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Raises ResourceError where the plan is to be read in the output and is not there."""
        places = {name: place(config[name]) for name in ("bundle", "input", "output")}
        path = places["output"] / PLAN
        if "identity" not in config and not path.is_file():
            raise ResourceError(
                f"a worker does not see {path}", hint="Bundle, input and output must be in reach of all."
            )
        plan = PredictionPlan(config["identity"] if "identity" in config else read_json(path), **places)
        return cls(plan, **{name: _function(config[name]) for name in MAKERS})


def _name_of(function: Callable[..., Any] | None) -> str | None:
    return None if function is None else f"{function.__module__}:{function.__qualname__}"


def _function(name: str | None) -> Any:
    if name is None:
        return None
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
