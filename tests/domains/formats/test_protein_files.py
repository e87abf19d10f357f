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


# A residue as both formats give it: (number, name, record, altloc, occupancy, of the polymer).
Row = tuple[int, str, str, str, float, bool]


def row(number: int, name: str, record="ATOM", alt=" ", occupancy=1.0, polymer=True) -> Row:
    return number, name, record, alt, occupancy, polymer


def as_pdb(rows: list[Row]) -> str:
    """Chain A with TER after its polymer, then what is none."""
    lines = [atom(i, n, "A", k, record=r, alt=a, occupancy=o) for i, (k, n, r, a, o, _) in enumerate(rows)]
    polymer = sum(r[-1] for r in rows)
    return "".join([*lines[:polymer], "TER\n", *lines[polymer:], "END\n"])


def as_mmcif(rows: list[Row], *, label_numbers=True, entities=True) -> str:
    names = """group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_entity_id
    label_seq_id pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv auth_seq_id auth_comp_id
    auth_asym_id auth_atom_id pdbx_PDB_model_num"""
    text = "data_1ABC\nloop_\n_entity.id\n_entity.type\n1 polymer\n2 non-polymer\n#\n" if entities else "data_1ABC\n"
    text += "loop_\n" + "".join(f"_atom_site.{name}\n" for name in names.split())
    for i, (k, name, record, alt, occupancy, polymer) in enumerate(rows):
        label = k if polymer and label_numbers else "."
        text += (
            f"{record} {i} C CA {alt.strip() or '.'} {name} {'A' if polymer else 'B'} {1 if polymer else 2} {label} ? "
            f"{i}.0 0.0 0.0 {occupancy} 10.0 {k} {name} A CA 1\n"
        )
    return text + "#\n"


def read(tmp_path: Path, text: str, kind: str, missing: str = "skip") -> tuple[list[str], dict[str, int]]:
    file = opened(tmp_path / ("1abc." + {"pdb": "pdb", "mmcif": "cif"}[kind]), text)
    return [str(r.seq) for r in read_structure(file, kind, missing) if not isinstance(r, Reject)], dict(file.notes)


FORMATS = pytest.mark.parametrize(("kind", "written"), [("pdb", as_pdb), ("mmcif", as_mmcif)])


@FORMATS
def test_numbers_that_are_skipped_are_missing_residues(tmp_path: Path, kind: str, written) -> None:
    text = written([row(1, "MET"), row(2, "LYS"), row(4, "VAL")])
    assert read(tmp_path, text, kind, "x") == (["MKXV"], {"residues missing inside chains": 1})


@FORMATS
@pytest.mark.parametrize("selenium", [0.7, 0.3])
def test_a_partial_selenomethionine_is_one_residue(tmp_path: Path, kind: str, written, selenium: float) -> None:
    mse = row(4, "MSE", "HETATM", "A", selenium)
    met = row(4, "MET", "ATOM", "B", 1 - selenium)
    around = [row(i, name) for i, name in enumerate(("MET", "ALA", "GLY"), 1)], [row(5, "LYS")]
    for place in ([mse, met], [met, mse], [mse, met, mse, met]):  # the last: atom by atom
        letters, notes = read(tmp_path, written([*around[0], *place, *around[1]]), kind, "x")
        assert letters == ["MAGMK"]
        assert notes["residues with an alternative, the more frequent one taken"] == 1
        assert notes.get("modified residues read as their parents", 0) == (selenium > 0.5)


@FORMATS
def test_of_a_modified_and_a_mutated_residue_the_more_frequent_one_is_read(tmp_path: Path, kind: str, written) -> None:
    for share, letter in ((0.6, "S"), (0.4, "A")):
        place = [row(2, "SEP", "HETATM", "A", share), row(2, "ALA", "ATOM", "B", 1 - share)]
        assert read(tmp_path, written([row(1, "MET"), *place, row(3, "LYS")]), kind)[0] == [f"M{letter}K"]


LIGANDS = [row(n, "GLU", "HETATM", polymer=False) for n in (4, 301)] + [row(400, "HOH", "HETATM", polymer=False)]
CHAIN = [row(1, "MET"), row(2, "ALA"), row(3, "MSE", "HETATM")]


@FORMATS
@pytest.mark.parametrize("missing", ["skip", "x"])
def test_free_amino_acids_are_no_residues_of_the_chain(tmp_path: Path, kind: str, written, missing: str) -> None:
    letters, notes = read(tmp_path, written(CHAIN + LIGANDS), kind, missing)
    assert letters == read(tmp_path, written(CHAIN), kind, missing)[0] == ["MAM"]
    assert notes == {"ligands left out": 2, "modified residues read as their parents": 1}


def test_entities_or_label_numbers_alone_tell_ligands_in_mmcif(tmp_path: Path) -> None:
    for label_numbers, entities in ((True, False), (False, True)):
        text = as_mmcif(CHAIN + LIGANDS, label_numbers=label_numbers, entities=entities)
        letters, notes = read(tmp_path, text, "mmcif")
        assert (letters, notes["ligands left out"]) == (["MAM"], 2)


def test_seqres_tells_ligands_where_no_ter_does(tmp_path: Path) -> None:
    atoms = as_pdb(CHAIN + LIGANDS).replace("TER\n", "")
    for seqres in ("MET ALA MSE", "MET ALA MET", "MET ALA MSE GLY GLY"):
        letters, notes = read(tmp_path, f"SEQRES   1 A    3  {seqres}\n{atoms}", "pdb")
        assert (letters, notes["ligands left out"]) == (["MAM"], 2)
    # One GLU is declared: the one that follows on the chain is a residue, a second one is not.
    letters, notes = read(tmp_path, f"SEQRES   1 A    4  MET ALA MSE GLU\n{atoms}", "pdb")
    assert (letters, notes["ligands left out"]) == (["MAME"], 1)
    far = as_pdb(CHAIN + LIGANDS[1:]).replace("TER\n", "")
    assert read(tmp_path, f"SEQRES   1 A    5  MET ALA MSE LYS GLU\n{far}", "pdb")[0] == ["MAM"]


