"""Chains of PDB and mmCIF files as sequences: what was observed, or what the file says was in the crystal.

Policies: the first model only; one place, one residue, that with the higher occupancy; a modified residue is read as
its parent (MSE as M), the rarer ones as U O B Z J X, one that nobody knows as X; missing residues by choice. Water,
ligands and nucleic acids are no residues and are left out, a free amino acid too; a chain without any known residue is
not a record. What is left out or chosen is counted.

Atoms are read here, because Bio.PDB keeps HETATM and ATOM of one place apart, which makes two residues of a partial
selenomethionine, and knows neither TER nor entities; Biopython reads the mmCIF syntax and knows the residues' names.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError
from core.rejects import Reject
from domains.formats.seq_record import make_record
from domains.formats.text import InputFile

MISSING = ("skip", "x", "seqres")
WATER = frozenset({"HOH", "WAT", "DOD"})
_UNASSIGNED = (".", "?")
_X, _Y, _Z, _OCCUPANCY = slice(30, 38), slice(38, 46), slice(46, 54), slice(54, 60)
"""Columns of ATOM and HETATM (PDB format 3.30, Coordinate Section)."""


class Place(NamedTuple):
    """Where in a chain: the part of its file (a TER of the chain, or the end of the polymer, begins the next)."""

    part: int
    number: int
    insertion: str


class Atom(NamedTuple):
    """What a line of atoms says that matters for a sequence."""

    chain: str
    place: Place
    residue: str
    hetero: bool
    alpha: bool
    occupancy: float
    polymer: bool | None


@dataclass
class Residue:
    """One alternative at a place."""

    hetero: bool
    """Given as HETATM: modified, or no part of the polymer."""
    polymer: bool | None
    """None: the file does not say."""
    alpha: bool = False
    """Has the CA atom of a backbone."""
    occupancy: float = 0.0
    """The highest of its atoms."""


@dataclass
class Chain:
    """The places of a chain in the file's order, each with its alternatives by name."""

    places: dict[Place, dict[str, Residue]] = field(default_factory=dict)
    declared: list[str] | None = None
    """The names in SEQRES; None where there are none, or where atoms say themselves what they belong to (mmCIF)."""

    def add(self, atom: Atom) -> None:
        alternatives = self.places.setdefault(atom.place, {})
        residue = alternatives.setdefault(atom.residue, Residue(atom.hetero, atom.polymer))
        residue.alpha |= atom.alpha
        residue.occupancy = max(residue.occupancy, atom.occupancy)


def read_structure(file: InputFile, kind: str, missing: str = "skip") -> Iterator[SeqRecord | Reject]:
    """The protein chains of `file` as `NAME_CHAIN`, in the file's order.

    Args:
        kind: "pdb" or "mmcif".
        missing: residues without coordinates inside a chain. "skip": left out and counted; "x": one X each, by the
            residues' numbers; "seqres": the sequence that the file declares for the chain, whole, missing or not.

    Raises ConfigError for another policy, InputError for a file that cannot be parsed.
    """
    if missing not in MISSING:
        raise ConfigError(f"data.missing={missing!r}: expected one of {', '.join(MISSING)}")
    text = "".join(file.text(block) for block in file.blocks())
    name = file.path.name.removesuffix(".gz").rpartition(".")[0] or file.path.name
    index = 0
    for chain, letters, notes in _found(file, kind, text, missing):
        # A nucleic acid that is declared has names that no residue has: it reads as X only.
        if not set(letters) - {"X"}:
            file.notes["chains without a residue"] += 1
            continue
        file.notes.update(notes)
        file.records = index + 1
        yield make_record(letters.encode("ascii"), f"{name}_{chain}", place=(str(file.path), None, None))
        index += 1
    if not index:
        raise file.damaged("it has no protein chain" if missing != "seqres" else "it declares no sequence (SEQRES)")


