"""Chains of PDB and mmCIF files as sequences: what was observed, or what the file says was in the crystal.

Biopython parses. Policies: the first model only; a modified residue is read as its parent (MSE as M); of two residues
at one place the one with the higher occupancy; missing residues by choice. Water, ligands and nucleic acids are no
residues and are left out; a chain without any residue is not a record, and is counted.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError
from core.rejects import Reject
from domains.formats.seq_record import make_record
from domains.formats.text import InputFile

if TYPE_CHECKING:
    from Bio.PDB.Chain import Chain

MISSING = ("skip", "x", "seqres")


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
    if missing == "seqres":
        found = list(_declared(file, kind, text))
    else:
        found = [(chain.id, _letters(chain, missing, file)) for chain in _chains(file, kind, text)]
    index = 0
    for chain_id, letters in found:
        if not letters:
            file.notes["chains without a residue"] += 1
            continue
        file.records = index + 1
        yield make_record(letters.encode("ascii"), f"{name}_{chain_id}", place=(str(file.path), None, None))
        index += 1
    if not index:
        raise file.damaged("it has no protein chain" if missing != "seqres" else "it declares no sequence (SEQRES)")


def _parsed(file: InputFile, kind: str, text: str) -> Any:
    from Bio import PDB

    parsers: Any = PDB
    parser = parsers.PDBParser(QUIET=True) if kind == "pdb" else parsers.MMCIFParser(QUIET=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return parser.get_structure(file.path.name, io.StringIO(text))
        except Exception as error:  # Biopython raises KeyError, ValueError, PDBConstructionException ...
            raise file.damaged(f"it cannot be read as {kind}: {' '.join(str(error).split())}") from error


def _chains(file: InputFile, kind: str, text: str) -> list[Chain]:
    models = list(_parsed(file, kind, text))
    if not models:
        raise file.damaged("it has no atoms", "Is it a coordinate file?")
    if len(models) > 1:
        file.notes["further models left out"] += len(models) - 1
    return list(models[0])


def _letters(chain: Chain, missing: str, file: InputFile) -> str:
    """One letter a residue that has coordinates."""
    from Bio.Data.PDBData import protein_letters_3to1_extended as one_letter

    letters: list[str] = []
    last: int | None = None
    for residue in chain:
        # Two residues at one place (a point mutation in part of the molecules) are told apart by occupancy.
        if residue.is_disordered() == 2:
            residue = max(residue.disordered_get_list(), key=_occupancy)
            file.notes["residues with an alternative, the more frequent one taken"] += 1
        name = residue.get_resname().strip()
        hetero, number, _ = residue.get_id()
        # Ligands and ions have names of their own or lack the CA atom of a backbone.
        letter = one_letter.get(name.ljust(3))
        if hetero.startswith("W") or letter is None or "CA" not in residue:
            continue
        if hetero.strip():
            file.notes["modified residues read as their parents"] += 1
        gap = 0 if last is None else max(0, number - last - 1)
        if gap:
            file.notes["residues missing inside chains"] += gap
            letters += ["X" * gap] if missing == "x" else []
        letters.append(letter)
        last = number
    return "".join(letters)


def _occupancy(residue: Any) -> float:
    return max((atom.get_occupancy() or 0.0 for atom in residue.get_unpacked_list()), default=0.0)


def _declared(file: InputFile, kind: str, text: str) -> Iterator[tuple[str, str]]:
    """(chain, letters) by SEQRES (PDB) or _pdbx_poly_seq_scheme (mmCIF)."""
    from Bio import SeqIO

    form = "pdb-seqres" if kind == "pdb" else "cif-seqres"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parse: Any = SeqIO.parse
            for record in parse(io.StringIO(text), form):
                chain = record.annotations.get("chain", record.id)
                letters = str(record.seq)
                if set(letters) - {"X"}:
                    yield chain, letters
        except Exception as error:  # as above
            raise file.damaged(f"its declared sequences cannot be read: {error}") from error