def test_where_a_pdb_file_says_nothing_a_residue_follows_by_its_number(tmp_path: Path) -> None:
    for number in (-2, 5, 301):
        atoms = as_pdb([*CHAIN, row(number, "GLU", "HETATM", polymer=False)]).replace("TER\n", "")
        letters, notes = read(tmp_path, atoms, "pdb", "x")
        assert (letters, notes["ligands left out"]) == (["MAM"], 1)


def test_a_ter_that_only_marks_a_break_does_not_end_the_chain(tmp_path: Path) -> None:
    ter, after = "TER\n", atom(9, "GLU", "A", 301, record="HETATM")
    first, second = atom(1, "MET", "A", 1), atom(2, "ALA", "A", 2) + atom(3, "MSE", "A", 3, record="HETATM")
    assert read(tmp_path, first + ter + second + ter + after, "pdb")[0] == ["MAM"]


def test_a_calcium_ion_is_no_residue(tmp_path: Path) -> None:
    ion = atom(4, "CA", "A", 2, record="HETATM")
    assert read(tmp_path, atom(1, "MET", "A", 1) + ion + atom(5, "LYS", "A", 3), "pdb")[0] == ["MK"]


@FORMATS
@pytest.mark.parametrize("record", ["ATOM", "HETATM"])
@pytest.mark.parametrize(
    ("name", "letter"), [("SEC", "U"), ("PYL", "O"), ("ASX", "B"), ("GLX", "Z"), ("UNK", "X"), ("QQ9", "X")]
)
@pytest.mark.parametrize("at", [1, 3, 5])
def test_rare_and_unknown_residues_keep_their_place(
    tmp_path: Path, kind: str, written, record: str, name: str, letter: str, at: int
) -> None:
    rows = [row(i, name, record) if i == at else row(i, "ALA") for i in range(1, 6)]
    letters, notes = read(tmp_path, written(rows), kind)
    assert letters == ["A" * (at - 1) + letter + "A" * (5 - at)]
    assert notes == ({"modified residues of unknown parent, read as X": 1} if name == "QQ9" else {})


SEQRES = (
    "SEQRES   1 B    3   DA  DC  DG\nSEQRES   1 C    2  UNK UNK\n"
    "SEQRES   1 A    8  MET SEC PYL ASX GLX UNK QQ9 MSE                              1ABC 100\n"
)
SCHEME = "data_1ABC\nloop_\n" + "".join(
    f"_pdbx_poly_seq_scheme.{key}\n" for key in ("asym_id", "seq_id", "mon_id", "pdb_strand_id")
)
for _asym, _strand, _names in (
    ("Q", "B", "DA DC DG"), ("R", "C", "UNK UNK"), ("S", "A", "MET SEC PYL ASX GLX UNK QQ9 MSE")
):  # fmt: skip
    SCHEME += "".join(f"{_asym} {i} {name} {_strand}\n" for i, name in enumerate(_names.split(), 1))


@pytest.mark.parametrize(("kind", "text"), [("pdb", SEQRES), ("mmcif", SCHEME + "#\n")])
def test_declared_chains_are_read_and_counted_as_observed_ones_are(tmp_path: Path, kind: str, text: str) -> None:
    letters, notes = read(tmp_path, text, kind, "seqres")
    assert letters == ["MUOBZXXM"]
    assert notes == {
        "chains without a residue": 2,
        "modified residues read as their parents": 1,
        "modified residues of unknown parent, read as X": 1,
    }


def test_observed_chains_of_unknown_residues_or_nucleotides_are_counted(tmp_path: Path) -> None:
    text = atom(1, "MET", "A", 1) + atom(2, "UNK", "B", 1) + atom(3, "DA", "C", 1).replace(" CA ", " P  ")
    letters, notes = read(tmp_path, text, "pdb")
    assert (letters, notes) == (["M"], {"chains without a residue": 2})


def test_of_declared_alternatives_one_is_taken(tmp_path: Path) -> None:
    letters, notes = read(tmp_path, SCHEME + "S 8 MET A\n#\n", "mmcif", "seqres")
    assert letters == ["MUOBZXXM"]
    assert notes["declared residues with an alternative, the first one taken"] == 1


@FORMATS
def test_the_name_of_a_chain_does_not_depend_on_the_policy(tmp_path: Path, kind: str, written) -> None:
    declared = SEQRES if kind == "pdb" else SCHEME + "#\n"
    text = declared + written(CHAIN).removeprefix("data_1ABC\n")
    for missing in ("skip", "x", "seqres"):
        (found,) = read_structure(opened(tmp_path / "1abc.txt", text), kind, missing)
        assert not isinstance(found, Reject)
        assert found.id == "1abc_A"


def test_a_line_of_atoms_that_is_cut_is_named(tmp_path: Path) -> None:
    text = PDB_TEXT.replace("MODEL        2\n", "")[: PDB_TEXT.index("ALA A   2") + 15]
    with pytest.raises(InputError, match="line 5"):
        read(tmp_path, text, "pdb")
    cut = as_mmcif(CHAIN).removesuffix(" 1\n#\n")
    with pytest.raises(InputError, match="cannot be read as mmcif"):
        read(tmp_path, cut, "mmcif")


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
