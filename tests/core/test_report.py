"""The report page: one file that fetches nothing, escapes everything, and says honestly who is better."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest

from core.errors import ConfigError, InputError, IntegrityError
from core.evaluation import MODEL, MetricTable, Totals
from core.report import (
    Card,
    Cell,
    Commands,
    Dot,
    Dots,
    Facts,
    Figure,
    Figures,
    Gallery,
    Headline,
    LearningCurve,
    Line,
    Listing,
    Metrics,
    Orbits,
    Page,
    Row,
    Sample,
    Samples,
    Table,
    Text,
    build_index,
    build_page,
    portrait,
    portrait_in_sound,
    read_gallery,
    write_page,
)
from core.report.curve import numbers, powers, sparkline, ticks

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HOSTILE = "<script>alert('x')</script> & \"quotes\""


class Elements(HTMLParser):
    """Every element of a page with its attributes, and which of them were closed."""

    VOID = {"meta", "link", "img", "br", "wbr", "path", "line"}

    def __init__(self, html):
        super().__init__()
        self.found, self.open = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def metric_table(gap=-0.02, noise=0.01):
    rng = np.random.default_rng(0)
    base = rng.normal(2, 0.3, 80)
    table = MetricTable()
    ones = np.ones(80)
    mine = Totals(base + gap + rng.normal(0, noise, 80), ones)
    table.measure("bits_per_base", {MODEL: mine, "markov_7": Totals(base, ones)}, split="toy/test")
    table.add("seed", 0, split="toy/test")
    return table


def headline(**options):
    return Headline(metric_table(**options), "bits_per_base", "toy/test", "bits per base")


@pytest.fixture
def page(tmp_path):
    picture = tmp_path / "figure.png"
    picture.write_bytes(PIXEL)
    steps = np.arange(1, 1001)
    return Page(
        title=f"A model {HOSTILE}",
        lead=f"Trained on {HOSTILE}",
        kicker=HOSTILE,
        headline=headline(),
        sections=[
            LearningCurve(
                "Learning curve",
                [Line("training", steps, 2 + 1 / steps), Line(HOSTILE, steps[::100], 2.1 + 1 / steps[::100])],
                "step",
                "bits per base",
                {HOSTILE: 2.05},
            ),
            Figures([Figure(picture, f"A pixel {HOSTILE}", HOSTILE), Figure(picture, alt="Wide", wide=True)]),
            Metrics(metric_table()),
            Samples([Sample(HOSTILE, heading=HOSTILE)], note=HOSTILE),
            Listing("Data", HOSTILE),
            Listing("Configuration", HOSTILE, summary=HOSTILE),
            Facts("Provenance", {HOSTILE: HOSTILE, "where": "https://example.org"}),
            Table(
                HOSTILE,
                (HOSTILE, "b"),
                [Row([Cell(HOSTILE, href=f"#{HOSTILE}"), Cell("1", 1.0, number=True)])],
                HOSTILE,
            ),
            Dots(HOSTILE, [Dot(HOSTILE, 1.0, 0.5, 1.5, mine=True), Dot("b", 2.0)], HOSTILE, note=HOSTILE),
            LearningCurve(HOSTILE, [Line(HOSTILE, [1, 2], [1e-3, 1e-6])], HOSTILE, HOSTILE, apart=True, log=True),
            Commands({HOSTILE: f"foretell sample {HOSTILE}"}),
            Text("Remarks", f"{HOSTILE}\n\nSecond paragraph."),
        ],
    )


def test_a_page_is_one_file(page, tmp_path):
    """The example: every part on one page, closed as HTML wants it, and nothing that a browser would fetch."""
    write_page(tmp_path / "report.html", build_page(page))
    html = (tmp_path / "report.html").read_text()
    elements = Elements(html)
    assert elements.open == []
    for tag, attributes in elements.found:
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:")), f"<{tag} {name}={value[:40]!r}> leads out of the page"
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert {a["id"] for a in elements.all("section") if "id" in a} == {
        a["href"][1:] for a in elements.all("a") if a["href"].startswith("#part")
    }


def test_all_text_is_escaped(page):
    html = build_page(page)
    assert html.count("<script") == 1
    assert "&lt;script&gt;" in html
    assert "alert('x')" not in html


def test_the_policy_allows_this_script_only(page):
    html = build_page(page)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_every_picture_says_what_it_shows(page):
    elements = Elements(build_page(page))
    assert len(elements.all("img")) == 2
    assert all(a["alt"].strip() for a in elements.all("img"))
    assert all(a.get("aria-label", "").strip() or a.get("aria-hidden") for a in elements.all("svg"))


def test_a_picture_without_words_is_refused(tmp_path):
    picture = tmp_path / "figure.png"
    picture.write_bytes(PIXEL)
    with pytest.raises(ConfigError, match="alternative text"):
        Figure(picture, alt=" ").html()
    with pytest.raises(ConfigError, match=r"\.png, \.svg, \.gif"):
        Figure(tmp_path / "figure.pdf", alt="a").html()
    with pytest.raises(InputError, match="not there"):
        Figure(tmp_path / "other.png", alt="a").html()


def test_a_sound_has_a_player_that_the_policy_lets_play(page, tmp_path):
    html = build_page(page)
    sound = tmp_path / "sample.wav"
    sound.write_bytes(b"RIFF")
    assert (
        '<audio controls src="data:audio/wav;base64,UklGRg==" aria-label="A piece">' in Figure(sound, "A piece").html()
    )
    assert "media-src data:" in re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]


@pytest.mark.parametrize(
    ("gap", "noise", "begins", "verdict"),
    [
        (-0.02, 0.01, "Better than every baseline; better than the best of them, markov 7", "better"),
        (0.02, 0.01, "Worse than markov 7", "worse"),
        (0.0, 0.5, "Not told apart from markov 7", "undecided"),
    ],
)
def test_the_headline_is_honest(gap, noise, begins, verdict):
    found = headline(gap=gap, noise=noise)
    assert found.sentence().startswith(begins)
    assert f'class="verdict {verdict}"' in found.html()
    assert f'class="verdict {verdict}"' in build_index("t", "l", [Card("DNA", "bases", "dna/report.html", found)])


def test_a_headline_without_baselines_says_so():
    table = MetricTable()
    table.add("rmse", 1.5, split="toy/test")
    found = Headline(table, "rmse", "toy/test", "RMSE")
    assert found.sentence() == "No baseline was measured on this split."
    assert "1.5" in found.html()
    assert "none" in Headline(MetricTable(), "rmse", "toy/test", "RMSE").html()


def test_the_table_sorts_by_what_it_shows():
    """Each cell of a number carries the number itself; differences stand with their baseline and have no row."""
    elements = Elements(Metrics(metric_table()).html())
    assert len(elements.all("tr")) == 1 + 3
    values = [a["data-value"] for a in elements.all("td") if a.get("class") == "right" and "data-value" in a]
    assert [float(v) for v in values] == [row.value for row in metric_table().rows if "_minus_" not in row.name]


def test_a_curve_without_steps():
    assert "No steps" in LearningCurve("Learning curve", [Line("training", [], [])], "step", "bits").html()
    flat = LearningCurve("Learning curve", [Line("training", [1], [float("nan")]), Line("v", [1], [2.0])], "s", "b")
    assert "nan" not in flat.html()
    assert sparkline([1.0]) == ""
    assert sparkline([2.0, float("nan"), 1.0]).count("L") == 1


def test_a_logarithmic_curve_has_powers_of_ten_and_leaves_out_what_is_not_positive():
    html = LearningCurve("c", [Line("a", [1, 2, 3], [1e-2, 0.0, 1e-8])], "step", "loss", {"r": -1.0}, log=True).html()
    assert "nan" not in html
    assert "inf" not in html
    assert "1e-04" in html
    assert "from 0.01 to 1e-08" in html
    assert "data-log" in html
    assert powers(-8.2, -1.9) == [-8, -6, -4, -2]
    assert len(powers(-0.31, -0.28)) > 1
    assert [round(10**y, 3) for y in powers(-0.9, -0.1)] == [0.2, 0.5]
    narrow = LearningCurve(
        "Loss", [Line("validation", [1, 2, 3], [0.7, 0.3, 0.15])], "tokens", "loss per step", log=True
    )
    shown = narrow.html()
    assert ">0.2<" in shown
    assert ">0.5<" in shown
    assert "loss per step, logarithmic" in shown


def test_lines_of_runs_can_be_told_apart():
    lines = [Line(f"run {i}", [1, 2], [2.0, 1.0 + i / 100]) for i in range(20)]
    elements = Elements(LearningCurve("c", lines, "step", "loss", apart=True).html())
    looks = [a["class"] for a in elements.all("path") if a.get("fill") != "none"]
    assert len(set(looks)) == 20
    assert [a["data-line"] for a in elements.all("li") if "data-line" in a] == [str(i) for i in range(20)]


def test_orbits_come_to_the_page_as_they_were(tmp_path):
    """Within the rounding of 16 bits; what runs away stays at the edge, what is not finite is left out."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(50, 3)) * (1, 10, 100) + 5
    away = np.array([[np.nan, 0, 0], [1e9, 5, 5]])
    path = tmp_path / "a.orbits.json"
    Orbits({"truth": truth, "away": away}, ["#000000", "#ffffff"], ("x", "y", "z")).write(path)
    (picture := tmp_path / "a.png").write_bytes(PIXEL)
    html = Figure(picture, "An orbit", orbits=path).html()
    (box,) = [a for a in Elements(html).all("div") if a.get("class") == "orbits"]
    found = json.loads(box["data-orbits"])
    assert [run["name"] for run in found["runs"]] == ["truth", "away"]
    levels = [np.frombuffer(base64.b64decode(run["points"]), "<u2").reshape(-1, 3) for run in found["runs"]]
    places = (levels[0] / 65535 * 2 - 1) * found["reach"]
    low, high = truth.min(0), truth.max(0)
    assert np.allclose(places, (truth - (low + high) / 2) / ((high - low) / 2), atol=1e-4)
    assert levels[1].tolist()[0][0] == 65535
    assert len(levels[1]) == 1
    assert 'alt="An orbit"' in html, "who has no script sees the still picture"
    (tmp_path / "b.orbits.json").write_text("[]")
    with pytest.raises(IntegrityError, match="no orbits"):
        Figure(picture, "An orbit", orbits=tmp_path / "b.orbits.json").html()
    with pytest.raises(ConfigError, match="three axes"):
        Orbits({"a": truth[:, :2]}, ["#000000"], ("x", "y", "z"))


