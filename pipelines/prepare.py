"""`foretell prepare`: records of a domain into a token store, with a report of what was read and what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import foretell
from core.errors import ConfigError
from core.split import SplitConfig
from pipelines.options import Some
from pipelines.settings import Settings, command, finish

if TYPE_CHECKING:
    from core.ingest import RecordSource
    from core.tokenizer import Tokenizer
    from domains import Domain


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Settings):
    domain: str
    """What kind of records these are; `foretell domains` lists them."""
    store: Path
    """The token store to write: a folder, OUT.zarr."""
    data: dict[str, Any] = field(default_factory=lambda: {"name": None, "path": None})
    """data=NAME for a named data set, data.path=FILE, [FILES] or 'reads/*.fa' for files of your own; further keys are
    the domain's (data.bed=regions.bed)."""
    tokenizer: dict[str, Any] = field(default_factory=lambda: {"name": None})
    """tokenizer=KIND, the domain's default where not given; further keys are the tokenizer's (tokenizer.k=6)."""
    tokenizer_from: Path | None = None
    """A bundle, run or token store whose tokenizer is taken as it is: what was learned for it is not learned anew."""
    tasks: dict[str, Any] = field(default_factory=dict)
    """Questions whose answers are learned as tokens behind the sequences: tasks.soluble.column=label, and where the
    form is not plain from the labels tasks.NAME.kind=classes, number, indices, per_token or positions."""
    split: Annotated[dict[str, Any], Some(SplitConfig)] = field(default_factory=dict)
    """What is trained on, validated on and tested on; null: as suits the data."""
    max_bad: float = 0.01
    """The share of records that may be refused before that is an error."""
    on_bad: Literal["reject", "fail"] = "reject"
    """Whether a bad record is refused and counted, or ends the work."""
    min_length: int = 1
    """Records of fewer natural units are refused."""
    max_length: int | None = None
    """Records of more natural units are refused; null: no limit."""
    overwrite: bool = False
    """Whether a store that is there already is replaced."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.max_bad <= 1:
            raise ConfigError(f"max_bad: got {self.max_bad}, allowed: a share from 0 to 1")
        if bool(self.data.get("name")) == bool(self.data.get("path")):
            got = "both" if self.data.get("name") else "neither"
            raise ConfigError(f"expected either data=NAME or data.path=FILES, got {got}")


OPTIONS = PrepareOptions


def run(options: PrepareOptions) -> None:
    from core.ingest import prepare_store
    from core.tasks.source import whole_records
    from domains import DOMAINS
    from domains.own_data import split_config
    from pipelines.progress import reading_bar

    domain = DOMAINS.get(options.domain)
    source = open_source(domain, with_columns(options.data, options.tasks))
    tokenizer = make_tokenizer(domain, options, getattr(source, "tokenizer_kind", None))
    if options.tasks:
        source, tokenizer = with_tasks(source, tokenizer, options.tasks)
    if options.dry_run:
        size = source.total_bytes
        print(f"{'unknown' if size is None else f'{size:,}'} bytes to read with tokenizer {tokenizer.kind}")
        return
    split = split_config(source, options.seed, options.split)
    if options.tasks:
        split = whole_records(split)
    with reading_bar(options.shows_progress) as bar:
        report = prepare_store(
            source,
            tokenizer,
            options.store,
            split=split,
            domain=options.domain,
            max_bad=options.max_bad,
            on_bad=options.on_bad,
            progress=bar,
            overwrite=options.overwrite,
            min_length=options.min_length,
            max_length=options.max_length,
        )
    print(report.to_text())
    following = command("train", store=options.store, run="run")
    if options.tasks:
        following = command("finetune", init_from="BUNDLE", store=options.store, task="tokens", run="run")
    if getattr(source, "compared", False):  # rows to compare are there to be scored
        following = command("predict", bundle="BUNDLE", input=options.store, output="scored.zarr", what="[compare]")
    finish(f"store in {options.store}", following)


def make_tokenizer(domain: Domain, options: PrepareOptions, needed: str | None = None) -> Tokenizer[Any]:
    """By kind and options, or the one that a bundle, run or store has.

    Args:
        needed: the kind that alone reads these records; None where the domain's usual ones do.

    Raises ConfigError where both are given, nothing is there or another kind is needed, IntegrityError for one of
    another domain.
    """
    from core.bundle import load_bundle
    from core.recipe import of_domain
    from core.store import TokenStore
    from core.tokenizer import restore
    from domains import tokenizer_classes

    given = {key: value for key, value in options.tokenizer.items() if value is not None}
    kind = given.pop("name", None)
    if needed and kind and kind != needed:
        raise ConfigError(f"tokenizer={kind}: these records are read by tokenizer={needed} only", hint="Leave it out.")
    if options.tokenizer_from is None:
        return domain.make_tokenizer(kind or needed, given)
    if kind or given:
        raise ConfigError("expected either tokenizer= or tokenizer_from=, got both")
    path = foretell.bundle_path(options.tokenizer_from)
    owner = load_bundle(path) if (path / "MANIFEST.json").is_file() else TokenStore.open(path)
    of_domain(owner, domain.name)
    return restore(owner.tokenizer, tokenizer_classes())


def open_source(domain: Domain, data: Mapping[str, Any]) -> RecordSource[Any]:
    """The records that the keys below `data` describe; the domain says what is wrong with them."""
    options = {key: value for key, value in data.items() if key not in ("name", "path") and value is not None}
    opened: RecordSource[Any] = domain.load("source")(data=data.get("name"), path=data.get("path"), **options)
    return opened


def with_columns(data: Mapping[str, Any], tasks: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with the tasks' columns among the labels, where tables of one's own are read."""
    from core.tasks.source import columns_of

    wanted = columns_of(tasks)
    if not wanted or not data.get("path") or data.get("token_labels"):
        return dict(data)
    given = data.get("labels") or ()
    listed = (given,) if isinstance(given, str) else tuple(given)
    return {**data, "labels": list(dict.fromkeys((*listed, *wanted)))}


def with_tasks(
    source: RecordSource[Any], tokenizer: Tokenizer[Any], tasks: Mapping[str, Any]
) -> tuple[RecordSource[Any], Tokenizer[Any]]:
    """Rows and tokenizer of the tasks; of a tokenizer that has tasks already (tokenizer_from=), these come behind.

    Raises ConfigError for a task that is not allowed.
    """
    from collections import Counter

    from core.tasks.source import TaskSource, make_tasks
    from core.tasks.tokenizer import TaskTokenizer

    made = make_tasks(tasks, source)
    notes: Counter[str] = Counter()
    if isinstance(tokenizer, TaskTokenizer):
        known = {task.name: task for task in tokenizer.tasks}
        new = [task for task in made if task.name not in known]
        asked = tuple(known.get(task.name, task) for task in made)
        grown: Any = TaskTokenizer(tokenizer.base, (*tokenizer.tasks, *new), prompt=tokenizer.prompt, notes=notes)
        return TaskSource(source, asked, notes), grown
    new_one: Any = TaskTokenizer(tokenizer, made, notes=notes)
    return TaskSource(source, made, notes), new_one