def _found(file: InputFile, kind: str, text: str, missing: str) -> Iterator[tuple[str, str, Counter[str]]]:
    """(chain, letters, what to note if the chain becomes a record)."""
    if missing == "seqres":
        for chain_id, names in _declared(file, kind, text):
            notes: Counter[str] = Counter()
            yield chain_id, "".join(_letter(name, notes) for name in names), notes
        return
    for chain_id, chain in _chains(file, kind, text).items():
        notes = Counter()
        yield chain_id, _letters(chain, missing, notes, file), notes


def _letters(chain: Chain, missing: str, notes: Counter[str], file: InputFile) -> str:
    """One letter a residue that has coordinates."""
    letters: list[str] = []
    last: int | None = None
    for place, alternatives in _polymer(chain, file):
        residues = {name: residue for name, residue in alternatives.items() if residue.alpha}
        if not residues:  # caps and nucleotides
            continue
        # A point mutation or a modification in part of the molecules is told apart by occupancy.
        name = max(residues, key=lambda name: residues[name].occupancy)
        if len(residues) > 1:
            notes["residues with an alternative, the more frequent one taken"] += 1
        gap = 0 if last is None else max(0, place.number - last - 1)
        if gap:
            notes["residues missing inside chains"] += gap
            letters += ["X" * gap] if missing == "x" else []
        letters.append(_letter(name, notes))
        last = place.number
    return "".join(letters)


def _polymer(chain: Chain, file: InputFile) -> Iterator[tuple[Place, dict[str, Residue]]]:
    """The places of `chain` that belong to its polymer; counts the ligands, which do not.

    mmCIF says it of each atom. In PDB, ATOM belongs, and HETATM neither after TER nor where SEQRES has no such residue
    left. Where the file leaves it open, HETATM belongs that stands before an ATOM, whose number follows on the
    residues' (as far as SEQRES has residues for the gap), or that is a modified residue of a known parent.
    """
    unmet = None if chain.declared is None else Counter(map(_kind, chain.declared))
    last_atom = max((i for i, found in enumerate(chain.places.values()) if not _hetero(found)), default=-1)
    last: int | None = None
    plain, parents = _names()
    for i, (place, alternatives) in enumerate(chain.places.items()):
        reach = 0 if unmet is None else unmet.total()
        follows = unmet is not None if last is None else -1 <= place.number - last - 1 <= reach
        modified = unmet is None and all(name not in plain and name.ljust(3) in parents for name in alternatives)
        if _belongs(alternatives, unmet, follows or modified or i < last_atom):
            last = place.number
            yield place, alternatives
        elif not WATER.issuperset(alternatives):
            file.notes["ligands left out"] += 1


def _belongs(alternatives: Mapping[str, Residue], unmet: Counter[str] | None, follows: bool) -> bool:
    """Whether a place is of the polymer; one that is takes its residue out of `unmet`, the declared rest."""
    said = {residue.polymer for residue in alternatives.values()}
    if False in said:
        return False
    kind = next((kind for kind in map(_kind, alternatives) if unmet and unmet[kind] > 0), None)
    if _hetero(alternatives) and (not (follows or True in said) or (unmet is not None and kind is None)):
        return False
    if unmet and kind:
        unmet[kind] -= 1
    return True


def _hetero(alternatives: Mapping[str, Residue]) -> bool:
    return all(residue.hetero for residue in alternatives.values())


def _letter(name: str, notes: Counter[str]) -> str:
    """The letter of a residue's name, X for one that nobody knows; counts what is not read as itself."""
    plain, parents = _names()
    if name in plain:
        return plain[name]
    known = name.ljust(3) in parents
    notes[f"modified residues {'read as their parents' if known else 'of unknown parent, read as X'}"] += 1
    return parents[name.ljust(3)] if known else "X"


def _kind(name: str) -> str:
    """What SEQRES and atoms are compared by: the letter, so that MSE is a declared MET, or the name of unknown ones."""
    plain, parents = _names()
    return plain.get(name) or parents.get(name.ljust(3)) or name


@cache
def _names() -> tuple[dict[str, str], dict[str, str]]:
    """Residues with letters of their own (the twenty, B Z X U O J), and modified ones with their parents' letters."""
    from Bio.Data.IUPACData import protein_letters_3to1_extended as plain
    from Bio.Data.PDBData import protein_letters_3to1_extended as parents

    return {name.upper(): letter for name, letter in plain.items()} | {"UNK": "X"}, parents