def test_dots_stand_best_first():
    dots = [Dot("a", 1.0), Dot("b", 3.0), Dot("c", 2.0)]
    for lower, order in ((True, "acb"), (False, "bca")):
        html = Dots("t", dots, "bits", lower_is_better=lower).html()
        assert re.findall(r'class="who">(\w)', html) == list(order)
    assert Dots("t", dots[:1], "bits").html() == ""


def test_ticks_are_round():
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert ticks(1.91, 2.12) == pytest.approx([1.95, 2.0, 2.05, 2.1])
    assert ticks(3, 3) == [3]
    assert numbers([1.9, 1.95, 2.0]) == ["1.90", "1.95", "2.00"]
    assert numbers([0, 10000, 20000]) == ["0", "10k", "20k"]
    assert numbers([0, 500, 1000]) == ["0", "500", "1000"]


def test_an_index_links_its_reports(tmp_path):
    html = build_index("All", "Eight", [Card("DNA", HOSTILE, "dna/run/report.html", headline(), [3, 2, 1])])
    elements = Elements(html)
    assert "dna/run/report.html" in [a["href"] for a in elements.all("a")]
    assert html.count("<script") == 1


def test_a_card_shows_what_its_field_looks_at_or_says_what_went_wrong(tmp_path):
    picture = tmp_path / "portrait.png"
    picture.write_bytes(PIXEL)
    shown = Card(
        "DNA", "bases", "dna/report.html", headline(), portrait=Figure(picture, "A genome"), cost="12 tokens in 1 s",
        command="foretell prepare data.path=<mine>",
    )  # fmt: skip
    lost = Card("Music", "notes", "", trouble="Step 'prepare' failed: <no network>")
    html = build_index("All", "Two", [shown, lost])
    elements = Elements(html)
    assert [a["alt"] for a in elements.all("img")] == ["A genome"]
    assert [a["href"] for a in elements.all("a")] == ["#content", "dna/report.html"]
    assert "best baseline: markov 7" in html
    assert "&lt;no network&gt;" in html
    assert "data.path=&lt;mine&gt;" in html


