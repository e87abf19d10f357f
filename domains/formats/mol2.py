"""Tripos MOL2: records cut at `@<TRIPOS>MOLECULE`. Nothing is parsed here."""

from __future__ import annotations

from collections.abc import Iterator

from core.rejects import Reject
from domains.formats.smiles_table import MoleculeText, stem_of
from domains.formats.text import InputFile

_MOLECULE, _ATOMS = "@<TRIPOS>MOLECULE", "@<TRIPOS>ATOM"


def read_mol2(file: InputFile) -> Iterator[MoleculeText | Reject]:
    """Every record; one without atoms is a Reject ("cut_short"). What stands before the first is no record.

    Raises InputError for damage to the container.
    """
    index, began = 0, 1
    block: list[str] = []
    for number, raw in enumerate(file.lines(), 1):
        text = file.text(raw)
        if text.startswith(_MOLECULE):
            if block:
                yield _molecule(file, block, index, began)
                index += 1
                file.records = index
            block, began = [text], number
        elif block:
            block.append(text)
    if block:
        yield _molecule(file, block, index, began)
        index += 1
        file.records = index
    if index == 0:
        raise file.damaged("it holds no molecule", f"Records of MOL2 begin with {_MOLECULE}.")


def _molecule(file: InputFile, block: list[str], index: int, line: int) -> MoleculeText | Reject:
    name = (block[1].strip() if len(block) > 1 else "") or f"{stem_of(file.path)}_{index + 1}"
    place = (str(file.path), line, None)
    if not any(text.startswith(_ATOMS) for text in block):
        message = f"'{name}' (line {line:,}): it has no {_ATOMS}"
        return Reject(str(file.path), index, name, line, None, "cut_short", message)
    return MoleculeText("\n".join(block) + "\n", name, "mol2", place=place, index=index)
