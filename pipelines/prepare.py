"""`foretell prepare`: records of a domain into a token store, with a report of what was read and what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import foretell
from core.errors import ConfigError, nearest
from core.launch.options import LaunchOptions
from core.split import SplitConfig
from pipelines.options import Some
from pipelines.settings import Settings, command, finish

if TYPE_CHECKING:
    from core.ingest import RecordSource
    from core.ingest.parts import PartsOptions
    from core.tasks.source import TaskSource
    from core.tokenizer import Tokenizer
    from domains import Domain


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Settings, LaunchOptions):
    domain: str
    """What kind of records these are; `foretell domains` lists them."""
    store: Path
    """The token store to write: a folder, OUT.zarr."""
    launcher: str = "inprocess"
    """Who reads the files; inprocess: this process, one after the other; local: several processes on this machine;
    dask: a Dask cluster; slurm: an array job. Others than inprocess make a store of parts, all of them the same one."""
    workers: int = 0
    """Processes of launcher=local and dask, tasks of slurm; 0: local and dask as many as cores allow, slurm 8."""
    part_bytes: int | None = None
    """Files are shared out to parts of about so many bytes; null: 64 MiB, or with launcher=inprocess no parts at all.
    A store of parts goes on where it was when the same command is given again."""
    data: dict[str, Any] = field(default_factory=lambda: {"name": None, "path": None})
    """data=NAME for a named data set, data.path=FILE, [FILES], a folder or a pattern in quotes for files of your own;
    further keys are the domain's, and `foretell prepare domain=NAME --help` lists them."""
    label_table: Path | None = None
    """A CSV or TSV of labels for records whose own files have none: a column that names the records (id, record, name,
    file) and a column a label."""
    tokenizer: dict[str, Any] = field(default_factory=lambda: {"name": None})
    """tokenizer=KIND, the domain's default where not given; further keys are the tokenizer's (tokenizer.k=6)."""
    tokenizer_from: Path | None = None
    """A bundle, run or token store whose tokenizer is taken as it is: what was learned for it is not learned anew."""
    tokenizer_grows: bool = False
    """Whether the tokenizer of tokenizer_from= gets further channels where records have them (sensors, covariates,
    calendar fields, tasks of robots): those that it knows stay in front as they are, and a model that starts from it
    keeps its weights."""
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
        Settings.__post_init__(self)
        LaunchOptions.__post_init__(self)
        if not 0 <= self.max_bad <= 1:
            raise ConfigError(f"max_bad: got {self.max_bad}, allowed: a share from 0 to 1")
        if bool(self.data.get("name")) == bool(self.data.get("path")):
            got = "both" if self.data.get("name") else "neither"
            wrong = [key for key in self.data if key not in ("name", "path") and nearest(key, ("name", "path"))]
            if wrong and got == "neither":
                raise ConfigError(
                    f"unknown key 'data.{wrong[0]}'{nearest(f'data.{wrong[0]}', ('data.name', 'data.path'))}",
                    hint="Expected either data=NAME or data.path=FILES.",
                )
            raise ConfigError(f"expected either data=NAME or data.path=FILES, got {got}")


OPTIONS = PrepareOptions


def run(options: PrepareOptions) -> None:
    from core.ingest import prepare_store
    from core.ingest.parts import prepare_parts
    from core.tasks.source import whole_records
    from domains import DOMAINS
    from domains.own_data import split_config
    from pipelines.progress import reading_bar

    domain = DOMAINS.get(options.domain)
    source = open_source(domain, with_columns(options.data, options.tasks), options.label_table)
    needed = getattr(source, "tokenizer_kind", None)
    tokenizer = make_tokenizer(domain, options.tokenizer, options.tokenizer_from, needed, grows=options.tokenizer_grows)
    if options.tasks:
        source, tokenizer = with_tasks(source, tokenizer, options.tasks)
    if options.dry_run:
        size = source.total_bytes
        print(f"{'unknown' if size is None else f'{size:,}'} bytes to read with tokenizer {tokenizer.kind}")
        return
    split = split_config(source, options.seed, options.split)
    if options.tasks:
        split = whole_records(split, pieces=getattr(source, "pieces", False))
    names = ("domain", "max_bad", "on_bad", "overwrite", "min_length", "max_length")
    given: dict[str, Any] = {name: getattr(options, name) for name in names} | {"split": split}
    with reading_bar(options.shows_progress) as bar:
        if options.launcher == "inprocess" and options.part_bytes is None:
            report = prepare_store(source, tokenizer, options.store, progress=bar, **given)
        else:
            report = prepare_parts(source, tokenizer, options.store, _parts(options), progress=bar, **given)
    print(report.to_text())
    following = command("train", store=options.store, run="run")
    if options.tasks:
        following = command("finetune", init_from="BUNDLE", store=options.store, task="tokens", run="run")
    if getattr(source, "compared", False):  # rows to compare are there to be scored
        following = command("predict", bundle="BUNDLE", input=options.store, output="scored.zarr", what="[compare]")
    finish(f"store in {options.store}", following)


