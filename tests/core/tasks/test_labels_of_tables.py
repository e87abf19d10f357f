"""Labels of tables on their way to answers: digits for residues are no number, both kinds of labels go together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.store import TokenStore
from core.tokenizer import restore
from domains import tokenizer_classes
from domains.formats.label_columns import LabelColumns
from tests.conftest import foretell_cli


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Proteins of 8 to 40 residues, 0 or 1 for each of them, and whether they are soluble."""
    path = tmp_path_factory.mktemp("labels") / "table.csv"
    rng = np.random.default_rng(0)
    lines, digits = ["id,sequence,open,soluble"], {}
    for i in range(120):
        letters = "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), rng.integers(8, 41)))
        digits[f"p{i}"] = "".join(rng.choice(list("01"), len(letters)))
        lines.append(f"p{i},{letters},{digits[f'p{i}']},{rng.choice(['yes', 'no'])}")
    path.write_text("\n".join(lines) + "\n")
    return path, digits


@pytest.mark.parametrize("keys", [("tasks.open.kind=per_token",), ("tasks.open.column=open",)])
def test_digits_for_residues_come_back_as_they_were(table: tuple[Path, dict[str, str]], keys: tuple[str, ...]) -> None:
    """Also where the form is not said; as numbers, leading zeros and all behind the 15th digit would be lost."""
    path, digits = table
    store = path.parent / f"{len(keys[0])}.zarr"
    assert foretell_cli("prepare", "domain=proteins", f"data.path={path}", f"store={store}", *keys) == 0
    opened = TokenStore.open(store)
    tokenizer = restore(opened.tokenizer, tokenizer_classes())
    found = {opened.ids[i].partition("#")[0]: tokenizer.decode(opened[i]).label for i in range(len(opened))}
    assert found == digits


def test_labels_of_residues_and_of_records_stand_side_by_side(table: tuple[Path, dict[str, str]]) -> None:
    path, digits = table
    store = path.parent / "both.zarr"
    tasks = ("tasks.open.kind=per_token", "tasks.soluble.kind=classes", "data.token_labels=[open]")
    assert foretell_cli("prepare", "domain=proteins", f"data.path={path}", f"store={store}", *tasks) == 0
    names = TokenStore.open(store).labels("task").tolist()
    assert (names.count("open"), names.count("soluble")) == (len(digits), len(digits))


@pytest.mark.parametrize(
    ("cells", "numeric"),
    [
        (["1.5", "2", ""], True),
        (["0", "0.5", "-1e3"], True),
        (["0110", "1101"], False),
        (["12", "7", "0110"], True),
        (["1" * 15, "1" * 16], True),
        (["1" * 16, "1" * 18], False),
        (["5", "5;12"], False),
    ],
)
def test_a_column_of_numbers_is_one_that_loses_nothing(cells: list[str], numeric: bool) -> None:
    assert LabelColumns(["x"], [{"x": cell} for cell in cells]).numeric == {"x": numeric}


def test_digits_among_numbers_are_refused_not_rounded() -> None:
    columns = LabelColumns(["x"], [{"x": "5"}])
    assert columns.value("x", "12345678901234567") is None
    assert columns.value("x", " 0011 ") == 11
    assert columns.value("x", "1" * 15) == int("1" * 15)
