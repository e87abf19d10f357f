"""One source into one store, in this process. A run that fails leaves no store behind, but the list of rejects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data_report import DataReport, look_for_oddities
from core.errors import ConfigError
from core.ingest.gathered import Gathered
from core.ingest.passes import Passes, Planned
from core.ingest.questions import ROW_LABELS, asked, asks, first_rows
from core.ingest.source import Progress, RecordSource
from core.label_distribution import Parts, distribution
from core.rejects import Ledger, remedies_of
from core.split import SplitConfig, SplitPlan, assign
from core.store.layout import SPLITS
from core.store.writer import TokenStoreWriter
from core.tokenizer import Tokenizer, describe


def rejects_path(store: Path) -> Path:
    """Where the rejects of a store are listed: `OUT.zarr.rejects.jsonl`."""
    return store.with_name(f"{store.name}.rejects.jsonl")


def refuse_existing(out: Path, *, overwrite: bool) -> None:
    """Raises ConfigError where something lies at `out` and may not be replaced."""
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists already", hint="Choose another store=, or allow it with overwrite=true.")


def prepare_store(
    source: RecordSource[Any],
    tokenizer: Tokenizer[Any],
    out: Path | str,
    *,
    split: SplitConfig,
    domain: str,
    max_bad: float = 0.01,
    on_bad: str = "reject",
    progress: Progress | None = None,
    overwrite: bool = False,
    min_length: int = 1,
    max_length: int | None = None,
    shard_tokens: int | None = None,
) -> DataReport:
    """Makes the store at `out` and says what is in it.

    Args:
        min_length, max_length: see `Passes`.
        shard_tokens: tokens a shard of the store; None: see `core.store.layout.SHARD_BYTES`.

    Raises:
        ConfigError: `out` exists and may not be overwritten, or the settings contradict each other.
        InputError: damage to a file, too many rejects, or, under on_bad=fail, the first of them.
        ResourceError: the disk refuses.
    """
    out = Path(out)
    refuse_existing(out, overwrite=overwrite)
    passes = Passes(source, split, progress, min_length, max_length)
    remedies = remedies_of(source, tokenizer)
    planned = None
    if tokenizer.needs_fit:
        with Ledger(rejects_path(out), max_bad=max_bad, on_bad=on_bad, remedies=remedies) as ledger:
            surveyed = passes.survey(tokenizer, ledger)
            ledger.check(getattr(source, "records_in", None))
        planned = Planned(assign(surveyed.keys), surveyed.planned)
        tokenizer = tokenizer.fit(passes.training_pieces(planned))
    with (
        TokenStoreWriter(
            out,
            tokenizer.spec,
            describe(tokenizer),
            domain=domain,
            source=source.provenance,
            shard_tokens=shard_tokens,
            overwrite=overwrite,
        ) as writer,
        Ledger(rejects_path(out), max_bad=max_bad, on_bad=on_bad, remedies=remedies) as ledger,
    ):
        found = passes.encode(tokenizer, writer, ledger, planned)
        ledger.check(getattr(source, "records_in", None))
        plan = planned.plan if planned else assign(found.keys)
        spans, span_split = found.spans(plan, 0, cut=planned is not None or split.rule == "last")
        parts = parts_of_rows(spans, span_split, len(writer))
        labels, first = labels_of(found, source, writer.label_pieces(), parts)
        report = report_of(found, source, tokenizer, ledger, plan, labels, first, out, domain)
        writer.finish(
            spans=spans,
            span_split=span_split,
            counts=ledger.counts(),
            split=plan.report,
            report=report.to_dict(),
            pairs=found.pairs,
        )
    return report


def report_of(
    found: Gathered,
    source: RecordSource[Any],
    tokenizer: Tokenizer[Any],
    ledger: Ledger,
    plan: SplitPlan,
    labels: dict[str, Any],
    first: NDArray[np.bool_] | None,
    out: Path,
    domain: str,
) -> DataReport:
    """What `foretell prepare` tells of records that were gathered from a source.

    Args:
        labels, first: what `labels_of` gave.
    """
    letters = {} if getattr(source, "letters_are_keys", False) else found.letters.by_letter()
    notes = dict(found.notes)
    canonical = getattr(source, "canonical_letters", "")
    return DataReport(
        store=str(out),
        domain=domain,
        source=dict(source.provenance),
        natural_unit=getattr(source, "letter_unit", tokenizer.natural_unit),
        tokenizer=tokenizer.kind,
        n_tokens=int(found.tokens.sum()),
        counts=ledger.counts(),
        rejects=str(ledger.path) if ledger.n_rejected else "",
        letters=letters,
        lengths=found.length_facts(),
        split=plan.report,
        renamed=found.renamed,
        notes=notes,
        warnings=look_for_oddities(letters, canonical, plan.report, notes, labels),
        values=found.ranges.to_dict(),
        values_name=getattr(source, "values_name", "values"),
        labels=labels,
        asked={} if first is None else asked(first, plan, pieces=getattr(source, "pieces", False)),
    )


def parts_of_rows(spans: NDArray[np.int64], span_split: NDArray[np.uint8], rows: int) -> Parts:
    """Each of SPLITS to (N,) whether a row has tokens in it. An empty span counts where it is all that there is.

    Args:
        spans: (S, 3) row, start, stop in tokens.
        span_split: (S,) index into SPLITS.
    """
    there = (spans[:, 1] < spans[:, 2]) | (spans[:, 1] == 0)
    parts = {name: np.zeros(rows, bool) for name in SPLITS}
    for number, mask in enumerate(parts.values()):
        mask[spans[there & (span_split == number), 0]] = True
    return parts


def labels_of(
    found: Gathered, source: RecordSource[Any], pieces: Mapping[str, Iterable[NDArray[Any]]], parts: Parts
) -> tuple[dict[str, Any], NDArray[np.bool_] | None]:
    """How each label is distributed over records, as the report has it, in the order of their names; and (N,) which
    rows are the first of their records, None where each row is a record.

    Args:
        pieces: label to its values in the order of the rows.
    """
    own = found.own_labels.union(getattr(source, "own_labels", ()))
    of_rows = {name: list(pieces[name]) for name in ROW_LABELS if asks(source) and name in pieces}
    first = first_rows(found.names, of_rows) if asks(source) else None
    told = {
        name: distribution(of_rows[name], parts) if name in of_rows else distribution(values, parts, first)
        for name, values in sorted(pieces.items())
    }
    return {name: {**facts, "own": True} if name in own else facts for name, facts in told.items()}, first
