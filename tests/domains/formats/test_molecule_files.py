from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.formats.mol2 import read_mol2
from domains.formats.sdf import read_sdf
from domains.formats.smiles_table import (
    MoleculeText,
    read_smi,
    read_smiles_parquet,
    read_smiles_table,
)
from domains.formats.table import Columns
from domains.formats.text import InputFile


def block(name: str, symbol: str = "C") -> str:
    """A mol block of one atom."""
    return f"{name}\n  test\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n    0.0 0.0 0.0 {symbol}   0  0\nM  END\n"


def read(tmp_path: Path, text: str, reader: Callable[..., Iterator[Any]], *options: Any) -> list[MoleculeText | Reject]:
    path = tmp_path / "made.txt"
    path.write_text(text)
    file = InputFile(path, "molecules")
    found = list(reader(file, *options))
    assert file.records == len(found), "the reader's count is not what it gave"
    return found


def test_lines_are_molecules_with_names(tmp_path: Path) -> None:
    found = read(tmp_path, "smiles name\nCCO ethanol\n\n# none\nC\nCC |$;R1$| ethane\nCN\tx\tnats=1\tvalid\n", read_smi)
    assert [(m.text, m.id) for m in found if isinstance(m, MoleculeText)] == [
        ("CCO", "ethanol"), ("C", "made_2"), ("CC", "ethane"), ("CN", "x"),
    ]  # fmt: skip
    assert [m.place[1] for m in found if isinstance(m, MoleculeText)] == [2, 5, 6, 7]


def test_a_packed_file_reads_alike(tmp_path: Path) -> None:
    path = tmp_path / "m.smi.gz"
    path.write_bytes(gzip.compress(b"CCO a\nCC b\n"))
    assert [m.id for m in read_smi(InputFile(path, "SMILES"))] == ["a", "b"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="cut short"):
        list(read_smi(InputFile(path, "SMILES")))


def test_rows_are_molecules_with_labels(tmp_path: Path) -> None:
    table = "Name,Canonical_SMILES,y,kind,part\na,CCO,1.5,x,train\nb,CC,,x,test\nc,C,>10,y,test\nd,N,nan,y,test\n"
    columns = Columns(labels=("y", "kind"), split="part")
    found = read(tmp_path, table, read_smiles_table, columns)
    kept = [m for m in found if isinstance(m, MoleculeText)]
    assert [(m.id, m.labels["kind"], m.split) for m in kept] == [
        ("a", "x", "train"),
        ("b", "x", "test"),
        ("d", "y", "test"),
    ]
    assert kept[0].labels["y"] == 1.5
    assert kept[1].labels["y"] != kept[1].labels["y"]
    (bad,) = (m for m in found if isinstance(m, Reject))
    assert (bad.reason, bad.id, bad.line, bad.index) == ("bad_label", "c", 4, 2)


def test_a_table_without_smiles_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Give data\.column=NAME, one of: a, b"):
        read(tmp_path, "a,b\n1,2\n", read_smiles_table, Columns())
    with pytest.raises(ConfigError, match="did you mean 'mol'"):
        read(tmp_path, "mol,b\nC,2\n", read_smiles_table, Columns(record="moll"))


def test_parquet_reads_as_csv(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = tmp_path / "m.parquet"
    pandas.DataFrame({"id": ["a", "b"], "smiles": ["CC", "CCO"], "y": [1.0, None]}).to_parquet(path)
    found = [m for m in read_smiles_parquet(path, Columns(labels=("y",))) if isinstance(m, MoleculeText)]
    assert [(m.id, m.text) for m in found] == [("a", "CC"), ("b", "CCO")]
    assert found[0].labels == {"y": 1.0}
    path.write_bytes(b"PAR1 not")
    with pytest.raises(InputError, match="no Parquet file"):
        list(read_smiles_parquet(path, Columns()))


def test_a_block_cut_short_costs_itself_only(tmp_path: Path) -> None:
    cut = "\n".join(block("cut").split("\n")[:5]) + "\n"  # no M  END, no $$$$
    text = block("first") + "$$$$\n" + cut + block("good") + "> <y>\n2.5\n\n$$$$\n" + block("last")
    found = read(tmp_path, text, read_sdf, ("y",))
    assert [(type(m).__name__, m.id) for m in found] == [
        ("MoleculeText", "first"), ("Reject", "cut"), ("MoleculeText", "good"), ("MoleculeText", "last"),
    ]  # fmt: skip
    assert isinstance(found[1], Reject)
    assert found[1].reason == "cut_short"
    assert isinstance(found[2], MoleculeText)
    assert found[2].labels == {"y": 2.5}
    assert found[2].text == block("good")


@pytest.mark.parametrize("lines", [0, 1, 2, 3])
def test_a_block_cut_inside_its_header_costs_itself_only(tmp_path: Path, lines: int) -> None:
    cut = "".join(f"{line}\n" for line in ["cut", " program", "comment"][:lines])
    found = read(tmp_path, block("a") + "$$$$\n" + cut + block("good") + "$$$$\n\n" + block("b") + "$$$$\n", read_sdf)
    assert [m.id for m in found] == ["a", *(["cut"] if lines else []), "good", "b"]
    assert [m.reason for m in found if isinstance(m, Reject)] == ["cut_short"] * bool(lines)


def test_a_missing_separator_loses_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, block("a") + block("b") + "$$$$\n", read_sdf)
    assert [m.id for m in found] == ["a", "b"]
    assert all(isinstance(m, MoleculeText) for m in found)


def test_a_label_that_is_no_number_rejects_its_molecule(tmp_path: Path) -> None:
    text = "".join(f"{block(n)}> <y>\n{value}\n\n$$$$\n" for n, value in (("a", "1"), ("b", ">10"), ("c", "")))
    found = read(tmp_path, text, read_sdf, ("y",))
    assert [getattr(m, "reason", "") for m in found] == ["", "bad_label", ""]


def test_mol2_records_begin_at_their_mark(tmp_path: Path) -> None:
    one = "@<TRIPOS>MOLECULE\n{}\n 1 0 0 0 0\nSMALL\nNO_CHARGES\n@<TRIPOS>ATOM\n 1 C 0 0 0 C.3\n"
    found = read(tmp_path, "# head\n" + one.format("a") + "@<TRIPOS>MOLECULE\nempty\n" + one.format("b"), read_mol2)
    assert [(m.id, getattr(m, "reason", "")) for m in found] == [("a", ""), ("empty", "cut_short"), ("b", "")]


@pytest.mark.parametrize(("reader", "text"), [(read_smi, "# only\n"), (read_mol2, "nothing\n"), (read_sdf, " \n \n")])
def test_a_file_without_molecules_is_an_error(tmp_path: Path, reader: Callable[..., Iterator[Any]], text: str) -> None:
    with pytest.raises(InputError):
        read(tmp_path, text, reader)
