"""The report: one HTML page that carries everything it shows, and the index page over several of them.

A page is plain data (`Page` of sections) put into one string: style and script inline, pictures as data, nothing is
fetched (a content security policy forbids it). Light and dark, phone and paper are in `page.css`. Knows no domain and
no run folder: who has the numbers makes the sections.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from core.durable import write_bytes_durably
from core.report.curve import LearningCurve, Line, sparkline
from core.report.gallery import Gallery, portrait, portrait_in_sound, read_gallery
from core.report.orbits import Orbits
from core.report.sections import (
    Commands,
    Dot,
    Dots,
    Facts,
    Figure,
    Figures,
    Headline,
    Listing,
    Metrics,
    Sample,
    Samples,
    Section,
    Text,
)
from core.report.table import Cell, Row, Table
from core.version import __version__

__all__ = [
    "Card",
    "Cell",
    "Commands",
    "Dot",
    "Dots",
    "Facts",
    "Figure",
    "Figures",
    "Gallery",
    "Headline",
    "LearningCurve",
    "Line",
    "Listing",
    "Metrics",
    "Orbits",
    "Page",
    "Row",
    "Sample",
    "Samples",
    "Section",
    "Table",
    "Text",
    "build_index",
    "build_page",
    "portrait",
    "portrait_in_sound",
    "read_gallery",
    "write_page",
]


@dataclass(frozen=True)
class Page:
    """One report."""

    title: str
    """What was made, in a line: "A model of E. coli's genome"."""
    lead: str
    """One or two sentences: what was trained on what, for how long, on which machine."""
    sections: Sequence[Section]
    """In reading order; those with a title stand in the contents."""
    headline: Headline | None = None
    """The number that matters beside its best baseline."""
    kicker: str = "foretell"
    """A few words above the title: the domain's name."""


@dataclass(frozen=True)
class Card:
    """One report on the index page."""

    title: str
    summary: str
    """What it is about, in one line."""
    href: str
    """Where its page lies, relative to the index: `dna/run/report.html`; empty where there is none."""
    headline: Headline | None = None
    curve: Sequence[float] = ()
    """Validation losses in the order of training, drawn small."""
    portrait: Figure | None = None
    """The picture by which its field knows such data."""
    sound: Figure | None = None
    """What is heard of it, where it is to be heard."""
    cost: str = ""
    """Time and size, in a line."""
    command: str = ""
    """What to type for data of one's own."""
    trouble: str = ""
    """Why there is no report."""

    def html(self) -> str:
        name = escape(self.title)
        head = f'<a href="{escape(self.href)}">{name}</a>' if self.href else name
        picture = f'<div class="portrait">{self.portrait.image()}</div>' if self.portrait else ""
        result = (
            f'{self.headline.short_html()}<p class="says">{escape(self.headline.beside())}</p>' if self.headline else ""
        )
        heard = self.sound.image() if self.sound else ""
        soft = "".join(f'<p class="soft">{escape(line)}</p>' for line in (self.summary, self.cost) if line)
        trouble = f'<p class="trouble">{escape(self.trouble)}</p>' if self.trouble else ""
        own = f'<p class="soft">On your own data:</p><pre tabindex="0"><code>{escape(self.command)}</code></pre>'
        return (
            f'<article class="card">{picture}{heard}<h2>{head}</h2>{soft}{trouble}{result}{sparkline(self.curve)}'
            f"{own if self.command else ''}</article>"
        )


def build_page(page: Page) -> str:
    """The whole page as one string of HTML."""
    anchors = [f"part-{i}" for i in range(len(page.sections))]
    entries = "".join(
        f'<li><a href="#{anchor}">{escape(section.title)}</a></li>'
        for anchor, section in zip(anchors, page.sections, strict=True)
        if section.title
    )
    body = "".join(
        f'<section id="{anchor}">{_heading(section)}{section.html()}</section>'
        for anchor, section in zip(anchors, page.sections, strict=True)
    )
    contents = f'<nav class="contents" aria-label="Contents"><ul>{entries}</ul></nav>' if entries else ""
    headline = f'<section aria-label="Result">{page.headline.html()}</section>' if page.headline else ""
    return _document(page.title, page.kicker, page.lead, contents, headline + body)


def build_index(title: str, lead: str, cards: Sequence[Card], *, kicker: str = "foretell") -> str:
    """A page with one card for each report."""
    body = "".join(card.html() for card in cards)
    return _document(title, kicker, lead, "", f'<div class="cards">{body}</div>')


def write_page(path: Path | str, html: str) -> None:
    """Writes a page. Raises ResourceError naming the path where it cannot be written."""
    write_bytes_durably(Path(path), html.encode())


def _file(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _heading(section: Section) -> str:
    return f"<h2>{escape(section.title)}</h2>" if section.title else ""


def _document(title: str, kicker: str, lead: str, contents: str, body: str) -> str:
    style = _file("page.css")
    script = "\n".join(map(_file, ("page.js", "curve.js", "orbits.js")))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    styles = "style-src 'unsafe-inline'"
    policy = f"default-src 'none'; img-src data:; media-src data:; {styles}; script-src 'sha256-{digest}'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="foretell {__version__}">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header class="top">
<p class="kicker">{escape(kicker)}</p>
<h1>{escape(title)}</h1>
<p class="lead">{escape(lead)}</p>
</header>
{contents}
<main id="content">
{body}
</main>
<footer>Made by foretell {__version__}. This page is one file and fetches nothing.</footer>
<script>{script}</script>
</body>
</html>
"""
