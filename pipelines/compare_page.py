"""The page of `foretell compare`: runs of a domain beside each other, domain by domain.

What each reached and cost, on one axis with the baselines; its curves; what of the configurations differs; what each
one's field looks at; every metric. What is shown of a run is read from its folder, nothing is measured anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.amounts import count, duration
from core.run_folder import importance
from domains import title_of
from pipelines.compare import evaluated, interval, verdict
from pipelines.run_record import RunRecord
from pipelines.settings import command

if TYPE_CHECKING:
    from core.evaluation import Metric, MetricTable
    from core.report import Cell, Section

_NO_KEYS = ("format", "format_version", "domain", "data", "tokenizer")
"""Of a configuration: what no key sets. Data are compared by the stores' places."""
_BASELINES = 4
"""Beside the runs on one axis at most, the best ones."""
_AXIS_NOTE = (
    "Runs are marked; the others are the best baselines. Whether a run differs from its best baseline, the paired "
    "differences above say; of two runs only the intervals are known, and where they overlap nothing is decided."
)


def comparison(records: Sequence[RunRecord], rows: Sequence[Mapping[str, Any]], out: Path) -> str:
    """The page as HTML.

    Args:
        rows: what `compare.compared` says of each run.
        out: where the page will lie; links are relative to it.
    """
    from core.report import Page, build_page

    domains = list(dict.fromkeys(str(row["domain"]) for row in rows))
    sections: list[Section] = []
    for domain in domains:
        chosen = [i for i, row in enumerate(rows) if row["domain"] == domain]
        made = _Group([records[i] for i in chosen], [rows[i] for i in chosen], out).sections()
        heading = f"{title_of(domain)}: " if len(domains) > 1 else ""
        sections += [replace(s, title=heading + s.title[0].lower() + s.title[1:]) if heading else s for s in made]  # type: ignore[type-var]
    what = title_of(domains[0]) if len(domains) == 1 else f"{len(domains)} domains"
    title = f"{len(records)} run{'s' if len(records) > 1 else ''} of {what}, side by side"
    lead = "Intervals are 95 %, over records or blocks of the test part. Times are of training, on the runs' machines."
    return build_page(Page(title, lead, sections))