def _chains(file: InputFile, kind: str, text: str) -> dict[str, Chain]:
    """The chains of the first model. Raises InputError for a file without atoms, or whose atoms cannot be read."""
    chains = _pdb_chains(file, text) if kind == "pdb" else _mmcif_chains(file, text)
    if not chains:
        raise file.damaged("it has no atoms", "Is it a coordinate file?")
    return chains


def _pdb_chains(file: InputFile, text: str) -> dict[str, Chain]:
    chains: dict[str, Chain] = {}
    ends: Counter[str] = Counter()
    models, within, chain = 0, False, ""
    for number, line in enumerate(text.splitlines(), 1):
        record = line[:6].rstrip()
        if record in ("MODEL", "ENDMDL"):
            within = False
        elif record == "TER" and models == 1 and within:
            ends[chain] += 1
        elif record in ("ATOM", "HETATM"):
            models, within = models + (not within), True
            if models > 1:
                continue
            try:
                atom = _pdb_atom(line, ends)
            except (ValueError, IndexError) as error:
                raise file.damaged(f"it cannot be read as pdb: line {number}: {error}") from error
            chain = atom.chain
            chains.setdefault(chain, Chain()).add(atom)
    if models > 1:
        file.notes["further models left out"] += models - 1
    declared = _pdb_declared(text)
    for chain, found in chains.items():
        found.declared = declared.get(chain)
        _end(found, ends[chain])
    return chains


def _pdb_atom(line: str, ends: Mapping[str, int]) -> Atom:
    """Raises ValueError or IndexError for a line without a number or coordinates."""
    chain, residue = line[21], line[17:20].strip()
    for column in (_X, _Y, _Z):
        float(line[column])
    place = Place(ends[chain], int(line[22:26]), line[26])
    atom, element = line[12:16], line[76:78].strip()
    # An element of one letter begins in the second column, calcium in the first: some files call both CA.
    alpha = _is_alpha(atom.strip(), residue, "C" if atom == " CA " and residue != "CA" else element)
    return Atom(chain, place, residue, line.startswith("HETATM"), alpha, _occupancy(line[_OCCUPANCY]), None)


def _end(chain: Chain, ends: int) -> None:
    """Says of each place whether it is of the polymer, which ends with the first TER after its last ATOM.

    A TER before is a break that some programs mark. Where no TER ends the chain, nothing is said.
    """
    last = max((place.part for place, found in chain.places.items() if not _hetero(found)), default=0)
    if ends <= last:
        return
    for place, alternatives in chain.places.items():
        for residue in alternatives.values():
            residue.polymer = place.part <= last


def _is_alpha(atom: str, residue: str, element: str) -> bool:
    """Whether it is the alpha carbon, not a calcium of the same name."""
    return atom == "CA" and residue != "CA" and element.upper() != "CA"


def _occupancy(text: str) -> float:
    """0 where none is given."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def _mmcif_chains(file: InputFile, text: str) -> dict[str, Chain]:
    """Chains by the author's names and numbers, as PDB has them."""
    table = _mmcif(file, text)
    chains: dict[str, Chain] = {}
    models = table.get("_atom_site.pdbx_PDB_model_num", [])
    if len(set(models)) > 1:
        file.notes["further models left out"] += len(set(models)) - 1
    try:
        for i, atom in enumerate(_mmcif_atoms(table)):
            if not models or models[i] == models[0]:
                chains.setdefault(atom.chain, Chain()).add(atom)
    except (KeyError, ValueError, IndexError) as error:
        raise file.damaged(f"it cannot be read as mmcif: {' '.join(str(error).split())}") from error
    return chains


