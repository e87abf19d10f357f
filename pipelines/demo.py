"""`foretell demo`: the whole chain on real data, domain by domain, and one page over them all.

Each step is the verb of that name with the keys of `experiment=DOMAIN_PRESET`; what was sampled is prepared as a store
of its own, and `predict` runs over that. Given again, it goes on: what was made with the same keys is not made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.amounts import count, duration
from core.durable import read_json, write_json_durably
from core.errors import ForetellError, StoppedError
from domains import DOMAINS, starters
from pipelines import compose, evaluate, exit_codes, predict, prepare, report, sample, train
from pipelines.run_record import RunRecord
from pipelines.settings import Settings, finish

if TYPE_CHECKING:
    from core.report import Card

STEPS = ("prepare", "train", "evaluate", "sample", "prepare_samples", "predict", "report")
_MODULES: dict[str, Any] = {
    "prepare": prepare,
    "train": train,
    "evaluate": evaluate,
    "sample": sample,
    "prepare_samples": prepare,
    "predict": predict,
    "report": report,
}


@dataclass(frozen=True, kw_only=True)
class DemoOptions(Settings):
    domains: tuple[str, ...] = ()
    """The domains to show; all where not given."""
    preset: str = "smoke"
    """smoke: a minute of training on two cores; small: twenty; paper: a GPU; starter: some minutes, for bundles to
    fine-tune from. The experiment is DOMAIN_PRESET."""
    out: Path | None = None
    """The folder; each domain has one of its own in it. Where not given, demo; of preset=starter a place in the cache,
    whose bundles are named starter/DOMAIN: foretell finetune init_from=starter/dna ..."""
    prepare: tuple[str, ...] = ()
    """Further keys of this step, as it takes them: prepare=[data.path=genome.fa]."""
    train: tuple[str, ...] = ()
    """Further keys of this step: train=[training.steps=100,size=xs]."""
    evaluate: tuple[str, ...] = ()
    """Further keys of this step."""
    sample: tuple[str, ...] = ()
    """Further keys of this step."""
    prepare_samples: tuple[str, ...] = ()
    """Further keys of this step, in which the samples become a store."""
    predict: tuple[str, ...] = ()
    """Further keys of this step."""
    report: tuple[str, ...] = ()
    """Further keys of this step."""

    @property
    def folder(self) -> Path:
        return self.out or (starters.folder() if self.preset == starters.PRESET else Path("demo"))


OPTIONS = DemoOptions


class StepFailedError(ForetellError):
    """A step of the chain failed; its exit code is the demo's."""

    def __init__(self, domain: str, step: str, code: int, places: Path) -> None:
        super().__init__(
            f"demo: step '{step}' of domain '{domain}' failed (exit code {code})",
            hint=f"What was done before it is in {places}; the same command goes on from there.",
        )
        self.domain, self.step, self.exit_code = domain, step, code


def run(options: DemoOptions) -> None:
    wanted = options.domains or tuple(DOMAINS.names())
    for name in wanted:
        DOMAINS.get(name)
    failed: list[StepFailedError] = []
    for name in wanted:
        try:
            Chain(name, options).run()
        except StepFailedError as error:
            failed.append(error)
    page = None if options.dry_run else write_index(options.folder, wanted, {e.domain: e for e in failed})
    if failed:
        raise failed[0]
    if page is not None:
        finish(f"page in {page}", "open it in a browser; then data of your own: foretell prepare --help")


