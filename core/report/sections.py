"""The parts of a report page: each is plain data and turns itself into HTML. All text is escaped here.

Pictures become data URIs, so that the page stays one file; every picture needs an alternative text.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Protocol

from core.errors import ConfigError, InputError
from core.evaluation import MINUS, MODEL, Comparison, Metric, MetricTable, shown, shown_interval
from core.report.orbits import turning
from core.report.table import Cell, Row, Table, signed

_TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".gif": "image/gif", ".wav": "audio/wav"}
_VERDICTS = {"better": "better than every baseline", "worse": "worse than a baseline", "undecided": "undecided"}


class Section(Protocol):
    """A part of a page under a heading of its own."""

    @property
    def title(self) -> str: ...

    def html(self) -> str: ...


@dataclass(frozen=True)
class Headline:
    """The number that matters, beside every baseline on the same split, and whether the best of them is beaten."""

    table: MetricTable
    name: str
    """The metric: `bits_per_base`."""
    split: str
    unit: str
    """In words: "bits per base on the last 10 % of the genome"."""
    lower_is_better: bool = True

    @property
    def row(self) -> Metric | None:
        return self.table.find(self.name, self.split)

    @property
    def comparison(self) -> Comparison | None:
        return self.table.hardest(self.name, self.split, lower_is_better=self.lower_is_better)

    def sentence(self) -> str:
        """The verdict in words, with the paired interval."""
        found = self.comparison
        if found is None:
            return "No baseline was measured on this split."
        baseline = self.table.find(self.name, self.split, found.baseline)
        stands = f" ({baseline.value:.4g})" if baseline and baseline.value is not None else ""
        against = f"{_words(found.baseline)}{stands}"
        size = f"{abs(found.difference):.4f}"
        if found.low is None or found.high is None:
            return f"Not told apart from {against}: the difference of {size} has no interval."
        if found.verdict == "undecided":
            ends = signed(f"{found.low:+.4f} to {found.high:+.4f}")
            return f"Not told apart from {against}: the paired 95 % interval of the difference, {ends}, includes 0."
        ends = " to ".join(f"{end:.4f}" for end in sorted((abs(found.low), abs(found.high))))
        paired = f"by {size} (paired 95 % interval {ends})"
        if found.verdict == "worse":
            return f"Worse than {against} {paired}."
        return f"Better than every baseline; better than the best of them, {against}, {paired}."

    def beside(self) -> str:
        """The best baseline and its value: `best baseline: markov 7 1.936`; empty where none was measured."""
        found = self.comparison
        row = self.table.find(self.name, self.split, found.baseline) if found else None
        if row is None or row.value is None:
            return ""
        return f"best baseline: {_words(row.model)} {signed(f'{row.value:.4g}')}"

    def html(self) -> str:
        says = f'<p class="says">{escape(self.sentence())}</p>'
        return f'<div class="card headline"><div>{self._number()}{says}</div>{self._dots()}</div>'

    def short_html(self) -> str:
        return self._number()

    def _number(self) -> str:
        row, found = self.row, self.comparison
        value = "none" if row is None or row.value is None else f"{row.value:.4g}"
        badge = ""
        if found:
            badge = f'<span class="verdict {found.verdict}">{_VERDICTS[found.verdict]}</span>'
        return f'<div class="number">{value}</div><p class="unit">{escape(self.unit)}</p>{badge}'

    def _dots(self) -> str:
        """A dot with its interval for each model, best first."""
        rows = [r for r in self.table.rows if r.name == self.name and r.split == self.split]
        return dots(
            [Dot(_words(r.model), r.value, r.low, r.high, r.model == MODEL) for r in rows if r.value is not None],
            self.unit,
            lower_is_better=self.lower_is_better,
        )


@dataclass(frozen=True)
class Dot:
    """A value with its 95 % interval, where it has one."""

    who: str
    value: float
    low: float | None = None
    high: float | None = None
    mine: bool = False
    """Whether it is a model's, which is marked, or a baseline's."""


@dataclass(frozen=True)
class Dots:
    """Several models and baselines on one axis, best first."""

    title: str
    dots: Sequence[Dot]
    unit: str
    lower_is_better: bool = True
    note: str = ""

    def html(self) -> str:
        drawn = dots(self.dots, self.unit, lower_is_better=self.lower_is_better)
        note = f'<p class="note">{escape(self.note)}</p>' if self.note else ""
        return f'<div class="card"><p class="unit">{escape(self.unit)}</p>{drawn}</div>{note}' if drawn else note


def dots(found: Sequence[Dot], unit: str, *, lower_is_better: bool) -> str:
    """A line for each, best first, as HTML; an empty string where there are not two to compare."""
    if len(found) < 2:
        return ""
    found = sorted(found, key=lambda dot: dot.value, reverse=not lower_is_better)
    digits = max(0, 3 - math.floor(math.log10(max(abs(dot.value) for dot in found) or 1.0)))
    ends = [v for dot in found for v in (dot.value, dot.low, dot.high) if v is not None]
    low, width = min(ends), (max(ends) - min(ends)) or 1.0

    def at(value: float) -> float:
        return 3 + 94 * (value - low) / width

    items = []
    for dot in found:
        span = ""
        if dot.low is not None and dot.high is not None:
            place = f"left:{at(dot.low):.2f}%;width:{at(dot.high) - at(dot.low):.2f}%"
            span = f'<span class="span" style="{place}"></span>'
        items.append(
            f'<li{" class=mine" if dot.mine else ""}><span class="who">{escape(dot.who)}</span>'
            f'<span class="track">{span}<span class="dot" style="left:{at(dot.value):.2f}%"></span></span>'
            f'<span class="is">{signed(f"{dot.value:.{digits}f}")}</span></li>'
        )
    return f'<ul class="dots" aria-label="{escape(unit)}, best first">{"".join(items)}</ul>'


@dataclass(frozen=True)
class Metrics:
    """The whole metric table, sortable; a baseline's row carries foretell's paired difference to it."""

    table: MetricTable
    title: str = "Metrics"
    note: str = (
        "Intervals are 95 %, over records or blocks. A difference counts when its paired interval excludes 0; "
        "n is the number of records or blocks."
    )

    def html(self) -> str:
        heads = ("metric", "model", "value", "95 % interval", "foretell minus this", "counts", "n", "split")
        by_key = {(r.name, r.split, r.model): r for r in self.table.rows}
        rows = []
        for row in self.table.rows:
            name, minus, baseline = row.name.partition(MINUS)
            if minus and (name, row.split, baseline) in by_key:
                continue
            found = by_key.get((f"{row.name}{MINUS}{row.model}", row.split, MODEL))
            delta, counts, sort = "", "", None
            if found and found.value is not None:
                verdict = Comparison("", "", "", found.value, found.low, found.high).verdict
                counts = "no" if verdict == "undecided" else "yes"
                delta, sort = f"{shown(found.value)} {shown_interval(found)}", found.value
            cells = (
                Cell(row.name),
                Cell(row.model),
                Cell(shown(row.value), row.value, number=True, right=True),
                Cell(shown_interval(row), row.low, number=True, soft=True),
                Cell(delta, sort, number=True),
                Cell(counts),
                Cell(str(row.n), right=True),
                Cell(row.split, soft=True),
            )
            rows.append(Row(cells, mine=row.model == MODEL))
        return Table(self.title, heads, rows, self.note, label="Metric table").html()


@dataclass(frozen=True)
class Figure:
    """A picture or a sound as it was saved."""

    path: Path
    """A .png, .svg, .gif or .wav file."""
    alt: str
    """What the picture shows, for who cannot see it; what is heard."""
    caption: str = ""
    wide: bool = False
    """Takes the whole width of the page."""
    portrait: bool = False
    """Stands for the evaluation where there is room for one picture only."""
    href: str = ""
    """Where a click on the caption leads, relative to the page."""
    orbits: Path | None = None
    """The file of what `Orbits.write` wrote: curves in space that the page turns in the picture's place."""

    def html(self) -> str:
        """Raises what `image` raises."""
        words = escape(self.caption)
        words = f'<a href="{escape(self.href)}">{words}</a>' if self.href else words
        caption = f"<figcaption>{words}</figcaption>" if words else ""
        return f'<figure class="card{" wide" if self.wide else ""}">{self.image()}{caption}</figure>'

    def image(self) -> str:
        """The picture, or the player of a sound, alone, inside the page.

        Raises ConfigError without an alternative text or for another type, InputError where there is no file.
        """
        kind = _TYPES.get(self.path.suffix.lower())
        if kind is None or not self.alt.strip():
            raise ConfigError(f"figure {self.path}: expected {', '.join(_TYPES)} with an alternative text")
        if not self.path.is_file():
            raise InputError(f"figure {self.path} is not there", hint="Evaluate the model again, then make the report.")
        data = base64.b64encode(self.path.read_bytes()).decode()
        if kind.startswith("audio/"):
            return f'<audio controls src="data:{kind};base64,{data}" aria-label="{escape(self.alt)}"></audio>'
        plot = "" if kind == "image/gif" else ' class="plot"'  # a film keeps its colours in the dark
        still = f'<img{plot} src="data:{kind};base64,{data}" alt="{escape(self.alt)}">'
        return turning(self.orbits, still) if self.orbits and self.orbits.is_file() else still


