"""The page of a run that learned labels: the verdict at the top, metrics beside baselines, what was predicted, the
course, the card.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.amounts import duration, percent
from core.durable import read_json
from domains import title_of
from pipelines.run_record import RunRecord
from pipelines.settings import command

if TYPE_CHECKING:
    from core.report import Figure, Page
    from core.report.predicted import Classes, Numbers

_PANELS = 6
"""Labels that are drawn, at most."""


def learned_labels(record: RunRecord) -> bool:
    """Whether it is a run of task=classify or task=regress."""
    return "supervised" in record.config


def label_facts(record: RunRecord) -> dict[str, Any]:
    """What `describe` tells of such a run."""
    config = record.config
    return {
        "type": "run",
        "state": "finished" if record.best else "running" if record.is_running else "stopped",
        "task": config["task"],
        "label": config["label"],
        "adapter": config["adapter"]["kind"],
        "domain": config["domain"],
        "data": [entry["store"] for entry in config["data"]],
        "verdict": record.best.get("verdict"),
        "seconds": record.best.get("seconds_training"),
    }


def label_page(record: RunRecord, drawn: Path) -> Page:
    """Everything that is known of a finished run, in reading order.

    Args:
        drawn: a folder for the figure, which is needed until the page is built.
    """
    from core.evaluation import Metric, MetricTable, lower_is_better
    from core.report import Commands, Facts, Figures, Headline, LearningCurve, Line, Listing, Metrics, Page, Section
    from core.run_folder import CONFIG

    best = record.best
    table = MetricTable(Metric(**row) for row in best["table"])  # `evaluate` may have put another into the run's folder
    first = table.rows[0]
    with open(record.path / "evaluation" / "course.csv", newline="", encoding="utf-8") as file:
        rows = [(float(row["epoch"]), float(row["validation_nats"])) for row in csv.DictReader(file)]
    epochs, losses = ([row[i] for row in rows] for i in (0, 1))
    bundle = record.path / "bundle"
    sections: list[Section] = [
        Metrics(table),
        *([Figures([figure], title="Predictions")] if (figure := predictions_figure(record, drawn)) else []),
        LearningCurve("Validation", [Line("validation", epochs, losses)], "epochs", "nats"),
        Facts("Training", _in_words(record, first.name)),
        Listing("Card", (bundle / "card.md").read_text(encoding="utf-8"), summary="card.md"),
        Listing("Configuration", (record.path / CONFIG).read_text(encoding="utf-8"), summary="config.yaml"),
        Commands(
            {
                "Predict for records of your own": command(
                    "predict", bundle=bundle, input="NEW.zarr", output="said.zarr", what="[predict]", table="said.csv"
                )
            }
        ),
    ]
    return Page(
        title=f"{', '.join(record.config['label'])}, fine-tuned",
        lead=str(best.get("verdict", "")),
        sections=sections,
        headline=Headline(table, first.name, first.split, first.name.replace("_", " "), lower_is_better(first.name)),
        kicker=title_of(record.config["domain"]),
    )


def _in_words(record: RunRecord, metric: str) -> dict[str, str]:
    """Facts of the training; `metric` is what its runs are measured by."""
    from core.evaluation import shown

    facts, best = label_facts(record), record.best
    seconds, epoch = facts.pop("seconds"), best.get("best_epoch")
    said = {name: ", ".join(v) if isinstance(v, list) else str(v) for name, v in facts.items()}
    said = {name: value for name, value in said.items() if name not in ("type", "verdict")}
    said |= {"time": duration(seconds)} if seconds else {}
    said |= {"best epoch": f"{epoch:,}"} if epoch is not None else {}
    return said | {f"{metric.replace('_', ' ')}, {run}": shown(value) for run, value in best.get("runs", {}).items()}


def predictions_figure(record: RunRecord, out: Path) -> Figure | None:
    """What was measured beside what was predicted, of the test part, drawn into the folder `out`; None without such."""
    found = read_predictions(record)
    if not found:
        return None
    from core.report import Figure
    from core.report.gallery import Gallery
    from core.report.predicted import Classes, predicted_figure

    head = _head(record)
    what = "pair" if head.get("pairs") else "record"
    says = "; ".join(_says(label, what) for label in found[:_PANELS])
    left = f" The first {_PANELS} of {len(found)} labels are drawn." if len(found) > _PANELS else ""
    if isinstance(found[0], Classes):
        alt, caption = "Matrix of measured class by likeliest class", "A shade is the share of the measured class."
    else:
        level = percent(head["level"])
        alt = "Scatter plot of predicted against measured values, with intervals"
        caption = f"A dot is a {what}, its line the {level} interval; on the diagonal both agree."
    gallery = Gallery(out)
    drawing = predicted_figure(found[:_PANELS])
    gallery.add(drawing, "predictions", alt=alt, listed=False)
    wide = len(found) > 1
    return Figure(out / "predictions.svg", f"{alt}. {says}", f"Test part. {says}. {caption}{left}", wide=wide)


def read_predictions(record: RunRecord) -> list[Numbers | Classes]:
    """The labels of the test part's records: of numbers each, of classes one, of yes and no each.

    Empty where predictions were not written (labels by token) or no record was tested.
    """
    import numpy as np

    from core.report.predicted import Classes, Numbers

    path, head = record.path / "evaluation" / "predictions.csv", _head(record)
    if not head or not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        heads, *rows = csv.reader(file)

    def of(what: str) -> Any:
        """(N, K) of the model: its columns stand before those of baselines."""
        columns = [heads.index(f"{what}_{name}") for name in head["names"]]
        return np.array([[float(row[c]) for c in columns] for row in rows]).reshape(len(rows), len(columns))

    measured = of("measured")
    known = np.isfinite(measured)
    if head["task"] == "classify" and head["exclusive"]:
        name, names = ", ".join(head["columns"]), tuple(head["names"])
        whole = known.all(axis=1)
        pair = (part[whole].argmax(axis=1) for part in (measured, of("probability")))
        return [Classes(name, names, *pair)] if whole.any() else []
    parts = [of("probability")] if head["task"] == "classify" else [of(what) for what in ("mean", "low", "high")]
    found: list[Numbers | Classes] = []
    for k, name in enumerate(head["names"]):
        rows_of = known[:, k]
        values = [part[rows_of, k] for part in (measured, *parts)]
        if rows_of.any() and head["task"] == "classify":
            found.append(Classes(name, ("no", "yes"), *((v >= 0.5).astype(np.int64) for v in values)))
        elif rows_of.any():
            found.append(Numbers(name, *values))
    return found


def _head(record: RunRecord) -> dict[str, Any]:
    """What the head of the run's bundle is; empty where none was written."""
    path = record.path / "bundle" / "head.json"
    return dict(read_json(path)) if path.is_file() else {}


def _says(label: Numbers | Classes, what: str) -> str:
    from core.report.predicted import Classes

    n = f"{len(label.measured):,} {what}s"
    if isinstance(label, Classes):
        return f"{label.name}: {percent(label.right)} of {n} right"
    return f"{label.name}: {percent(label.inside)} of {n} within their interval"
