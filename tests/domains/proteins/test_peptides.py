"""Random peptides: the same for a seed, of the lengths asked for, and what the self-check of tasks asks of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from core.store import TokenStore
from domains.formats.seq_record import letters_of
from domains.proteins.source import open_source
from tests.conftest import foretell_cli


def letters(**options: Any) -> list[bytes]:
    return [letters_of(record) for record in open_source("peptides", **options)]


def test_the_first_are_the_same_however_many_are_asked_for() -> None:
    many = letters(length=(3, 5), peptides=1200)
    assert {len(text) for text in many} == {3, 4, 5}
    assert letters(length=(3, 5), peptides=10) == many[:10]
    assert letters(length=(3, 5), peptides=10, seed=1) != many[:10]


def test_the_self_check_needs_no_labels(tmp_path: Path) -> None:
    store = tmp_path / "s.zarr"
    keys = ("experiment=proteins_positions_small", "data.peptides=60", "data.length=[8,9]", f"store={store}")
    assert foretell_cli("prepare", *keys) == 0
    rows = TokenStore.open(store)
    assert rows.attrs["counts"] == {"in": 60, "ok": 60, "rejected": {}}
    assert rows.ids[0] == "peptide_1#sites"
    assert {part: len(rows.spans(part)) > 0 for part in ("train", "validation", "test")} == dict.fromkeys(
        ("train", "validation", "test"), True
    )


@pytest.mark.parametrize("options", [{"length": (5, 3)}, {"length": (0, 3)}, {"length": (3,)}, {"peptides": 0}])
def test_a_value_that_is_not_allowed_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"data\.{next(iter(options))}: got"):
        open_source("peptides", **options)


def test_there_are_no_files_of_peptides() -> None:
    with pytest.raises(ConfigError, match=r"data=peptides or data\.path"):
        open_source("peptides", "a.fa")
