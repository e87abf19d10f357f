"""How pictures look and where they go: one style for every domain, PNG and SVG, and a list with alternative texts.

`figures.json` beside the pictures says what each shows, so that a report made later, by another verb, can tell who
cannot see it. The colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart.
matplotlib is imported where something is drawn, not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.durable import read_json, resources_named, write_json_durably
from core.errors import ConfigError, IntegrityError
from core.report.orbits import Orbits
from core.report.sections import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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


@style()
def new_axes(width: float = 6.4, height: float = 3.8) -> Axes:
    """Axes on a figure of their own, in inches. No window, no global state."""
    from matplotlib.figure import Figure as Drawing

    return Drawing(figsize=(width, height), layout="constrained").subplots()


@style()
def panels(
    axes: Sequence[Axes] | None,
    n: int,
    *,
    rows: int = 1,
    columns: int = 1,
    size: tuple[float, float],
    **how: Any,
) -> list[Axes]:
    """The axes of a figure of several panels, in reading order: those given, or new ones in a grid.

    Args:
        axes: where the caller has a figure already.
        n: how many panels there are; of a grid that has more the others stay empty.
        size: of a new figure, in inches.
        how: for `matplotlib.figure.Figure.subplots`.

    Raises ConfigError where as many axes as panels were not given.
    """
    if axes is not None:
        given = list(np.ravel(np.asarray(axes, object)))
        if len(given) != n:
            raise ConfigError(f"axes: this figure has {n} panels, got {len(given)}")
        return given
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=size, layout="constrained")
    made = list(drawing.subplots(rows, columns, squeeze=False, **how).ravel())
    for ax in made[n:]:
        ax.set_axis_off()
    return made[:n]


def figure_of(ax: Axes) -> Drawing:
    """The whole figure that axes stand in."""
    found = ax.get_figure(root=True)
    assert found is not None
    return found


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
        orbits: Orbits | None = None,
    ) -> None:
        """Saves `name.png` and `name.svg`.

        Args:
            alt: what the picture shows, for who cannot see it.
            listed: False leaves it out of the list, for what a report shows in another way.
            portrait: True for the one that stands for the whole evaluation on a page over several.
            orbits: curves in space that a page turns in the picture's place, saved as `name.orbits.json`.

        Raises ResourceError where they cannot be written.
        """
        with resources_named(self.out), style():
            self.out.mkdir(parents=True, exist_ok=True)
            drawing.savefig(self.out / f"{name}.png", dpi=DPI)
            drawing.set_layout_engine("none")  # both files share the layout of the first
            drawing.savefig(self.out / f"{name}.svg", transparent=True, metadata={"Date": None})
        if orbits is not None:
            orbits.write(self.out / f"{name}.orbits.json")
        if listed:
            wide = bool(drawing.get_figwidth() >= WIDE)
            self._list(f"{name}.svg", alt, caption, wide, portrait, f"{name}.orbits.json" if orbits else "")

    def add_film(self, path: Path, *, alt: str, caption: str = "", portrait: bool = False) -> None:
        """Lists a .gif that stands in the folder already."""
        self._list(path.name, alt, caption, False, portrait)

    def add_sound(self, path: Path, *, alt: str, caption: str, portrait: bool = False) -> None:
        """Lists a .wav that stands in the folder already; `portrait` as for `add`, beside the picture."""
        self._list(path.name, alt, caption, False, portrait)

    def _list(self, file: str, alt: str, caption: str, wide: bool, portrait: bool, orbits: str = "") -> None:
        entry = {"file": file, "alt": alt, "caption": caption, "wide": wide}
        more = {"portrait": portrait, "orbits": orbits}
        self._entries.append(entry | {name: value for name, value in more.items() if value})

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
        return [_figure(Path(out), entry) for entry in read_json(path)]
    except (KeyError, TypeError) as error:
        raise IntegrityError(f"{path} is no list of figures: {error!r}") from error


def _figure(out: Path, entry: dict[str, Any]) -> Figure:
    """Of one line of the list; whatever it says, files of the folder only."""
    orbits = out / Path(entry["orbits"]).name if entry.get("orbits") else None
    portrait = bool(entry.get("portrait", False))
    file, wide = out / Path(entry["file"]).name, entry["wide"]
    return Figure(file, entry["alt"], entry["caption"], wide, portrait, orbits=orbits)


def portrait(out: Path | str) -> Figure | None:
    """The picture that stands for an evaluation: the one that it names, else its first. Raises as `read_gallery`."""
    pictures = [figure for figure in read_gallery(out) if figure.path.suffix != ".wav"]
    return next((figure for figure in pictures if figure.portrait), pictures[0] if pictures else None)


def portrait_in_sound(out: Path | str) -> Figure | None:
    """The sound that says it stands for the evaluation; None without one. Raises as `read_gallery`."""
    return next((figure for figure in read_gallery(out) if figure.portrait and figure.path.suffix == ".wav"), None)
