"""`foretell compare RUN RUN ...`: several runs side by side, as a table or as one page with their curves."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.report import headline
from pipelines.run_record import RunRecord


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("foretell compare", description="Several runs side by side.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    parser.add_argument("--out", type=Path, help="write a page with the runs' curves as well")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of a table")
    wanted = parser.parse_args(list(arguments))
    records = [RunRecord(path) for path in wanted.runs]
    rows = [compared(record) for record in records]
    print(json.dumps(rows, indent=1, ensure_ascii=False) if wanted.json else table(rows))
    if wanted.out:
        _write_page(wanted.out, records, rows)
        print(f"page in {wanted.out}; next: open it in a browser")
    return 0


def compared(record: RunRecord) -> dict[str, Any]:
    """One line of the table; None for what is not known (yet)."""
    model, found = record.config["model"], headline(record)
    row = found.row if found is not None else None
    against = found.comparison if found is not None else None
    return {
        "run": str(record.path),
        "state": record.state,
        "pattern": model["pattern"],
        "layers": model["layers"],
        "width": model["width"],
        "seed": record.config["seed"],
        "tokens": record.last_step.get("tokens"),
        "seconds": record.seconds,
        "validation": min(record.validations, default=None),
        "unit": record.measure,
        "metric": row.name if row else None,
        "split": row.split if row else None,
        "value": row.value if row else None,
        "low": row.low if row else None,
        "high": row.high if row else None,
        "baseline": against.baseline if against else None,
        "difference": against.difference if against else None,
        "verdict": against.verdict if against else None,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Aligned columns, the best validation first."""

    def one(key: str, otherwise: str) -> str:
        names = {str(row[key]) for row in rows if row[key]}
        return names.pop() if len(names) == 1 else otherwise

    titles = {
        "run": "run",
        "state": "state",
        "pattern": "pattern",
        "layers": "layers",
        "width": "width",
        "tokens": "tokens",
        "seconds": "seconds",
        "validation": f"validation, {one('unit', 'bits per unit')}",
        "value": one("metric", "metric"),
        "interval": "95 % interval",
        "verdict": "beside its baselines",
    }
    cells = [list(titles.values())]
    for row in sorted(rows, key=lambda r: (r["validation"] is None, r["validation"])):
        interval = f"[{row['low']:.4f}, {row['high']:.4f}]" if row["low"] is not None else None
        verdict = (
            row["verdict"] if row["verdict"] in (None, "undecided") else f"{row['verdict']} than {row['baseline']}"
        )
        shown = {**row, "interval": interval, "verdict": verdict}
        cells.append([_cell(shown[name]) for name in titles])
    widths = [max(len(line[i]) for line in cells) for i in range(len(titles))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _write_page(out: Path, records: list[RunRecord], rows: list[dict[str, Any]]) -> None:
    from core.report import LearningCurve, Line, Listing, Page, build_page, write_page

    measures = {record.measure for record in records}
    sections = [
        LearningCurve(
            f"Validation, {measure}",
            [Line(str(r.path), *r.column(r.val_column)) for r in records if r.measure == measure],
            "tokens",
            measure,
        )
        for measure in sorted(measures)
    ]
    listing = Listing("Runs", table(rows))
    lead = f"{len(records)} runs side by side; intervals are 95 %, over records or blocks."
    write_page(out, build_page(Page("Runs compared", lead, [listing, *sections])))
