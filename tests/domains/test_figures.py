"""Every figure of every domain from Python: what it draws, on axes of its own or given ones, as a file of vectors.

A figure that has no line in the table below is a failure, so none can be left out.
"""

from __future__ import annotations

import importlib
import inspect
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, get_type_hints

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.errors import ConfigError
from core.evaluation import MODEL, Metric
from domains import DOMAINS

RNG = np.random.default_rng(0)
ORBIT = np.cumsum(RNG.normal(size=(120, 3)), axis=0)
BITS = RNG.normal(1.95, 0.03, 40)
STEPS = np.arange(1.0, 41.0)
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def metric(name: str, value: float = 0.5, model: str = MODEL) -> Metric:
    return Metric(name, value, value - 0.1, value + 0.1, 10, "toy/test", model)


def shares(alphabet: int) -> np.ndarray:
    return RNG.dirichlet(np.full(alphabet, 0.1), 12)


@cache
def examples() -> dict[str, tuple[tuple[Any, ...], dict[str, Any]]]:
    """`domain.figure` to arguments with which it is drawn."""
    from domains.graphs.graph import Graph
    from tests.domains.graphs.graphs import TAILED
    from tests.domains.music.scores import chorale

    bars = [metric("bits", 1.9), metric("bits", 2.0, "markov_1")]
    two: dict[str, Any] = {MODEL: BITS, "test": BITS + 0.01}
    places = {"codon 1": metric("bits", 1.9), "codon 3": metric("bits", 1.97)}
    tail: Graph = TAILED
    history, ahead = np.sin(STEPS), np.cos(STEPS[:12])
    quantiles = np.sort(RNG.normal(size=(len(LEVELS), 12)), axis=0)
    fan = {"history": history, "truth": ahead, "quantiles": quantiles}
    ratios = {MODEL: [metric("mase", 0.8), metric("mase", 0.9)], "naive": [metric("mase", 1.2), metric("mase", 1.1)]}
    return {
        "chaos.phase_portraits": (({"truth": ORBIT, MODEL: ORBIT}, ("x", "y", "z")), {}),
        "chaos.forecasts": ((ORBIT.T, ORBIT.T, (0.5, 1.0, 1.5)), {"steps": 30.0, "channel": "x"}),
        "chaos.power_spectra": (({"truth": (STEPS, 1 / STEPS)},), {"distances": {}}),
        "chaos.return_map": (({"truth": BITS, MODEL: BITS},), {"channel": "z"}),
        "chaos.error_growth": (({MODEL: STEPS / 50},), {"steps": 10.0, "limit": 0.4, "lyapunov": True}),
        "chaos.prediction_times": (({MODEL: [1.0, 2.0], "nvar": [3.0, 4.0]},), {"cap": 10.0}),
        "dna.learning_curve": (((STEPS, BITS), (STEPS[::9], BITS[::9])), {"references": {"markov_7": 1.95}}),
        "dna.bits_per_base": ((bars,), {}),
        "dna.per_position": ((STEPS, two), {}),
        "dna.expected_bases": ((shares(4), "ACGTACGTACGT"), {"name": "chr1"}),
        "dna.kmer_spectrum": ((STEPS / 900, {MODEL: STEPS[::-1] / 900}), {"k": 3}),
        "dna.gc_histogram": ((two,), {}),
        "dna.codon_positions": (({MODEL: places, "markov_7": places},), {}),
        "dna.strand_asymmetry": ((BITS, BITS + 0.01), {}),
        "dna.longest_copies": ((two,), {}),
        "graphs.graph_drawing": ((tail,), {}),
        "graphs.side_by_side": (([tail], [tail, None], ["valid", "does not parse"]), {}),
        "graphs.degree_histograms": (({"test": [tail], MODEL: [tail]},), {}),
        "graphs.walk_lengths": (({"graph_sent": STEPS, "graph_edges": STEPS},), {}),
        "graphs.shares": (([metric("valid_all"), metric("vun_all")],), {}),
        "graphs.distances": (([metric("mmd_degree"), metric("mmd_orbit")],), {}),
        "molecules.molecule_grid": ((["CCO"], ["CCN"], [0.4]), {}),
        "molecules.property_histograms": (({"logp": {"test": BITS, MODEL: BITS}},), {}),
        "molecules.similarity_to_train": (({MODEL: BITS / 2}, 100), {}),
        "molecules.asked_and_achieved": (("logp", np.arange(40) % 3, BITS, (1.9, 2.0)), {}),
        "molecules.asked_together": ((("logp", "qed"), {"low logp": (ORBIT[:9, :2], (-np.inf, 1.0, 0.0, np.inf))}), {}),
        "molecules.predicted_properties": (("logd", BITS, {MODEL: BITS}, {MODEL: 0.1}), {}),
        "music.piano_roll": ((chorale(0), "a chorale"), {}),
        "music.piano_rolls": (([("a", chorale(0))], [("b", chorale(1))]), {}),
        "music.shares": (({"test": STEPS[:3], MODEL: STEPS[:3]}, ["a", "b", "c"], "notes"), {}),
        "music.by_order": (([metric("nats", 1.0), metric("nats", 2.0, "order_1")],), {"name": "nats"}),
        "proteins.bits_per_residue": (({"all": bars},), {}),
        "proteins.bits_by_length": ((STEPS * 9, BITS * 2, STEPS > 30, {MODEL: (STEPS[::9] * 9, BITS[::9])}), {}),
        "proteins.likelihood_track": ((two, "A" * 40), {"name": "P1"}),
        "proteins.expected_residues": ((shares(20), "MKVLAAGIVGLP", "ACDEFGHIKLMNPQRSTVWY"), {}),
        "proteins.composition": (({"test": np.full(20, 0.05)}, "ACDEFGHIKLMNPQRSTVWY"), {}),
        "proteins.kmer_distance": ((STEPS / 900, {MODEL: STEPS / 900}, {MODEL: (0.2, 0.1, 0.3)}), {"k": 2}),
        "proteins.novelty": ((two, two), {}),
        "proteins.variant_scatter": ((BITS, BITS, np.arange(40) % 2 + 1), {"rho": 0.5}),
        "proteins.roc": (({MODEL: (STEPS / 40, STEPS / 40, 0.5)},), {}),
        "robots.traces": ((ORBIT, ORBIT + 0.1, ["a", "b", "c"]), {}),
        "robots.returns": (({MODEL: BITS, "random": BITS - 1},), {}),
        "robots.successes": (({MODEL: {"reach": 0.5}, "expert": {"reach": 1.0}},), {}),
        "time_series.fan_chart": ((*fan.values(), LEVELS), {"other": ("naive", ahead)}),
        "time_series.fan_charts": (([fan, fan], LEVELS), {}),
        "time_series.calibration": (({MODEL: STEPS[:20]}, {MODEL: ([50, 90], [45, 85])}), {}),
        "time_series.error_by_step": (({MODEL: STEPS, "naive": STEPS + 1},), {"ylabel": "error"}),
        "time_series.dots": ((ratios,), {"title": "ratios", "xlabel": "mase"}),
    }  # fmt: skip


