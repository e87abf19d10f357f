"""The table of recipes: what validation chooses, a line a recipe, and the picture."""

from __future__ import annotations

from pathlib import Path

from benchmarks import recipes


def row(amount: int, adapter: str, rate: float, validation: float) -> recipes.Row:
    return {
        "amount": amount, "adapter": adapter, "rate": rate, "validation": validation, "epoch": 3,
        "metric": "accuracy_y", "value": 1 - validation, "frozen": 0.5, "seconds": 12.0,
    }  # fmt: skip


ROWS = [
    row(100, "head", 1e-3, 0.4),
    row(100, "full", 3e-4, 0.6),
    row(1000, "full", 3e-4, 0.2),
    row(1000, "lora", 1e-3, 0.3),
]


def test_validation_chooses_for_every_amount() -> None:
    best = recipes.chosen(ROWS)
    assert {n: r["adapter"] for n, r in best.items()} == {100: "head", 1000: "full"}
    assert recipes.line(best[1000]) == "| 1,000 | full | 0.0003 | 0.2000 | 3 | accuracy_y | 0.8 | 0.5 | 12 |"
    assert list(recipes.rates("head", "1e-3,1e-4")) == [1e-3]
    assert list(recipes.rates("full", "1e-3,1e-4")) == [1e-4, 1e-3]


def test_seeds_are_averaged() -> None:
    found = recipes.joined([row(100, "full", 1e-4, 0.2), {**row(100, "full", 1e-4, 0.4), "epoch": 5}])
    assert round(found["validation"], 6) == 0.3
    assert found["epoch"] == 4


def test_every_amount_has_a_panel(tmp_path: Path) -> None:
    recipes.draw(ROWS, tmp_path / "recipes.png")
    assert (tmp_path / "recipes.png").stat().st_size > 10_000
