"""The report page in a real browser: no console messages, no requests, nothing wider than the screen, sorting works.

Chromium runs headless with a profile of its own and without name resolution. Where there is none, the tests are skipped
and say so; `.ci/run` installs it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest

from core.evaluation import MODEL, MetricTable, Totals
from core.report import (
    Card,
    Commands,
    Facts,
    Figure,
    Figures,
    Headline,
    LearningCurve,
    Line,
    Listing,
    Metrics,
    Orbits,
    Page,
    Sample,
    Samples,
    build_index,
    build_page,
    write_page,
)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium to run these")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
PHONE, DESKTOP = 390, 1280


@dataclass
class Visit:
    """What a browser saw."""

    dom: str
    console: list[str]
    requests: list[str]
    """Addresses that the page asked for; the browser's own calls home are left out."""

    def found(self, name):
        """What a probe wrote to the body's data attribute."""
        return re.search(rf'<body[^>]* data-{name}="([^"]*)"', self.dom)[1]


def visit(path, tmp_path, width=DESKTOP):
    log = tmp_path / "requests.json"
    command = [
        CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}",
        f"--window-size={width},900", "--virtual-time-budget=2000", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    events = (event.get("params", {}) for event in json.loads(log.read_text())["events"])
    asked = {p["url"] for p in events if "url" in p and p.get("initiator") not in (None, "not an origin")}
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return Visit(done.stdout, console, sorted(u for u in asked if not u.startswith(("file:", "data:"))))


def probed(html, script):
    """The page with a script of the test's own, which its policy would not let run."""
    without_policy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    return without_policy.replace("</body>", f"<script>{script}</script></body>")


def film(path):
    """A GIF of two frames."""
    from PIL import Image

    frames = [Image.new("L", (8, 8), shade) for shade in (0, 255)]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], duration=40, loop=0)
    return path


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    rng = np.random.default_rng(0)
    base, ones = rng.normal(2, 0.2, 60), np.ones(60)
    table = MetricTable()
    parts = {MODEL: Totals(base - 0.02, ones)}
    parts |= {
        f"markov_{k}_interpolated_on_both_strands": Totals(base + rng.normal(0.05 * k, 0.01, 60), ones)
        for k in range(8)
    }
    table.measure("bits_per_base", parts, split="toy/test")
    picture = tmp_path_factory.mktemp("figures") / "figure.svg"
    picture.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0L9 9"/></svg>')
    steps = np.arange(1, 501)
    orbits = picture.with_suffix(".orbits.json")
    Orbits({"truth": rng.normal(size=(200, 3)), "model": rng.normal(size=(200, 3))}, ["#0072b2"] * 2, "xyz").write(
        orbits
    )
    headline = Headline(table, "bits_per_base", "toy/test", "bits per base on toy/test")
    page = Page(
        "A model with a rather long title that wraps on a phone",
        "Trained on letters.",
        [
            LearningCurve(
                "Curve", [Line("training", steps, 2 + 1 / steps)], "step", "bits", {"markov": 2.1}, "A note."
            ),
            LearningCurve("Runs", [Line(n, steps, 2 + 1 / steps) for n in "ab"], "step", "loss", apart=True, log=True),
            Figures([Figure(picture, "A line", "Wide.", wide=True), *[Figure(picture, "A line")] * 2]),
            Figures([Figure(picture, "An orbit", "It turns.", orbits=orbits)], "Orbits", side_by_side=True),
            Metrics(table),
            Samples([Sample("ACGT" * 300, "sample 1")]),
            Listing("Data", "name " + "x" * 300),
            Listing("Configuration", "key: value\n" * 20, summary="config.yaml"),
            Facts("Provenance", {"sha256": "0123456789abcdef" * 4}),
            Commands({"Draw more": "foretell sample bundle=" + "a/long/path/" * 12}),
        ],
        headline,
    )
    cards = [Card(name, "A line on it", "x/report.html", headline, [3, 2, 1.5]) for name in ("DNA", "Music", "Chaos")]
    page_film = Page(
        "A film", "It moves.", [Figures([Figure(film(picture.with_suffix(".gif")), "A square that moves")])]
    )
    return {
        "film": build_page(page_film),
        "report": build_page(page),
        "index": build_index("All domains", "One card each.", cards),
    }


@pytest.mark.parametrize("kind", ["report", "index"])
def test_opens_in_silence(html, kind, tmp_path):
    """No error, no warning, no request; the script has run where there is a table to sort."""
    write_page(tmp_path / "page.html", html[kind])
    seen = visit(tmp_path / "page.html", tmp_path)
    assert seen.console == []
    assert seen.requests == []
    assert ('<button type="button">metric</button>' in seen.dom) == (kind == "report")


