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
from core.report.gallery import Gallery, read_gallery
from core.report.sections import (
    Commands,
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
from core.version import __version__

__all__ = [
    "Card",
    "Commands",
    "Facts",
    "Figure",
    "Figures",
    "Gallery",
    "Headline",
    "LearningCurve",
    "Line",
    "Listing",
    "Metrics",
    "Page",
    "Sample",
    "Samples",
    "Section",
    "Text",
    "build_index",
    "build_page",
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
    """Where its page lies, relative to the index: `dna/run/report.html`."""
    headline: Headline | None = None
    curve: Sequence[float] = ()
    """Validation losses in the order of training, drawn small."""


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
    body = "".join(
        f'<a class="card" href="{escape(card.href)}"><h2>{escape(card.title)}</h2>'
        f'<p class="soft">{escape(card.summary)}</p>{card.headline.short_html() if card.headline else ""}'
        f"{sparkline(card.curve)}</a>"
        for card in cards
    )
    return _document(title, kicker, lead, "", f'<div class="cards">{body}</div>')


def write_page(path: Path | str, html: str) -> None:
    """Writes a page. Raises ResourceError naming the path where it cannot be written."""
    write_bytes_durably(Path(path), html.encode())


def _heading(section: Section) -> str:
    return f"<h2>{escape(section.title)}</h2>" if section.title else ""


def _document(title: str, kicker: str, lead: str, contents: str, body: str) -> str:
    style, script = (files(__name__).joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
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