def short_names(paths: Sequence[Path]) -> list[str]:
    """What of each path tells it from the others: `a/run` and `b/run` are a and b. A path given twice is numbered."""
    parts = [path.resolve().parts for path in paths]
    for end in (0, -1):
        while len(set(parts)) > 1 and all(len(p) > 1 for p in parts) and len({p[end] for p in parts}) == 1:
            parts = [p[:-1] if end else p[1:] for p in parts]
    named = ["/".join(p) if len(set(parts)) > 1 else "/".join(p[-2:]) for p in parts]
    return [n if named.count(n) == 1 else f"{n} ({named[:i].count(n) + 1})" for i, n in enumerate(named)]


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Dotted key to its value in each configuration, for the keys in which they differ, what matters most first; None
    where one has none."""
    flat = [dict(_flat(config)) for config in configs]
    keys = sorted(dict.fromkeys(key for one in flat for key in one), key=importance)
    found = {key: [one.get(key) for one in flat] for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not prefix:
        yield "store", [entry["store"] for entry in config.get("data", ())]
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif prefix or name not in _NO_KEYS:
            yield f"{prefix}{name}", value


class _Group:
    """Runs of one domain."""

    def __init__(self, records: Sequence[RunRecord], rows: Sequence[Mapping[str, Any]], out: Path) -> None:
        self.records, self.rows, self.out = records, rows, out
        self.names = short_names([record.path for record in records])
        self.found = [evaluated(record) for record in records]
        self.links = [self._link(record) for record in records]

    def sections(self) -> list[Section]:
        """Everything that is known, in reading order."""
        made = [self._results(), *self._axes(), *self._curves(), *self._differences(), *self._portraits()]
        return [*made, *self._metrics(), *self._further()]

    def _link(self, record: RunRecord) -> str:
        """To the run's own report, relative to the page; empty where there is none."""
        page = record.path / "report.html"
        if not page.is_file():
            return ""
        return Path(os.path.relpath(page.resolve(), self.out.resolve().parent)).as_posix()

    def _results(self) -> Section:
        from core.report import Row, Table

        metrics = {f"{row['metric']} on {row['split']}" for row in self.rows if row["metric"]}
        measure = metrics.copy().pop() if len(metrics) == 1 else "value"
        heads = (
            "run", *(["metric"] if len(metrics) > 1 else []), measure, "95 % interval", "verdict", "best baseline",
            "run minus it", "best validation", "model", "parameters", "tokens", "time", "state",
        )  # fmt: skip
        body = []
        for row, name, link in zip(self.rows, self.names, self.links, strict=True):
            measured = [_words(f"{row['metric']} on {row['split']}" if row["metric"] else "not evaluated")]
            best = "" if row["validation"] is None else f"{row['validation']:.4g} {row['unit']}"
            gap = "" if row["difference"] is None else f"{row['difference']:+.4f} "
            cells = (
                _words(name, link),
                *(measured if len(metrics) > 1 else []),
                _number("" if row["value"] is None else f"{row['value']:.4g}", row["value"]),
                _span(interval(row["low"], row["high"]), row["low"]),
                _words(verdict(row).replace("_", " ") if metrics else "not evaluated"),
                _words((row["baseline"] or "").replace("_", " ")),
                _span(gap + interval(row["difference_low"], row["difference_high"]), row["difference"]),
                _span(best, row["validation"]),
                _words(_model(row)),
                *(_number("" if row[key] is None else count(row[key]), row[key]) for key in ("parameters", "tokens")),
                _number(duration(row["seconds"]) if row["seconds"] else "", row["seconds"]),
                _words(row["state"]),
            )
            body.append(Row(cells))
        note = "A name leads to the run's own report where it has one. A click on a head sorts."
        return Table("Runs", heads, body, note)

    def _axes(self) -> list[Section]:
        """Runs measured by one metric on one split, and the best baselines there, on one axis."""
        from core.evaluation import MODEL, lower_is_better
        from core.report import Dot, Dots

        measured = dict.fromkeys((row["metric"], row["split"]) for row in self.rows if row["value"] is not None)
        made: list[Section] = []
        for metric, split in measured:
            shown: list[Dot] = []
            others: dict[str, Metric] = {}
            for name, found in zip(self.names, self.found, strict=True):
                for r in found[1].rows if found else ():
                    if (r.name, r.split) != (metric, split) or r.value is None:
                        continue
                    if r.model == MODEL:
                        shown.append(Dot(name, r.value, r.low, r.high, mine=True))
                    else:
                        others.setdefault(r.model, r)
            less = lower_is_better(metric)
            ranked = sorted(others.values(), key=lambda r: r.value or 0.0, reverse=not less)
            for r in islice(ranked, _BASELINES):
                shown.append(Dot(r.model.replace("_", " "), r.value or 0.0, r.low, r.high))
            words = f"{metric.replace('_', ' ')} on {split}"
            made.append(
                Dots(
                    f"Result, {words}" if len(measured) > 1 else "Result",
                    shown,
                    f"{words}, best first",
                    less,
                    _AXIS_NOTE,
                )
            )
        return made

    def _curves(self) -> list[Section]:
        """Validation over tokens and over time, all runs of a measure in one figure."""
        from core.report import LearningCurve, Line

        made: list[Section] = []
        for measure in dict.fromkeys(record.measure for record in self.records):
            mine = [(n, r) for n, r in zip(self.names, self.records, strict=True) if r.measure == measure]
            for by, place, axis in (("tokens", "tokens", "tokens"), ("seconds", "time", "seconds of training")):
                lines = [Line(name, *record.column(record.val_column, by)) for name, record in mine]
                if any(line.x for line in lines):
                    log = measure.startswith("loss")
                    made.append(LearningCurve(f"Validation over {place}", lines, axis, measure, apart=True, log=log))
        return made

    def _differences(self) -> list[Section]:
        from core.report import Row, Table, Text

        if len(self.records) < 2:
            return []
        found = differing([record.config for record in self.records])
        if not found:
            return [Text("What differs", "The runs have the same configuration and the same data.")]
        body = [Row([_words(key), *(_words(_plain(v)) for v in values)]) for key, values in found.items()]
        return [Table("What differs", ("key", *self.names), body, "Keys of config.yaml; all others are equal.")]

    def _portraits(self) -> list[Section]:
        from core.report import Figures, portrait

        shown = []
        for name, link, found in zip(self.names, self.links, self.found, strict=True):
            if found and (picture := portrait(found[0])):
                shown.append(replace(picture, caption=name, href=link, wide=False))
        return [Figures(shown, "Portraits", side_by_side=True)] if shown else []

    def _metrics(self) -> list[Section]:
        """Every metric of the model, run by run, the best value of those with an interval marked."""
        from core.evaluation import MINUS, MODEL, lower_is_better
        from core.report import Row, Table

        tables: list[MetricTable | None] = [found[1] if found else None for found in self.found]
        if sum(t is not None for t in tables) < 2:
            return []
        mine = [r for t in tables if t for r in t.rows if r.model == MODEL and MINUS not in r.name]
        body = []
        for name, split in dict.fromkeys((r.name, r.split) for r in mine):
            rows = [t.find(name, split) if t else None for t in tables]
            judged = [r.value for r in rows if r and r.value is not None and r.low is not None]
            best = (min if lower_is_better(name) else max)(judged) if len(set(judged)) > 1 else None
            body.append(Row([_words(name), _words(split), *(_measured(r, best) for r in rows)]))
        note = "A star marks the best value of a line by the metric's direction; the intervals say how far to trust it."
        return [Table("All metrics", ("metric", "split", *self.names), body, note)]

    def _further(self) -> list[Section]:
        """What to type where a run has no evaluation or no report yet."""
        from core.report import Commands

        todo = {}
        for record, name, link, found in zip(self.records, self.names, self.links, self.found, strict=True):
            if record.bundle is None:
                continue
            if not found:
                store = record.config["data"][0]["store"]
                todo[f"Measure {name} beside its baselines"] = command("evaluate", bundle=record.path, store=store)
            elif not link:
                todo[f"A page about {name} alone"] = command("report", run=record.path)
        return [Commands(todo)] if todo else []


def _model(row: Mapping[str, Any]) -> str:
    if row["pattern"] is None:
        return f"{row['task']}, adapter {row['adapter']}"
    return f"{row['pattern']}, {row['layers']} layers of {row['width']}"


def _words(text: str, href: str = "") -> Cell:
    from core.report import Cell

    return Cell(text, href=href)


def _number(text: str, value: float | None) -> Cell:
    from core.report import Cell

    return Cell(text, value, number=True, right=True)


def _span(text: str, value: float | None) -> Cell:
    """What has words beside its number, and is sorted by that."""
    from core.report import Cell

    return Cell(text, value, number=True)


def _measured(row: Metric | None, best: float | None) -> Cell:
    from core.evaluation import shown, shown_interval
    from core.report import Cell

    if row is None or row.value is None:
        return Cell("", None, number=True)
    text = f"{shown(row.value)} {shown_interval(row)}".strip()
    return Cell(text, row.value, number=True, best=row.low is not None and row.value == best)


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
