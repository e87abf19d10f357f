"""The page of a run that learned labels: the verdict at the top, metrics beside baselines, the course, the card."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from domains import title_of
from pipelines.run_record import RunRecord
from pipelines.settings import command

if TYPE_CHECKING:
    from core.report import Page


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


def label_page(record: RunRecord) -> Page:
    """Everything that is known of a finished run, in reading order."""
    from core.evaluation import MetricTable, lower_is_better
    from core.report import Commands, Facts, Headline, LearningCurve, Line, Listing, Metrics, Page, Section
    from core.run_folder import CONFIG

    table = MetricTable.read(record.path / "evaluation")
    first, best = table.rows[0], record.best
    with open(record.path / "evaluation" / "course.csv", newline="", encoding="utf-8") as file:
        rows = [(float(row["epoch"]), float(row["validation_nats"])) for row in csv.DictReader(file)]
    epochs, losses = ([row[i] for row in rows] for i in (0, 1))
    facts = {**label_facts(record), "best epoch": best.get("best_epoch"), **best.get("runs", {})}
    bundle = record.path / "bundle"
    sections: list[Section] = [
        Metrics(table),
        LearningCurve("Validation", [Line("validation", epochs, losses)], "epochs", "nats"),
        Facts("Training", {name: value for name, value in facts.items() if name not in ("type", "verdict")}),
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
