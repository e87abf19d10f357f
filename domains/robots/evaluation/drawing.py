"""Which figures an evaluation of robots shows, and what each of them says in words."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.evaluation import MODEL
from core.report.gallery import Gallery
from domains.robots import figures
from domains.robots.evaluation.closed_loop import Runs
from domains.robots.evaluation.open_loop import OpenLoop, first_episode

SHOWN = 200
"""Steps of a trace."""


def draw(gallery: Gallery, runs: dict[str, Runs], recorded: OpenLoop, tokenizer: Any, label: str) -> None:
    """Every figure that there are numbers for."""
    if runs:
        _draw_runs(gallery, runs, label)
    longest = first_episode(recorded.said)
    truth, predicted = longest.actions[:SHOWN], longest.expected[:SHOWN]
    names = [f"action {name}" for name in tokenizer.action_space.names]
    if longest.foreseen.shape[1]:
        moving = np.flatnonzero(~np.asarray(tokenizer.config.constant, bool))
        truth = np.concatenate([truth, longest.observations[:SHOWN, moving]], axis=1)
        predicted = np.concatenate([predicted, longest.foreseen[:SHOWN, moving]], axis=1)
        names += [f"sensor {column + 1}" for column in moving]
    gallery.add(
        figures.traces(truth, predicted, names),
        "traces",
        alt=f"Line charts of {min(figures.PANELS, len(names))} columns over {len(truth)} steps, recorded and predicted",
        caption=f"One recorded episode of {label}, each step predicted from all that came before it.",
    )


def _draw_runs(gallery: Gallery, runs: dict[str, Runs], label: str) -> None:
    by_task = {m: _by_task(r, "success_last") for m, r in runs.items()}
    if len(by_task[MODEL]) > 1 and np.isfinite(list(by_task[MODEL].values())).all():
        gallery.add(
            _figure(figures.successes(by_task)),
            "success_by_task",
            alt="Bars of success at the last step by task: "
            + ", ".join(f"{task} {share:.2f}" for task, share in by_task[MODEL].items()),
            caption="Success at the last step, from goals that no demonstration had.",
        )
    totals = {m: [o.total for o in r.outcomes] for m, r in runs.items()}
    gallery.add(
        _figure(figures.returns(totals)),
        "returns",
        alt="Histogram of returns of roll-outs; means: "
        + ", ".join(f"{figures.words(m)} {np.mean(v):.4g}" for m, v in totals.items()),
        caption=f"{len(totals[MODEL])} roll-outs of {label} from seeds that no demonstration had.",
    )


def _by_task(runs: Runs, attribute: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for outcome in runs.outcomes:
        found.setdefault(outcome.where.task or outcome.where.env_id, []).append(getattr(outcome, attribute))
    return {task: float(np.mean(values)) for task, values in found.items()}


def _figure(ax: Axes) -> Figure:
    drawing = ax.get_figure()
    assert isinstance(drawing, Figure)
    return drawing
