"""How pictures look and where they go: one style for every domain, PNG and SVG, and a list with alternative texts.

`figures.json` beside the pictures says what each shows, so that a report made later, by another verb, can tell who
cannot see it. The colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart.
matplotlib is imported where something is drawn, not before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.durable import read_json, resources_named, write_json_durably
from core.errors import IntegrityError
from core.report.sections import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

LIST = "figures.json"
DPI = 150
WIDE = 8.0
"""Inches from which on a figure takes the whole width of a page."""

MODEL_COLOUR = "#0072b2"
BASELINE_COLOUR = "#e69f00"
DATA_COLOUR = "#009e73"
OTHER_COLOUR = "#cc79a7"
GREY = "#7a828a"

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": "#3a4249",
    "axes.edgecolor": "#b5bbc0",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e8ea",
    "grid.linewidth": 0.8,
    "xtick.color": "#5c6670",
    "ytick.color": "#5c6670",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "axes.facecolor": "none",
    "svg.hashsalt": "foretell",
    "axes.formatter.useoffset": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Everything drawn inside looks alike; `@style()` before a function does the same."""
    import matplotlib

    look: Any = STYLE  # matplotlib types the keys one by one
    with matplotlib.rc_context(look):
        yield


class Gallery:
    """The pictures of one evaluation, in the order in which they were added."""

    def __init__(self, out: Path | str) -> None:
        self.out = Path(out)
        self._entries: list[dict[str, Any]] = []

    def add(
        self,
        drawing: Drawing,
        name: str,
        *,
        alt: str,
        caption: str = "",
        listed: bool = True,
        portrait: bool = False,
    ) -> None:
        """Saves `name.png` and `name.svg`.

        Args:
            alt: what the picture shows, for who cannot see it.
            listed: False leaves it out of the list, for what a report shows in another way.
            portrait: True for the one that stands for the whole evaluation on a page over several.

        Raises ResourceError where they cannot be written.
        """
        with resources_named(self.out), style():
            self.out.mkdir(parents=True, exist_ok=True)
            drawing.savefig(self.out / f"{name}.png", dpi=DPI)
            drawing.set_layout_engine("none")  # both files share the layout of the first
            drawing.savefig(self.out / f"{name}.svg", transparent=True, metadata={"Date": None})
        if listed:
            wide = bool(drawing.get_figwidth() >= WIDE)
            self._list(f"{name}.svg", alt, caption, wide, portrait)

    def add_film(self, path: Path, *, alt: str, caption: str = "", portrait: bool = False) -> None:
        """Lists a .gif that stands in the folder already."""
        self._list(path.name, alt, caption, False, portrait)

    def add_sound(self, path: Path, *, alt: str, caption: str) -> None:
        """Lists a .wav that stands in the folder already."""
        self._list(path.name, alt, caption, False, False)

    def _list(self, file: str, alt: str, caption: str, wide: bool, portrait: bool) -> None:
        entry = {"file": file, "alt": alt, "caption": caption, "wide": wide}
        self._entries.append(entry | ({"portrait": True} if portrait else {}))

    def write(self) -> None:
        """The list, last, so that it names only what is there."""
        write_json_durably(self.out / LIST, self._entries)


def read_gallery(out: Path | str) -> list[Figure]:
    """The figures of a folder that a Gallery wrote; none where it wrote none.

    Raises IntegrityError where the list is damaged.
    """
    path = Path(out) / LIST
    if not path.is_file():
        return []
    try:
        return [
            Figure(Path(out) / Path(e["file"]).name, e["alt"], e["caption"], e["wide"], e.get("portrait", False))
            for e in read_json(path)
        ]
    except (KeyError, TypeError) as error:
        raise IntegrityError(f"{path} is no list of figures: {error!r}") from error
