"""Plays the tutorials in full and puts what was printed, and the pictures, into their pages.

    python docs/pictures.py FOLDER [DOMAIN ...]

Each command of docs/tutorials/DOMAIN.md runs in FOLDER/DOMAIN, one after the other; what it printed replaces the block
of text behind it, and what PICTURES names is copied to docs/images/tutorials. A command that was run there before is
not run again. Not part of the site; the tests run the same commands in a reduced form.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PICTURES = {
    "dna": ("per_position", "kmer_spectrum"),
    "proteins": ("likelihood_track", "composition"),
    "molecules": ("samples", "properties"),
    "graphs": ("graphs", "vun"),
    "time_series": ("forecasts", "error_by_step"),
    "robots": ("returns", "traces"),
    "chaos": ("phase_portraits", "prediction_times", "error_growth"),
    "music": ("piano_rolls", "nats_per_token"),
}
"""Domain to the figures of run/evaluation that its page shows."""
ELSEWHERE = {
    "dna": {"codon_positions": "chloroplast/codon_positions", "small_per_position": "small/evaluation/per_position"},
    "proteins": {"variant_effects": "effects/variant_effects"},
    "molecules": {"predicted": "properties/predicted_log_solubility"},
}
"""Figures of other folders, by what they are called here."""
FILMS = {"robots": ("roll_out",)}
"""GIF files of run/evaluation, which are taken as they are."""
FRONT = {"dna": "small_per_position", "robots": "traces"}
"""Which picture of a domain stands on that of all, where it is not the first."""
CELL, COLUMNS, EDGE, TITLE = (460, 310), 4, 16, 36
"""Of the picture of all domains: pixels of one, how many side by side, pixels around it and for its name."""
WIDTH = 1200
"""Pixels at most."""
COLOURS = 64
"""Of the palette: charts have few, and such a PNG is a third of the size."""
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def play(page: Path, folder: Path) -> str:
    """Runs the blocks of a page in `folder` and returns its text with what they printed.

    Raises SystemExit where a command fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = 0

    def run(block: re.Match[str]) -> str:
        nonlocal count
        count += 1
        said = folder / f"{count}.txt"
        if not said.exists():
            said.write_text(printed(block[1], block[2], folder))
        if block[3] is None:
            return block[0]
        return f"```{block[1]}\n{block[2]}```\n\n```text\n{said.read_text().strip()}\n```\n"

    return BLOCK.sub(run, page.read_text(encoding="utf-8"))


def printed(language: str, text: str, folder: Path) -> str:
    """What a block of shell or Python printed, the way that it does where no terminal is."""
    shell = ["bash", "-e", "-c", text] if language == "sh" else [sys.executable, "-c", text]
    places = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": os.fspath(DOCS.parent)}
    began = time.perf_counter()
    done = subprocess.run(shell, cwd=folder, capture_output=True, text=True, env=os.environ | places)
    print(f"{folder.name}: {time.perf_counter() - began:.0f} s: {text.splitlines()[0]}", flush=True)
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode} in {folder}: {text}\n{done.stdout}{done.stderr}")
    return done.stdout


def copy_pictures(domain: str, folder: Path) -> None:
    """PNG files of a narrow palette, as wide as a page at most."""
    from PIL import Image

    wanted = {name: f"run/evaluation/{name}" for name in PICTURES[domain]} | ELSEWHERE.get(domain, {})
    for name, path in wanted.items():
        image = Image.open(folder / f"{path}.png").convert("RGB")
        image.thumbnail((WIDTH, 10 * WIDTH), Image.Resampling.LANCZOS)
        target = DOCS / "images" / "tutorials" / f"{domain}_{name}.png"
        image.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)
    for name in FILMS.get(domain, ()):
        shutil.copy(
            folder / "run" / "evaluation" / f"{name}.gif", DOCS / "images" / "tutorials" / f"{domain}_{name}.gif"
        )


def draw_all() -> None:
    """A picture of every domain on one, for the start page; of what has been played so far."""
    from PIL import Image, ImageDraw, ImageFont

    folder = DOCS / "images" / "tutorials"
    named = {domain: folder / f"{domain}_{FRONT.get(domain, names[0])}.png" for domain, names in PICTURES.items()}
    found = {domain: path for domain, path in named.items() if path.exists()}
    wide, high = CELL[0] + EDGE, CELL[1] + EDGE + TITLE
    rows = -(-len(found) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * wide + EDGE, rows * high + EDGE), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (domain, path) in enumerate(found.items()):
        x, y = EDGE + place % COLUMNS * wide, EDGE + place // COLUMNS * high
        draw.text((x, y), domain.replace("_", " "), "#3a4249", ImageFont.load_default(24))
        picture = Image.open(path).convert("RGB")
        top = picture.crop((0, 0, picture.width, min(picture.height, picture.width * CELL[1] // CELL[0])))
        top.thumbnail(CELL, Image.Resampling.LANCZOS)
        sheet.paste(top, (x, y + TITLE + (CELL[1] - top.height) // 3))
    sheet.quantize(COLOURS, dither=Image.Dither.NONE).save(folder / "eight.png", optimize=True)


def main(arguments: list[str]) -> None:
    if not arguments:
        raise SystemExit(__doc__)
    for domain in arguments[1:] or PICTURES:
        page = DOCS / "tutorials" / f"{domain}.md"
        folder = Path(arguments[0]).absolute() / domain
        page.write_text(play(page, folder), encoding="utf-8")
        copy_pictures(domain, folder)
    draw_all()


if __name__ == "__main__":
    main(sys.argv[1:])