def _parts(options: PrepareOptions) -> PartsOptions:
    """How the work is shared out, and what another process opens source and tokenizer by."""
    from core.ingest.parts import PART_BYTES, PartsOptions

    given = options.data.get("path")
    listed = [given] if isinstance(given, str | Path) else list(given or ())
    recipe = {
        "domain": options.domain,
        "data": {**options.data, "path": [_absolute(path) for path in listed] or None},
        "label_table": None if options.label_table is None else _absolute(options.label_table),
        "tasks": options.tasks,
        "tokenizer": options.tokenizer,
        "tokenizer_from": None if options.tokenizer_from is None else _absolute(options.tokenizer_from),
        "tokenizer_grows": options.tokenizer_grows,
        "plugins": list(options.plugins),
    }
    launch = LaunchOptions(**{f.name: getattr(options, f.name) for f in fields(LaunchOptions)})
    part_bytes = PART_BYTES if options.part_bytes is None else options.part_bytes
    return PartsOptions(open_part, recipe, options.launcher, launch, part_bytes)


def _absolute(path: str | Path) -> str:
    """As a process sees it that has another working directory."""
    return str(Path(path).expanduser().absolute())


def open_part(
    recipe: Mapping[str, Any], described: Mapping[str, Any] | None
) -> tuple[RecordSource[Any], Tokenizer[Any]]:
    """Source and tokenizer of a process that prepares a part of a store; see `core.ingest.job.OpenPart`."""
    from core.tasks.source import TaskSource
    from core.tasks.tokenizer import TaskTokenizer
    from core.tokenizer import restore
    from domains import DOMAINS, tokenizer_classes
    from pipelines.compose import load_plugins

    load_plugins([f"plugins=[{','.join(recipe['plugins'])}]"] if recipe["plugins"] else [])
    domain = DOMAINS.get(recipe["domain"])
    table = recipe["label_table"]
    source = open_source(domain, with_columns(recipe["data"], recipe["tasks"]), table and Path(table), whole=False)
    if described is None:
        tokenizer = make_tokenizer(
            domain,
            recipe["tokenizer"],
            None if recipe["tokenizer_from"] is None else Path(recipe["tokenizer_from"]),
            getattr(source, "tokenizer_kind", None),
            grows=recipe["tokenizer_grows"],
        )
        return with_tasks(source, tokenizer, recipe["tasks"]) if recipe["tasks"] else (source, tokenizer)
    tokenizer = restore(described, tokenizer_classes())
    if isinstance(tokenizer, TaskTokenizer):
        asked = tuple(task for task in tokenizer.tasks if task.name in recipe["tasks"])
        return TaskSource(source, asked, tokenizer.notes), tokenizer
    return source, tokenizer


def make_tokenizer(
    domain: Domain,
    given: Mapping[str, Any],
    owner: Path | None,
    needed: str | None = None,
    *,
    grows: bool = False,
) -> Tokenizer[Any]:
    """By kind and options, or the one that a bundle, run or store has.

    Args:
        given: the keys below `tokenizer`.
        owner: the bundle, run or store.
        needed: the kind that alone reads these records; None where the domain's usual ones do.
        grows: whether the owner's is to be fitted to further channels (`core.tokenizer.growing`).

    Raises ConfigError where both are given, nothing is there, another kind is needed or the owner's cannot grow,
    IntegrityError for one of another domain.
    """
    from core.bundle import load_bundle
    from core.recipe import of_domain
    from core.store import TokenStore
    from core.tokenizer import growing, restore
    from domains import tokenizer_classes

    given = {key: value for key, value in given.items() if value is not None}
    kind = given.pop("name", None)
    if needed and kind and kind != needed:
        raise ConfigError(f"tokenizer={kind}: these records are read by tokenizer={needed} only", hint="Leave it out.")
    if owner is None:
        if grows:
            raise ConfigError("tokenizer_grows=true says what tokenizer_from= gives, which is missing")
        return domain.make_tokenizer(kind or needed, given)
    if kind or given:
        raise ConfigError("expected either tokenizer= or tokenizer_from=, got both")
    path = foretell.bundle_path(owner)
    found = load_bundle(path) if (path / "MANIFEST.json").is_file() else TokenStore.open(path)
    of_domain(found, domain.name)
    tokenizer = restore(found.tokenizer, tokenizer_classes())
    return growing(tokenizer) if grows else tokenizer


def open_source(
    domain: Domain, data: Mapping[str, Any], label_table: Path | None = None, *, whole: bool = True
) -> RecordSource[Any]:
    """The records that the keys below `data` describe; the domain says what is wrong with them.

    Args:
        label_table: further labels, by name of record.
        whole: whether these are all records, not a part of them.
    """
    options = {key: value for key, value in data.items() if key not in ("name", "path") and value is not None}
    opened: RecordSource[Any] = domain.load("source")(data=data.get("name"), path=data.get("path"), **options)
    if label_table is None:
        return opened
    from domains.formats.label_table import Labelled, LabelTable

    return Labelled(opened, LabelTable(label_table), whole=whole)


def with_columns(data: Mapping[str, Any], tasks: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with the tasks' columns among the labels, where tables of one's own are read."""
    from core.tasks.source import columns_of

    def listed(key: str) -> tuple[str, ...]:
        given = data.get(key) or ()
        return (given,) if isinstance(given, str) else tuple(given)

    wanted = [name for name in columns_of(tasks) if name not in listed("token_labels")]
    if not wanted or not data.get("path"):
        return dict(data)
    return {**data, "labels": list(dict.fromkeys((*listed("labels"), *wanted)))}


def with_tasks(
    source: RecordSource[Any], tokenizer: Tokenizer[Any], tasks: Mapping[str, Any]
) -> tuple[TaskSource, Tokenizer[Any]]:
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
