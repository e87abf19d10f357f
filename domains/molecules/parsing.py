"""From any SMILES to RDKit's canonical one, or the reason why not; clean-up only where it is asked for by name.

RDKit reads more than it should: "" is a molecule without atoms, what stands behind white space is a name, characters
outside ASCII are dropped. All three are refused here. Canonical means a fixed point: RDKit's form is written, parsed
and written again until it stays the same [one in 10,000 of MOSES takes a second round].
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from functools import cache
from typing import TYPE_CHECKING, Any

from core.errors import RecordError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

CLEANING = ("salts", "neutralise", "stereo", "isotopes")
"""What may be asked for: keep the largest fragment only, neutralise charges, drop stereo marks, drop isotope labels."""
_ROUNDS = 4
_SHOWN = 60


@cache
def quiet() -> None:
    """RDKit prints a line for each molecule that it refuses; here they become rejects."""
    from rdkit import RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]


def parse(smiles: str, name: str = "") -> Mol:
    """The molecule of a SMILES. Raises RecordError with a reason code."""
    from rdkit import Chem

    quiet()
    shown = f"molecule '{name}'" if name else "a molecule"
    for wrong, reason, what in (
        (not smiles.strip(), "empty_smiles", "its SMILES is empty"),
        (not smiles.isascii(), "non_ascii", f"{smiles[:_SHOWN]!r} holds a character outside ASCII"),
        (any(c.isspace() for c in smiles), "white_space", f"white space in {smiles[:_SHOWN]!r}"),
    ):
        if wrong:
            raise RecordError(reason, f"{shown}: {what}", record=name)
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        reason, what = _why_not(smiles)
        raise RecordError(reason, f"{shown}: {what} ({smiles[:_SHOWN]})", record=name)
    if not mol.GetNumAtoms():
        raise RecordError("empty_smiles", f"{shown}: {smiles[:_SHOWN]!r} has no atoms", record=name)
    return mol


def canonical_smiles(smiles: str, name: str = "", cleaning: Many[str] = ()) -> str:
    """RDKit's canonical isomeric SMILES.

    Args:
        cleaning: what is done to the molecule first, of CLEANING.

    Raises RecordError with the reason: empty_smiles, non_ascii, white_space, syntax, valence, aromaticity, sanitize,
    unstable.
    """
    mol = parse(smiles, name)
    return _fixed_point(cleaned(mol, cleaning) if cleaning else mol, smiles, name)


def cleaned(mol: Mol, cleaning: Many[str]) -> Mol:
    """The molecule after the steps asked for, in the order of CLEANING."""
    from rdkit import Chem
    from rdkit.Chem.MolStandardize import rdMolStandardize

    if "salts" in cleaning:
        mol = rdMolStandardize.LargestFragmentChooser().choose(mol)
    if "neutralise" in cleaning:
        mol = rdMolStandardize.Uncharger().uncharge(mol)
    if "isotopes" in cleaning:
        mol = Chem.Mol(mol)
        for atom in mol.GetAtoms():
            atom.SetIsotope(0)
        mol = Chem.RemoveHs(mol)
    if "stereo" in cleaning:
        mol = Chem.Mol(mol)
        Chem.RemoveStereochemistry(mol)
    return mol


def mol_smiles(mol: Mol, name: str = "") -> str:
    """The canonical SMILES of a molecule that was read from another format. Raises RecordError."""
    from rdkit import Chem

    return _fixed_point(mol, Chem.MolToSmiles(mol), name)


def _fixed_point(mol: Mol, given: str, name: str) -> str:
    from rdkit import Chem

    before = given
    for _ in range(_ROUNDS):
        written = str(Chem.MolToSmiles(mol))
        if written == before:
            return written
        before, mol = written, Chem.MolFromSmiles(written)
        if mol is None:
            break
    message = f"molecule '{name}': RDKit writes {before[:_SHOWN]}, which it does not read back as the same"
    raise RecordError("unstable", message, record=name)


def _why_not(smiles: str) -> tuple[str, str]:
    """Reason code and words for a SMILES that RDKit refuses."""
    from rdkit import Chem

    raw = Chem.MolFromSmiles(smiles, sanitize=False)
    if raw is None:
        return "syntax", "no SMILES that can be read"
    problems: Any = Chem.DetectChemistryProblems(raw)
    for problem in problems:
        kind = problem.GetType()
        reason = {"AtomValenceException": "valence"}.get(kind, "aromaticity" if "Kekul" in kind else "sanitize")
        return reason, problem.Message()
    return "sanitize", "RDKit cannot make sense of it"
