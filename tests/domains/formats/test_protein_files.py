"""Swiss-Prot, a3m, PDB, mmCIF and translations: made by code, read back; each policy and each damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from Bio.SeqUtils import CheckSum

from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.formats.a3m import read_a3m, read_alignment
from domains.formats.structures import read_structure
from domains.formats.swissprot import read_swissprot
from domains.formats.text import InputFile
from domains.formats.translations import read_translations
from tests.domains.formats.test_genbank import coding, genbank_text

THREE = {"M": "MET", "A": "ALA", "K": "LYS", "V": "VAL", "G": "GLY", "W": "TRP"}


def opened(path: Path, text: str) -> InputFile:
    path.write_text(text)
    return InputFile(path, "a protein file")


def entry(letters: str, name: str = "P12345", *, length: int | None = None, crc: str | None = None) -> str:
    crc = crc or str(CheckSum.crc64(letters)).removeprefix("CRC-")
    length = len(letters) if length is None else length
    spaced = " ".join(letters[i : i + 10] for i in range(0, len(letters), 10))
    return (
        f"ID   {name}_HUMAN    Reviewed;  {length} AA.\nAC   {name}; Q00000;\nDE   RecName: Full=Thing {{ECO:1}};\n"
        f"OS   Homo sapiens (Human).\nOX   NCBI_TaxID=9606;\nSQ   SEQUENCE   {length} AA;  1000 MW;  {crc} CRC64;\n"
        f"     {spaced}\n//\n"
    )


def test_swissprot_entries_and_their_labels(tmp_path: Path) -> None:
    file = opened(tmp_path / "a.dat", entry("MKVLAGGGSTMKVLAGGG") + entry("MW", "P2"))
    first, second = read_swissprot(file, ("organism", "taxonomy_id", "reviewed", "entry"))
    assert (first.id, str(first.seq), first.description) == ("P12345", "MKVLAGGGSTMKVLAGGG", "P12345 Thing")
    assert first.annotations["labels"] == {
        "entry": "P12345_HUMAN", "organism": "Homo sapiens (Human)", "taxonomy_id": 9606.0, "reviewed": 1.0,
    }  # fmt: skip
    assert (second.id, file.records) == ("P2", 2)


def test_swissprot_entries_that_were_cut_or_edited_are_rejected(tmp_path: Path) -> None:
    text = entry("MKV", "A", length=4) + entry("MKV", "B", crc="0" * 16) + entry("MKV", "C") + entry("MKV", "D")[:-3]
    file = opened(tmp_path / "a.dat", text)
    found = list(read_swissprot(file))
    assert [r.reason if isinstance(r, Reject) else r.id for r in found] == ["cut_short", "checksum", "C", "cut_short"]
    assert file.records == 4
    with pytest.raises(InputError, match="expected a Swiss-Prot ID line"):
        list(read_swissprot(opened(tmp_path / "b.dat", ">a\nMKV\n")))


def test_a3m_rows_are_proteins_or_match_columns(tmp_path: Path) -> None:
    text = "#4\t1\n>q\nMK\nVL\n>ss_pred\nHHHH\n>h1 homolog\nMkkK-L\n>short\nMK\n>gaps\n----\n"
    path = tmp_path / "a.a3m"
    whole = list(read_a3m(file := opened(path, text)))
    assert [str(r.seq) for r in whole[:2]] == ["MKVL", "MKKKL"]
    assert [r.reason for r in whole[2:]] == ["ragged_row", "empty_sequence"]
    assert (file.records, file.notes["rows of annotation"], file.notes["comment lines"]) == (4, 1, 1)
    assert str(list(read_a3m(opened(path, text), "drop"))[1].seq) == "MKL"
    with pytest.raises(InputError, match="2 to 4 match columns"):
        read_alignment(path)
    opened(path, text.replace(">short\nMK\n", ""))
    assert [bytes(row) for row in read_alignment(path)] == [b"MKVL", b"MK-L", b"----"]
    with pytest.raises(ConfigError, match="expected keep or drop"):
        list(read_a3m(opened(path, text), "some"))


def atom(serial: int, residue: str, chain: str, number: int, *, record="ATOM", alt=" ", occupancy=1.0) -> str:
    head = f"{record:<6}{serial:>5}  CA {alt}{residue:>3} {chain}{number:>4}    "
    return f"{head}{1.0 * serial:8.3f}{0.0:8.3f}{0.0:8.3f}{occupancy:6.2f}{10.0:6.2f}           C\n"


PDB_TEXT = (
    "HEADER    TEST\n"
    "SEQRES   1 A    7  MET ALA LYS VAL GLY TRP MSE\n"
    + "MODEL        1\n"
    + atom(1, "MET", "A", 1)
    + atom(2, "ALA", "A", 2)
    + atom(3, "GLY", "A", 5)
    + atom(4, "TRP", "A", 6, alt="A", occupancy=0.3)
    + atom(5, "VAL", "A", 6, alt="B", occupancy=0.7)
    + atom(6, "MSE", "A", 7, record="HETATM")
    + atom(7, "HOH", "A", 90, record="HETATM")
    + atom(8, "LYS", "B", 1)
    + "ENDMDL\nMODEL        2\n"
    + atom(9, "LYS", "A", 1)
    + "ENDMDL\nEND\n"
)


@pytest.mark.parametrize(
    ("missing", "letters"), [("skip", ["MAGVM", "K"]), ("x", ["MAXXGVM", "K"]), ("seqres", ["MAKVGWM"])]
)
def test_chains_of_a_pdb_file(tmp_path: Path, missing: str, letters: list[str]) -> None:
    file = opened(tmp_path / "1abc.pdb", PDB_TEXT)
    found = list(read_structure(file, "pdb", missing))
    assert [str(r.seq) for r in found] == letters
    assert found[0].id == "1abc_A"
    assert file.records == len(found)
    if missing != "seqres":
        assert file.notes["residues missing inside chains"] == 2
        assert file.notes["modified residues read as their parents"] == 1
        assert file.notes["residues with an alternative, the more frequent one taken"] == 1
        assert file.notes["further models left out"] == 1


def test_chains_of_an_mmcif_file(tmp_path: Path) -> None:
    names = """group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_entity_id
    label_seq_id pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv auth_seq_id auth_comp_id
    auth_asym_id auth_atom_id pdbx_PDB_model_num"""
    header = "data_1ABC\nloop_\n" + "".join(f"_atom_site.{name}\n" for name in names.split())
    lines = "".join(
        f"ATOM {i} C CA . {three} A 1 {i} ? {i}.0 0.0 0.0 1.0 10.0 {i} {three} A CA 1\n"
        for i, three in ((1, "MET"), (2, "LYS"), (4, "VAL"))
    )
    file = opened(tmp_path / "1abc.cif", header + lines + "#\n")
    assert [str(r.seq) for r in read_structure(file, "mmcif", "x")] == ["MKXV"]


def test_structures_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no atoms|no protein chain"):
        list(read_structure(opened(tmp_path / "a.pdb", "HEADER    NOTHING\nEND\n"), "pdb"))
    with pytest.raises(ConfigError, match="expected one of skip, x, seqres"):
        list(read_structure(opened(tmp_path / "a.pdb", PDB_TEXT), "pdb", "guess"))
    water = atom(1, "HOH", "A", 1, record="HETATM") + "END\n"
    with pytest.raises(InputError, match="no protein chain"):
        list(read_structure(opened(tmp_path / "a.pdb", water), "pdb"))


def test_translations_of_a_genbank_file(tmp_path: Path) -> None:
    features = (
        coding((0, 12, 1), protein_id="AAA1.1", product="thing", translation="MKV"),
        coding((12, 24, 1), locus_tag="t2", translation="MKVW"),
        coding((24, 36, 1), note="no translation"),
    )
    file = opened(tmp_path / "a.gb", genbank_text("A", "ATGAAAGTTTAA" * 5, features))
    found = list(read_translations(file))
    assert [(r.id, str(r.seq)) for r in found] == [("AAA1.1", "MKV"), ("t2", "MKVW")]
    assert file.records == 2
    assert file.notes["coding regions without a translation"] == 1
