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
    from domains import DOMAINS
    from pipelines.progress import reading_bar

    domain = DOMAINS.get(options.domain)
    tokenizer = make_tokenizer(domain, options)
    source = open_source(domain, options.data)
    if options.dry_run:
        size = source.total_bytes
        print(f"{'unknown' if size is None else f'{size:,}'} bytes to read with tokenizer {tokenizer.kind}")
        return
    with reading_bar(options.shows_progress) as bar:
        report = prepare_store(
            source,
            tokenizer,
            options.store,
            split=foretell.split_config(source, options.seed, options.split),
            domain=options.domain,
            max_bad=options.max_bad,
            on_bad=options.on_bad,
            progress=bar,
            overwrite=options.overwrite,
            min_length=options.min_length,
            max_length=options.max_length,
        )
    print(report.to_text())
    finish(f"store in {options.store}", command("train", store=options.store, run="run"))


def make_tokenizer(domain: Domain, options: PrepareOptions) -> Tokenizer[Any]:
    """By kind and options, or the one that a bundle, run or store has.

    Raises ConfigError where both are given or nothing is there, IntegrityError for one of another domain.
    """
    from core.bundle import load_bundle
    from core.recipe import of_domain
    from core.store import TokenStore
    from core.tokenizer import restore
    from domains import tokenizer_classes

    given = {key: value for key, value in options.tokenizer.items() if value is not None}
    kind = given.pop("name", None)
    if options.tokenizer_from is None:
        return domain.make_tokenizer(kind, given)
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