class Chain:
    """The steps of one domain in its folder; `.demo.json` there says with which keys each was done, and its seconds."""

    def __init__(self, domain: str, options: DemoOptions) -> None:
        self.domain, self.options = domain, options
        self.folder = options.folder / domain
        self.journal = self.folder / ".demo.json"
        self.done: dict[str, dict[str, Any]] = dict(read_json(self.journal)) if self.journal.is_file() else {}

    def run(self) -> None:
        """Raises StepFailedError where a step fails; StoppedError passes."""
        print(f"# {self.domain}: {', '.join(STEPS)} in {self.folder}", flush=True)
        for step in STEPS:
            self._step(step)
        if not self.options.dry_run:
            took = "  ".join(f"{step} {self.done[step]['seconds']:.1f} s" for step in STEPS)
            print(f"# {self.domain}: {took}", flush=True)

    def _step(self, step: str) -> None:
        keys = [*self._keys(step), *getattr(self.options, step)]
        if self.done.get(step, {}).get("keys") == keys:
            print(f"# {self.domain}: {step} is done already", flush=True)
            return
        if self.options.dry_run and step not in ("prepare", "train"):
            return
        for later in STEPS[STEPS.index(step) :]:
            self.done.pop(later, None)
        print(f"# {self.domain}: {step}", flush=True)
        module, began = _MODULES[step], time.perf_counter()
        task: Callable[[Any], None] = module.run
        try:
            task(compose.compose(step.split("_")[0], module.OPTIONS, keys))
        except (StoppedError, KeyboardInterrupt):
            raise
        except Exception as error:
            code = exit_codes.report(error, place=f"{step}: ")
            raise StepFailedError(self.domain, step, code, self.folder) from error
        if not self.options.dry_run:
            self.done[step] = {"keys": keys, "seconds": round(time.perf_counter() - began, 2)}
            write_json_durably(self.journal, self.done)

    def _keys(self, step: str) -> list[str]:
        """What every step is given; the rest is the experiment's."""
        store, trained, bundle = self.folder / "store.zarr", self.folder / "run", self.folder / "run" / "bundle"
        domain = DOMAINS.get(self.domain)
        samples, sampled = self.folder / f"samples{domain.suffix}", self.folder / "samples.zarr"
        own = {
            "prepare": [f"store={store}", "overwrite=true"],
            "train": [f"store={store}", f"run={trained}"],
            "evaluate": [f"bundle={bundle}", f"store={store}", f"out={self.folder / 'evaluation'}"],
            # what goes on in time is shown going on, what stands for itself is drawn from nothing
            "sample": [f"bundle={bundle}", f"out={samples}", *([f"store={store}"] if domain.forecast else [])],
            "prepare_samples": [
                f"domain={self.domain}",
                f"data.path={samples}",
                f"store={sampled}",
                f"tokenizer_from={bundle}",
                "split.rule=random",
                "max_bad=1",  # samples that are no records are counted, and no reason to stop
                "overwrite=true",
            ],
            "predict": [f"bundle={bundle}", f"input={sampled}", f"output={self.folder / 'prediction.zarr'}"],
            "report": [f"run={trained}"],
        }
        experiment = (
            [] if step in ("report", "prepare_samples") else [f"experiment={self.domain}_{self.options.preset}"]
        )
        shared = ((f.name, getattr(self.options, f.name)) for f in fields(Settings) if f.name != "plugins")
        return [
            *experiment,
            *own[step],
            *(f"{name}={str(value).lower()}" for name, value in shared if value is not None),
        ]


def write_index(out: Path, domains: Sequence[str], failed: Mapping[str, StepFailedError]) -> Path:
    """One page with a card for each domain: what was learned, or what could not be done and why."""
    from core.report import build_index, write_page

    cards = [card(out, name, failed.get(name)) for name in domains]
    page = out / "index.html"
    lead = "What the demo made, one card a domain: open a card for its report."
    write_page(page, build_index("Next-token prediction for the sciences", lead, cards))
    return page


def card(out: Path, name: str, failure: StepFailedError | None = None) -> Card:
    """A domain's card: its portrait, its result beside the best baseline, its cost, and the command for own data."""
    from core.report import Card, portrait, portrait_in_sound

    domain, record = DOMAINS.get(name), RunRecord(out / name / "run")
    title, own = domain.title, domain.example
    if failure is not None or not (record.path / "report.html").is_file():
        why = describe_failure(failure)
        return Card(title, domain.summary, "", command=own, trouble=why)
    found = record.evaluation()
    picture, sound = (portrait(found[0]), portrait_in_sound(found[0])) if found else (None, None)
    took = duration(record.seconds or 0).replace(" ", "\u00a0")  # no line ends between a number and its unit
    tokens = count(record.last_step.get("tokens", 0))
    cost = f"{count(record.n_parameters or 0)} parameters, {tokens} tokens in {took}"
    return Card(
        title,
        domain.summary,
        f"{name}/run/report.html",
        report.headline(record),
        record.validations,
        picture,
        sound,
        cost,
        own,
    )


def describe_failure(failure: StepFailedError | None) -> str:
    """Why a domain has no report, as its card says it."""
    if failure is None:
        return "No report was made."
    return f"Step '{failure.step}' failed: {failure.__cause__}"
