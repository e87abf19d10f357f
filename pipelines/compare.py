"""`foretell compare RUN RUN ...`: several runs side by side: a table, or a page with curves and pictures."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.amounts import count, duration
from core.evaluation import MetricTable, shown
from pipelines.label_report import label_facts, learned_labels
from pipelines.plain_help import PlainParser
from pipelines.report import headline_of
from pipelines.run_record import RunRecord


def parser() -> ArgumentParser:
    made = PlainParser("compare")
    made.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, of one domain or several")
    made.add_argument("--out", type=Path, metavar="PAGE.html", help="write a page with curves and pictures as well")
    made.add_argument(
        "--json", action="store_true", help="a list of objects instead of a table; an error stays text, on stderr"
    )
    return made


def main(arguments: Sequence[str]) -> int:
    wanted = parser().parse_args(list(arguments))
    records = [RunRecord(path) for path in wanted.runs]
    rows = [compared(record) for record in records]
    print(json.dumps(rows, indent=1, ensure_ascii=False) if wanted.json else table(rows))
    if wanted.out:
        from core.report import write_page
        from pipelines.compare_page import comparison

        write_page(wanted.out, comparison(records, rows, wanted.out))
        print(f"page in {wanted.out}; next: open it in a browser")
    elif not wanted.json:
        print("\nAs a page, with curves and pictures: the same command with --out compared.html")
    return 0


def compared(record: RunRecord) -> dict[str, Any]:
    """One line of the table; None for what is not known (yet)."""
    measured = evaluated(record)
    found = headline_of(measured[1]) if measured is not None else None
    row = found.row if found is not None else None
    against = found.comparison if found is not None else None
    model, labels = record.config.get("model", {}), label_facts(record) if learned_labels(record) else {}
    return {
        "run": str(record.path),
        "domain": record.config["domain"],
        "state": labels.get("state", record.state),
        "task": labels.get("task"),
        "adapter": labels.get("adapter"),
        "pattern": model.get("pattern"),
        "layers": model.get("layers"),
        "width": model.get("width"),
        "parameters": record.n_parameters,
        "seed": record.config["seed"],
        "steps": record.last_step.get("step"),
        "tokens": record.last_step.get("tokens"),
        "seconds": labels.get("seconds", record.seconds),
        "validation": min(record.validations, default=None),
        "unit": record.measure,
        "metric": row.name if row else None,
        "split": row.split if row else None,
        "value": row.value if row else None,
        "low": row.low if row else None,
        "high": row.high if row else None,
        "baseline": against.baseline if against else None,
        "difference": against.difference if against else None,
        "difference_low": against.low if against else None,
        "difference_high": against.high if against else None,
        "verdict": against.verdict if against else None,
    }


def evaluated(record: RunRecord) -> tuple[Path, MetricTable] | None:
    """The folder and the metrics of a run's evaluation; a run that learned labels has its own."""
    folder = record.path / "evaluation"
    if learned_labels(record):
        return (folder, MetricTable.read(folder)) if (folder / "metrics.json").is_file() else None
    return record.evaluation()


def table(rows: list[dict[str, Any]]) -> str:
    """Aligned columns, the best validation first where all are given in one unit, else in the order they came."""

    def one(key: str, otherwise: str) -> str:
        names = {str(row[key]) for row in rows if row[key]}
        return names.pop() if len(names) == 1 else otherwise

    several_units = len({row["unit"] for row in rows if row["validation"] is not None}) > 1
    titles = {
        "run": "run",
        "state": "state",
        "pattern": "pattern",
        "layers": "layers",
        "width": "width",
        "parameters": "parameters",
        "tokens": "tokens",
        "seconds": "time",
        "validation": f"validation, {one('unit', 'each in its unit')}",
        **({"unit": "unit"} if several_units else {}),
        **({"metric": "metric"} if len({row["metric"] for row in rows if row["metric"]}) > 1 else {}),
        "value": one("metric", "value"),
        "interval": "95 % interval",
        "verdict": "beside its baselines",
    }
    cells = [list(titles.values())]
    best_first = rows if several_units else sorted(rows, key=lambda r: (r["validation"] is None, r["validation"]))
    for row in best_first:
        facts = {**row, "interval": interval(row["low"], row["high"]) or None, "verdict": verdict(row) or None}
        cells.append([_cell(name, facts[name]) for name in titles])
    widths = [max(len(line[i]) for line in cells) for i in range(len(titles))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def interval(low: float | None, high: float | None) -> str:
    """`[0.4500, 0.5900]`; empty where there is none."""
    return "" if low is None or high is None else f"[{shown(low)}, {shown(high)}]"


def verdict(row: Mapping[str, Any]) -> str:
    """`better than erdos_renyi`, `undecided`; empty where there is no baseline."""
    said = row["verdict"]
    return f"{said} than {row['baseline']}" if said in ("better", "worse") else said or ""


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "seconds":
        return duration(value)
    if name in ("tokens", "parameters"):
        return count(value)
    if isinstance(value, float):
        return shown(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
