"""Data in whatever form one has it as a token store: a store, a folder of one, files, a data frame, arrays or records.

What is no store yet is prepared beside the run that asks for it, with the split that the domain's source suggests.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError
from domains import DOMAINS, tokenizer_classes

if TYPE_CHECKING:
    from core.split import SplitConfig
    from core.start import Start
    from core.store import TokenStore


def as_store(
    data: Any,
    run: Path,
    domain: str | None,
    described: tuple[str | None, Mapping[str, Any] | None, Mapping[str, Any] | None, int],
    start: Start | None,
) -> TokenStore:
    """`data` itself where it is a store; otherwise files or records prepared beside the run."""
    from core.ingest import prepare_store
    from core.store import TokenStore
    from core.tokenizer import restore

    if isinstance(data, TokenStore):
        return data
    table = hasattr(data, "columns") or hasattr(data, "__array__")  # a frame or an array is one thing, not a list
    items = [data] if table or isinstance(data, str | os.PathLike) else list(data)
    if len(items) == 1 and isinstance(items[0], str | os.PathLike) and Path(items[0]).is_dir():
        return TokenStore.open(Path(items[0]))
    name = domain or (start.domain if start else None)
    if name is None:
        raise ConfigError("domain= is required where the data is no token store", hint=f"Known: {DOMAINS.names()}.")
    kind, options, split, seed = described
    place = DOMAINS.get(name)
    known = start.tokenizer if start else None
    made = restore(known, tokenizer_classes()) if known else place.make_tokenizer(kind, options)
    if not table and not all(
        isinstance(item, os.PathLike) or (isinstance(item, str) and Path(item).is_file()) for item in items
    ):
        file = run.with_name(f"{run.name}.data{place.suffix}")
        place.load("writer")(file, map(made.canonical, items))
        items = [file]
    opened = place.load("source")(path=data if table else items)
    out = run.with_name(f"{run.name}.zarr")
    prepare_store(opened, made, out, split=split_config(opened, seed, split or {}), domain=name, overwrite=True)
    return TokenStore.open(out)


def split_config(source: Any, seed: int, given: Mapping[str, Any]) -> SplitConfig:
    """The split that suits a source of records, as the source itself says, with `given` fields as they are."""
    from core.split import SplitConfig

    return SplitConfig(**{**getattr(source, "suggested_split", {}), "seed": seed, **given})