def test_the_portrait_in_sound_is_played_on_the_card(tmp_path):
    gallery = Gallery(tmp_path)
    assert portrait_in_sound(tmp_path) is None
    for name in ("test_1", "sample_1"):
        (tmp_path / f"{name}.wav").write_bytes(b"RIFF" + name.encode())
        gallery.add_sound(
            tmp_path / f"{name}.wav", alt=f"Sound of {name}", caption=name, portrait=name.startswith("sample")
        )
    gallery.write()
    assert portrait(tmp_path) is None
    sound = portrait_in_sound(tmp_path)
    elements = Elements(build_index("All", "One", [Card("Music", "notes", "music/report.html", sound=sound)]))
    assert [a["aria-label"] for a in elements.all("audio")] == ["Sound of sample_1"]


def test_a_gallery_comes_back(tmp_path):
    """Figures drawn by one verb are shown by another: the list keeps what each says."""
    from matplotlib.figure import Figure as Drawing

    gallery = Gallery(tmp_path)
    for name, listed in (("curve", True), ("extra", False)):
        drawing = Drawing(figsize=(9, 3), layout="constrained")
        drawing.subplots().plot([1, 2])
        gallery.add(drawing, name, alt="A line that rises", caption="From 1 to 2.", listed=listed)
    gallery.write()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "curve.png", "curve.svg", "extra.png", "extra.svg", "figures.json",
    ]  # fmt: skip
    assert read_gallery(tmp_path) == [Figure(tmp_path / "curve.svg", "A line that rises", "From 1 to 2.", True)]
    again = tmp_path / "again"
    drawing = Drawing(figsize=(9, 3), layout="constrained")
    drawing.subplots().plot([1, 2])
    Gallery(again).add(drawing, "curve", alt="a")
    assert (again / "curve.svg").read_bytes() == (tmp_path / "curve.svg").read_bytes()