def test_a_page_that_is_not_silent_is_heard(tmp_path):
    """The tests above could fail: an error and a fetched picture are both noticed."""
    loud = '<!doctype html><img src="http://pictures.invalid/a.png"><script>nothing.here()</script>'
    (tmp_path / "loud.html").write_text(loud)
    seen = visit(tmp_path / "loud.html", tmp_path)
    assert "nothing is not defined" in seen.console[0]
    assert seen.requests == ["http://pictures.invalid/a.png"]


def test_a_picture_opens_large_and_a_curve_is_zoomed(html, tmp_path):
    script = """
    const area = document.querySelector(".curve .area"), svg = area.querySelector("svg");
    const ticks = () => [...area.querySelectorAll(".tick.x")].map((tick) => tick.textContent).join(" ");
    const press = (key) => area.dispatchEvent(new KeyboardEvent("keydown", { key }));
    press("+"); document.body.dataset.zoomed = svg.getAttribute("viewBox") + "|" + ticks();
    press("0"); document.body.dataset.whole = svg.getAttribute("viewBox");
    document.querySelector("button.enlarge").click();
    const dialog = document.querySelector("dialog");
    document.body.dataset.large = dialog.open + " " + dialog.querySelector("img").alt;
    dialog.click(); document.body.dataset.closed = !dialog.open;
    """
    write_page(tmp_path / "page.html", probed(html["report"], script))
    seen = visit(tmp_path / "page.html", tmp_path)
    view, ticks = seen.found("zoomed").split("|")
    assert view.startswith("12.5 ")
    assert view.split()[2] == "75"
    assert float(view.split()[3]) < 50, "what is left of the curve fills the height"
    assert [float(t) for t in ticks.split()] == [100, 200, 300, 400]  # of 1 to 500, three quarters
    assert seen.found("whole") == "0 0 100 100"
    assert (seen.found("large"), seen.found("closed")) == ("true A line", "true")


def test_on_a_phone_a_picture_says_that_it_opens_and_is_scrolled_when_large(html, tmp_path):
    script = """
    const button = document.querySelector("button.enlarge"), dialog = document.querySelector("dialog");
    const says = getComputedStyle(button, "::after").content;
    button.click();
    const picture = dialog.querySelector("img").getBoundingClientRect().width;
    parent.postMessage([says, picture > 2 * innerWidth, dialog.scrollWidth > dialog.clientWidth,
      dialog.getBoundingClientRect().width <= innerWidth].join(" "), "*");
    """
    write_page(tmp_path / "page.html", probed(html["report"], script))
    listen = 'addEventListener("message", (e) => { document.body.dataset.seen = e.data; });'
    frame = f'<iframe src="page.html" style="width:{PHONE}px;height:3000px;border:0"></iframe>'
    (tmp_path / "frame.html").write_text(f"<!doctype html><body><script>{listen}</script>{frame}</body>")
    seen = visit(tmp_path / "frame.html", tmp_path).found("seen")
    assert seen.replace("&quot;", "") == "Tap to enlarge true true true"


def test_orbits_turn_until_they_are_stopped_and_runs_can_be_hidden(html, tmp_path):
    """Both by the keyboard; a canvas with ink on it stands for each orbit, with words for who cannot see it."""
    script = """
    const said = document.body.dataset, row = document.querySelector(".panels"), button = row.nextElementSibling;
    const canvases = [...row.querySelectorAll("canvas")];
    const ink = (c) => c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((v) => v);
    const press = (key) => row.dispatchEvent(new KeyboardEvent("keydown", { key }));
    said.started = button.textContent;
    press(" "); said.stopped = button.textContent;
    const look = () => canvases[0].toDataURL();
    press("ArrowLeft"); const before = look(); press("ArrowLeft"); said.turned = before !== look();
    said.inked = canvases.map(ink).join(" ");
    said.words = canvases.map((c) => c.getAttribute("aria-label")).join("|");
    const curve = [...document.querySelectorAll(".curve")][1], toggle = curve.closest(".card").querySelector("button");
    toggle.click(); said.pressed = toggle.getAttribute("aria-pressed");
    said.hidden = [...curve.querySelectorAll("path")].map((p) => p.style.display).join("|");
    """
    write_page(tmp_path / "page.html", probed(html["report"], script))
    seen = visit(tmp_path / "page.html", tmp_path)
    assert seen.console == []
    assert (seen.found("started"), seen.found("stopped")) == ("Stop", "Turn")
    assert (seen.found("turned"), seen.found("inked")) == ("true", "true true")
    assert [words.partition(":")[0] for words in seen.found("words").split("|")] == ["truth", "model"]
    assert (seen.found("pressed"), seen.found("hidden")) == ("false", "none|")


