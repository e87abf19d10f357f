"""A table that sorts by what its cells stand for: numbers by value, words by the alphabet. Knows nothing of runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Cell:
    """What a cell shows and what it is sorted by."""

    text: str
    value: float | None = None
    """Sorted by, where `number` is set; None stands last."""
    number: bool = False
    """Whether the column is sorted by `value` and not by the text."""
    right: bool = False
    """Stands at the right edge, as numbers without an interval do."""
    soft: bool = False
    """Of less weight: intervals, places."""
    best: bool = False
    """The best of its row or column."""
    href: str = ""
    """Where a click leads, relative to the page."""

    def html(self) -> str:
        names = [n for n, on in (("right", self.right), ("soft", self.soft), ("best", self.best)) if on]
        look = f' class="{" ".join(names)}"' if names else ""
        sort = f' data-value="{"" if self.value is None else repr(self.value)}"' if self.number else ""
        text = escape(signed(self.text) if self.number else self.text)
        if not self.number:
            text = text.replace("_", "_<wbr>")  # where a long name of a metric or model may be broken
        text = f'<a href="{escape(self.href)}">{text}</a>' if self.href else text
        return f"<td{look}{sort}>{text}</td>"


@dataclass(frozen=True)
class Row:
    cells: Sequence[Cell]
    mine: bool = False
    """Whether it is the model's own row, which is marked."""


@dataclass(frozen=True)
class Table:
    title: str
    heads: Sequence[str]
    rows: Sequence[Row]
    note: str = ""
    label: str = ""
    """What a screen reader calls it; the title where not given."""

    def html(self) -> str:
        """Heads stand as their column does: at the right where its first cell does."""
        rights = [cell.right for cell in self.rows[0].cells] if self.rows else [False] * len(self.heads)
        head = "".join(
            f'<th scope="col"{" class=right" if right else ""}>{escape(name)}</th>'
            for name, right in zip(self.heads, rights, strict=True)
        )
        body = "".join(
            f"<tr{' class=mine' if row.mine else ''}>{''.join(cell.html() for cell in row.cells)}</tr>"
            for row in self.rows
        )
        note = f'<p class="note">{escape(self.note)}</p>' if self.note else ""
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(self.label or self.title)}">'
            f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}'
        )


def signed(text: str) -> str:
    """With a minus sign that is as wide as a plus, where there was a hyphen before a digit."""
    return re.sub(r"-(?=\d)", "\N{MINUS SIGN}", text)