def test_a_gallery_has_a_portrait_that_turns(tmp_path):
    from matplotlib.figure import Figure as Drawing

    assert portrait(tmp_path) is None
    gallery = Gallery(tmp_path)
    turned = Orbits({"a": np.eye(3)}, ["#000000"], ("x", "y", "z"))
    for name, more in (("first", {}), ("second", {"portrait": True, "orbits": turned})):
        drawing = Drawing(figsize=(2, 2))
        drawing.subplots().plot([1, 2])
        gallery.add(drawing, name, alt="A line", **more)
    gallery.write()
    found = portrait(tmp_path)
    assert found.path.name == "second.svg"
    assert found.orbits == tmp_path / "second.orbits.json"
    assert "data-orbits" in found.image()


def test_a_damaged_gallery_is_named(tmp_path):
    assert read_gallery(tmp_path) == []
    (tmp_path / "figures.json").write_text(json.dumps([{"file": "a.svg"}]))
    with pytest.raises(IntegrityError, match=r"figures\.json"):
        read_gallery(tmp_path)
    outside = {"file": "../../a.svg", "alt": "a", "caption": "", "wide": False}
    (tmp_path / "figures.json").write_text(json.dumps([outside]))
    assert read_gallery(tmp_path)[0].path == tmp_path / "a.svg"


def test_the_page_needs_no_plotting_library():
    code = "import sys, core.report; sys.exit('matplotlib' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_letters_and_lines_stand_out(theme):
    """WCAG 2.2: text at least 4.5 to 1 on what it stands on, lines of curves 3 to 1; in both themes."""
    style = (files("core.report") / "page.css").read_text()
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in re.findall(r":root \{(.*?)\n *\}", style, re.S)[:2]
    )
    colours = light if theme == "light" else light | dark

    def luminance(name):
        channels = [int(colours[name][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    def contrast(one, other):
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    for text in ("ink", "soft", "accent", "better", "worse", "undecided"):
        for ground in ("paper", "card"):
            assert contrast(text, ground) >= 4.5, (text, ground)
    for text, ground in (("ink", "tint"), ("soft", "tint"), ("ink", "mark"), ("soft", "mark"), ("accent", "tint")):
        assert contrast(text, ground) >= 4.5, (text, ground)
    assert min(contrast(f"run{i}", "card") for i in range(8)) >= 3