def drawing_functions() -> dict[str, Callable[..., Any]]:
    """`domain.figure` of every public function that gives Axes or a Figure."""
    found = {}
    for domain in DOMAINS.names():
        module = importlib.import_module(f"domains.{domain}.figures")
        for name, value in vars(module).items():
            own = inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
            if own and get_type_hints(inspect.unwrap(value)).get("return") in (Axes, Figure):
                found[f"{domain}.{name}"] = value
    return found


def parameters(name: str) -> set[str]:
    domain, _, function = name.partition(".")
    return set(inspect.signature(getattr(importlib.import_module(f"domains.{domain}.figures"), function)).parameters)


def figure_of(drawn: Axes | Figure) -> Figure:
    figure = drawn if isinstance(drawn, Figure) else drawn.get_figure()
    assert isinstance(figure, Figure)
    return figure


def test_every_figure_has_an_example_and_says_what_it_takes() -> None:
    functions = drawing_functions()
    assert set(functions) == set(examples())
    for name, function in functions.items():
        assert len(function.__doc__ or "") > 30, name
        wanted = "ax" if get_type_hints(inspect.unwrap(function))["return"] is Axes else "axes"
        assert wanted in inspect.signature(function).parameters, f"{name} draws on axes that nobody can give it"


@pytest.fixture
def nothing_left_open() -> Iterator[None]:
    """pyplot keeps what it makes until it is closed; a figure drawn here is its caller's alone."""
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    yield
    assert pyplot.get_fignums() == before


@pytest.mark.usefixtures("nothing_left_open")
@pytest.mark.parametrize("name", sorted(examples()))
def test_a_figure_is_drawn_where_it_is_wanted(name: str) -> None:
    """On axes of its own, or on given ones and nowhere else."""
    function, (given, options) = drawing_functions()[name], examples()[name]
    assert figure_of(function(*given, **options)).axes
    if "ax" in inspect.signature(function).parameters:
        panels = Figure(figsize=(8, 4)).subplots(1, 2)
        assert function(*given, **options, ax=panels[1]) is panels[1]
        assert len(panels[1].get_children()) > len(panels[0].get_children())
        assert not panels[0].has_data()


@pytest.mark.usefixtures("nothing_left_open")
@pytest.mark.parametrize("name", [name for name in sorted(examples()) if "axes" in parameters(name)])
def test_several_panels_are_drawn_where_they_are_wanted(name: str) -> None:
    function, (given, options) = drawing_functions()[name], examples()[name]
    with pytest.raises(ConfigError, match="this figure has") as error:
        function(*given, **options, axes=[])
    count = int(re.findall(r"has (\d+) panels", error.value.message)[0])
    whole = Figure(figsize=(8, 8))
    left, right = whole.subfigures(1, 2)
    panels, other = left.subplots(count, 1, squeeze=False)[:, 0], right.subplots()
    assert function(*given, **options, axes=panels) is whole
    assert len(whole.axes) == count + 1
    assert any(panel.get_children() != [] and panel.has_data() for panel in panels)
    assert not other.has_data()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(examples()))
def test_a_figure_is_saved_as_vectors(name: str) -> None:
    function, (given, options) = drawing_functions()[name], examples()[name]
    drawn, svg, pdf = figure_of(function(*given, **options)), io.BytesIO(), io.BytesIO()
    drawn.savefig(svg, format="svg")
    drawn.savefig(pdf, format="pdf")
    assert ET.fromstring(svg.getvalue()).tag.endswith("svg")
    assert b"<path" in svg.getvalue()
    assert pdf.getvalue().startswith(b"%PDF")