@dataclass(frozen=True)
class Figures:
    figures: Sequence[Figure]
    title: str = "Figures"
    side_by_side: bool = False
    """All of one width in rows, to be compared; else wide ones first and columns below."""

    def html(self) -> str:
        if self.side_by_side:
            return f'<div class="gallery">{"".join(figure.html() for figure in self.figures)}</div>'
        wide, others = (
            "".join(figure.html() for figure in self.figures if figure.wide is side) for side in (True, False)
        )
        return f'{wide}<div class="figures">{others}</div>'


@dataclass(frozen=True)
class Text:
    """Paragraphs, parted by empty lines."""

    title: str
    text: str

    def html(self) -> str:
        return "".join(f"<p>{escape(part)}</p>" for part in self.text.split("\n\n") if part.strip())


@dataclass(frozen=True)
class Sample:
    """One drawn sequence as text."""

    text: str
    heading: str = ""
    """Its name, likelihood and length."""


@dataclass(frozen=True)
class Samples:
    samples: Sequence[Sample]
    title: str = "Samples"
    note: str = ""

    def html(self) -> str:
        items = []
        for sample in self.samples:
            heading = f"<h3>{escape(sample.heading)}</h3>" if sample.heading else ""
            items.append(f'<div>{heading}<pre class="wrapped">{escape(sample.text)}</pre></div>')
        note = f'<p class="note">{escape(self.note)}</p>' if self.note else ""
        return f'<div class="samples">{"".join(items)}</div>{note}'


