"""Letters asked in pieces: what is cut is put together again, on one side of the split, and judged as one record."""

from __future__ import annotations

import csv
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import foretell
from core.errors import ConfigError
from core.evaluation import MetricTable
from core.split import SplitConfig
from core.store import TokenStore
from core.tasks.by_form import HOLE, Questions, _runs
from core.tasks.forms import PerToken
from core.tasks.predict import _pieces
from core.tasks.source import whole_records
from core.tasks.tokenizer import TaskTokenizer
from core.tokenizer import restore
from domains import tokenizer_classes
from domains.proteins.tokenizer import ResidueConfig, ResidueTokenizer
from tests.conftest import foretell_cli

PIECE = 6
SHORT = ("training.steps=4", "training.minutes=0", "progress=false", "threads=1", "batching.batch_size=8")
SMALL = ("size=xs", "model.layers=1", "model.width=16")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Proteins of 4 to 29 residues with a letter for each; one has a letter too few."""
    path = tmp_path_factory.mktemp("pieces") / "table.csv"
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "sequence", "state", "side"])
        for i in range(60):
            letters = "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), rng.integers(4, 30)))
            state = "".join(rng.choice(list("HEC"), len(letters) - (i == 7)))
            out.writerow([f"p{i}", letters, state, "test" if i % 5 == 0 else "train"])
    return path


def prepare(table: Path, name: str, *keys: str) -> TokenStore:
    store = table.parent / name
    asked = ("tasks.state.kind=per_token", f"tasks.state.piece={PIECE}", "max_bad=0.1", "progress=false")
    assert foretell_cli("prepare", "domain=proteins", f"data.path={table}", f"store={store}", *asked, *keys) == 0
    return TokenStore.open(store)


@pytest.fixture(scope="module")
def store(table: Path) -> TokenStore:
    return prepare(table, "pieces.zarr")


@given(length=st.integers(0, 500), piece=st.integers(0, 60))
def test_stretches_are_the_whole_sequence_and_all_but_the_last_alike(length: int, piece: int) -> None:
    parts = PerToken("state", alphabet="HEC", piece=piece).stretches(length)
    assert parts[0][0] == 0
    assert parts[-1][1] == length
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    assert len({stop - start for start, stop in parts[:-1]} | ({piece} if len(parts) > 1 else set())) <= 1
    assert all(0 < stop - start <= (piece or length) for start, stop in parts if length)


def test_a_tokenizer_without_pieces_is_described_as_before_there_were_any() -> None:
    assert "piece" not in PerToken("state", alphabet="HEC").to_config()
    assert PerToken("state", alphabet="HEC", piece=5).to_config()["piece"] == 5
    with pytest.raises(ConfigError, match="piece"):
        PerToken("state", alphabet="HEC", piece=-1)


def test_rows_put_together_are_the_table(table: Path, store: TokenStore) -> None:
    with table.open() as file:
        wanted = {row["id"]: (row["sequence"], row["state"]) for row in csv.DictReader(file) if row["id"] != "p7"}
    tasks = restore(store.tokenizer, tokenizer_classes())
    found: dict[str, list[tuple[int, str, str]]] = {}
    for row in range(len(store)):
        labelled = tasks.decode(store[row])
        whole, start = str(store.labels("piece_of")[row]), int(store.labels("piece_start")[row])
        letters = str(getattr(labelled.record, "seq", labelled.record))
        assert len(letters) <= PIECE
        assert store.ids[row] == f"{whole}#state" or re.fullmatch(rf"{whole}:{start + 1}-\d+#state", store.ids[row])
        found.setdefault(whole, []).append((start, letters, labelled.label))
    joined = {name: tuple("".join(p[i] for p in sorted(parts)) for i in (1, 2)) for name, parts in found.items()}
    assert joined == wanted


@pytest.mark.parametrize("rule", ["random", "cluster", "group", "given"])
def test_pieces_of_one_record_stay_on_one_side(table: Path, rule: str) -> None:
    side = ("data.split_column=side",) if rule == "given" else ()
    store = prepare(table, f"{rule}.zarr", f"split.rule={rule}", "split.validation=0.2", *side)
    sides: dict[str, set[int]] = {}
    for (row, _, _), part in zip(store.spans().tolist(), store.span_split.tolist(), strict=True):
        sides.setdefault(str(store.labels("piece_of")[row]), set()).add(part)
    assert set().union(*sides.values()) == {0, 1, 2}
    assert all(len(found) == 1 for found in sides.values())


def test_a_random_split_of_pieces_is_one_of_their_records() -> None:
    assert whole_records(SplitConfig(rule="random"), pieces=True).whole_groups
    assert not whole_records(SplitConfig(rule="random")).whole_groups


def test_answers_to_pieces_are_put_together_and_judged_as_records(table: Path, store: TokenStore) -> None:
    run = table.parent / "run"
    assert foretell_cli("train", f"store={store.path}", f"run={run}", *SMALL, *SHORT) == 0
    assert foretell_cli("evaluate", f"bundle={run}", f"store={store.path}", "evaluation.resamples=100") == 0
    rows = MetricTable.read(run / "evaluation").rows
    whole = {str(store.labels("piece_of")[row]) for row in store.spans("test")[:, 0]}
    (exact,) = [r for r in rows if r.name == "exact_state" and r.model == "foretell"]
    assert exact.n == len(whole)
    assert {f"f1_{what}_state_{letter}" for what in ("units", "runs") for letter in "HEC"} <= {r.name for r in rows}
    assert (run / "evaluation" / "tracks_state.svg").exists()
    model = foretell.load(run)
    long = "MKVLAAGWKKDEMKVLAAGW"
    (answer,) = model.answer(long, "state")
    pieces = [long[i : i + PIECE] for i in range(0, len(long), PIECE)]
    assert answer.value == "".join(a.value for a in model.answer(pieces, "state"))


@given(st.lists(st.sampled_from(["a", "b", "bb", "aab"]), max_size=12).map("".join))
def test_runs_are_the_longest_stretches_of_a_letter(text: str) -> None:
    spans = _runs(text, "b")
    covered = [at for start, stop in spans for at in range(start, stop)]
    assert covered == [at for at, letter in enumerate(text) if letter == "b"]
    assert all(stop < start for (_, stop), (start, _) in pairwise(spans))


def test_texts_of_questions_come_together_by_record_and_place() -> None:
    asked = Questions(places=[("b", 2), ("a", 0), ("b", 0), ("a", 3)])
    assert asked.together(["4", "1", "23", "2"]) == ["234", f"1{HOLE}{HOLE}2"]  # a piece of a is missing
    assert Questions().together(["x", "y"]) == ["x", "y"]


def test_every_piece_begins_with_the_marks_that_its_record_begins_with() -> None:
    base = ResidueTokenizer(ResidueConfig(directions="both"))
    tokenizer = TaskTokenizer(base, (PerToken("state", alphabet="HEC", piece=4),))
    asked = _pieces(tokenizer, tokenizer.tasks[0], "ACDEFGHIKL")  # type: ignore[arg-type]
    trained = [tokenizer.ask(letters, "state") for letters in ("ACDE", "FGHI", "KL")]
    assert [a.arrays["tokens"].tolist() for a in asked] == [t.arrays["tokens"].tolist() for t in trained]