def _mmcif_atoms(table: Mapping[str, list[str]]) -> Iterator[Atom]:
    """Raises KeyError for a column that is lacking, ValueError for ragged columns or what is no number."""
    rows = len(table.get("_atom_site.id", ()))

    def column(name: str, default: list[str] | None = None) -> list[str]:
        return table[f"_atom_site.{name}"] if default is None else table.get(f"_atom_site.{name}", default)

    none = ["?"] * rows
    label_numbers = column("label_seq_id", none)
    types = dict(zip(table.get("_entity.id", ()), table.get("_entity.type", ()), strict=True))
    polymers = _of_polymers(label_numbers, [types.get(entity) for entity in column("label_entity_id", none)])
    groups, elements = column("group_PDB", ["ATOM"] * rows), column("type_symbol", none)
    for chain, auth, label, insertion, residue, name, group, element, occupancy, polymer, *position in zip(
        column("auth_asym_id", table.get("_atom_site.label_asym_id")),
        column("auth_seq_id", none), label_numbers, column("pdbx_PDB_ins_code", none), column("label_comp_id"),
        column("label_atom_id"), groups, elements, column("occupancy", none), polymers,
        *(column(f"Cartn_{axis}") for axis in "xyz"),
        strict=True,
    ):  # fmt: skip
        for coordinate in position:
            float(coordinate)
        number = label if auth in _UNASSIGNED else auth
        if number in _UNASSIGNED and polymer is not True:
            number, polymer = "0", False
        place = Place(int(polymer is False), int(number), " " if insertion in _UNASSIGNED else insertion)
        alpha = _is_alpha(name, residue, element)
        yield Atom(chain, place, residue, group == "HETATM", alpha, _occupancy(occupancy), polymer)


def _of_polymers(label_numbers: Collection[str], types: Collection[str | None]) -> Iterator[bool | None]:
    """Whether each atom is of a polymer, by its entity and by `label_seq_id`, which only residues of polymers have.

    Programs that fill `label_seq_id` for all atoms or for none say nothing with it.
    """
    tells = len({number in _UNASSIGNED for number in label_numbers}) == 2
    for number, kind in zip(label_numbers, types, strict=True):
        if kind not in (None, "polymer", *_UNASSIGNED) or (tells and number in _UNASSIGNED):
            yield False
        else:
            yield True if tells or kind == "polymer" else None


def _mmcif(file: InputFile, text: str) -> dict[str, list[str]]:
    from Bio.PDB import MMCIF2Dict

    parse: Any = MMCIF2Dict.MMCIF2Dict
    try:
        return dict(parse(io.StringIO(text)))
    except Exception as error:  # ValueError, and KeyError or ZeroDivisionError for loops that are no loops
        raise file.damaged(f"it cannot be read as mmcif: {' '.join(str(error).split())}") from error


def _declared(file: InputFile, kind: str, text: str) -> list[tuple[str, list[str]]]:
    """(chain, its residues' names) by SEQRES (PDB) or _pdbx_poly_seq_scheme (mmCIF), in the file's order."""
    return list(_pdb_declared(text).items()) if kind == "pdb" else _mmcif_declared(file, text)


def _pdb_declared(text: str) -> dict[str, list[str]]:
    chains: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("SEQRES"):
            chains.setdefault(line[11:12], []).extend(line[19:70].split())
    return chains


def _mmcif_declared(file: InputFile, text: str) -> list[tuple[str, list[str]]]:
    """Chains by the author's names; of alternatives at one place the first, as no occupancy is declared."""
    table = _mmcif(file, text)
    asyms, numbers, names = (table.get(f"_pdbx_poly_seq_scheme.{key}", []) for key in ("asym_id", "seq_id", "mon_id"))
    strands = table.get("_pdbx_poly_seq_scheme.pdb_strand_id", asyms)
    chains: dict[tuple[str, str], dict[str, str]] = {}
    try:
        for asym, strand, number, name in zip(asyms, strands, numbers, names, strict=True):
            places = chains.setdefault((asym, strand), {})
            if places.setdefault(number, name) != name:
                file.notes["declared residues with an alternative, the first one taken"] += 1
    except ValueError as error:
        raise file.damaged(f"its declared sequences cannot be read: {error}") from error
    return [(strand, list(places.values())) for (_, strand), places in chains.items()]