@dataclass(frozen=True)
class Facts:
    """Names and values: counts of the data, provenance, licence, citation."""

    title: str
    facts: Mapping[str, object] = field(default_factory=dict)
    """A `Listing` is shown as such: what is long is folded away."""

    def html(self) -> str:
        said = {key: v.html() if isinstance(v, Listing) else escape(str(v)) for key, v in self.facts.items()}
        pairs = "".join(f"<dt>{escape(key)}</dt><dd>{value}</dd>" for key, value in said.items())
        return f'<dl class="card">{pairs}</dl>'


@dataclass(frozen=True)
class Listing:
    """Text as it stands in a file: the data report, the configuration."""

    title: str
    text: str
    summary: str = ""
    """Given, the text is folded away behind these words."""

    def html(self) -> str:
        block = f'<pre tabindex="0">{escape(self.text)}</pre>'
        return f"<details><summary>{escape(self.summary)}</summary>{block}</details>" if self.summary else block


@dataclass(frozen=True)
class Commands:
    """What to type next."""

    commands: Mapping[str, str]
    """What it does, to the command line."""
    title: str = "Go on from here"

    def html(self) -> str:
        return "".join(
            f'<div class="command"><p>{escape(what)}</p>'
            f'<div><pre tabindex="0"><code>{escape(line)}</code></pre></div></div>'
            for what, line in self.commands.items()
        )


def _words(name: str) -> str:
    return name.replace("_", " ")