def test_a_film_can_be_stopped(html, tmp_path):
    script = """
    const film = document.querySelector("figure img"), button = document.querySelector("button.motion");
    document.body.dataset.before = button.textContent + film.src.slice(0, 15);
    button.click(); document.body.dataset.stopped = button.textContent + film.src.slice(0, 15);
    button.click(); document.body.dataset.again = button.textContent + film.src.slice(0, 15);
    """
    loaded = f'document.querySelector("figure img").decode().then(() => {{ {script} }});'
    write_page(tmp_path / "page.html", probed(html["film"], loaded))
    seen = visit(tmp_path / "page.html", tmp_path)
    assert seen.found("before") == seen.found("again") == "Stopdata:image/gif;"
    assert seen.found("stopped") == "Playdata:image/png;"


def test_a_click_on_a_head_sorts(html, tmp_path):
    script = """
    const button = document.querySelectorAll("table.sortable th button")[2];
    const values = () => [...document.querySelectorAll("table.sortable tbody tr")].map((r) => r.cells[2].dataset.value);
    button.click(); document.body.dataset.rising = values().join(" ");
    button.click(); document.body.dataset.falling = values().join(" ");
    document.body.dataset.sorted = button.closest("th").getAttribute("aria-sort");
    """
    write_page(tmp_path / "page.html", probed(html["report"], script))
    seen = visit(tmp_path / "page.html", tmp_path)
    rising = [float(v) for v in seen.found("rising").split()]
    assert len(rising) == 9
    assert rising == sorted(rising)
    assert [float(v) for v in seen.found("falling").split()] == rising[::-1]
    assert seen.found("sorted") == "descending"


@pytest.mark.parametrize(("width", "column"), [(PHONE, 2), (DESKTOP, 7)])
def test_the_value_is_seen_on_a_phone_and_the_whole_table_on_a_desk(html, width, column, tmp_path):
    """Without scrolling it sideways; commands are not under their button."""
    script = f"""
    const box = document.querySelector(".scroll"), cell = box.querySelector("tbody tr").cells[{column}];
    const code = document.querySelector(".command code"), text = document.createRange();
    text.selectNodeContents(code);
    const right = Math.max(...[...text.getClientRects()].map((line) => line.right));
    parent.postMessage([cell.getBoundingClientRect().right <= box.getBoundingClientRect().right,
      right <= document.querySelector(".command button").getBoundingClientRect().left].join(" "), "*");
    """
    write_page(tmp_path / "page.html", probed(html["report"], script))
    listen = 'addEventListener("message", (e) => { document.body.dataset.seen = e.data; });'
    frame = f'<iframe src="page.html" style="width:{width}px;height:3000px;border:0"></iframe>'
    (tmp_path / "frame.html").write_text(f"<!doctype html><body><script>{listen}</script>{frame}</body>")
    assert visit(tmp_path / "frame.html", tmp_path, width).found("seen") == "true true"


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_nothing_is_wider_than_the_screen(html, width, tmp_path):
    """Measured inside frames of the asked width: a headless window is never narrower than 500 pixels."""
    script = """
    const wide = [...document.querySelectorAll("main *")].filter((e) =>
      e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, pre, .curve svg, .spark"));
    const whole = document.documentElement.scrollWidth;
    parent.postMessage([innerWidth, whole, ...wide.map((e) => e.className)].join(" "), "*");
    """
    frames = ""
    pages = {kind: text for kind, text in html.items() if kind != "film"}
    for kind, text in pages.items():
        write_page(tmp_path / f"{kind}.html", probed(text, script))
        frames += f'<iframe src="{kind}.html" style="width:{width}px;height:3000px;border:0"></iframe>'
    listen = 'let n = 0; addEventListener("message", (e) => { document.body.dataset["frame" + n++] = e.data; });'
    (tmp_path / "frames.html").write_text(f"<!doctype html><body><script>{listen}</script>{frames}</body>")
    seen = visit(tmp_path / "frames.html", tmp_path, width)
    assert [seen.found(f"frame{i}") for i in range(2)] == [f"{width} {width}"] * 2
