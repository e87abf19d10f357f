"""What each symbol of SMILES is to the grammar: its class, its bond order, and how many bonds an atom can have.

Valences are RDKit's for neutral atoms, the largest of each element; aromatic atoms have those of their element. Atoms
in brackets have no limit here: charge and hydrogens decide there. So a limit forbids nothing that RDKit writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domains.molecules.tokenizer import alphabet as symbols
from domains.molecules.tokenizer.alphabet import SmilesAlphabet

UNLIMITED = 100
ORDERS = {"-": (1, 1), "=": (2, 2), "#": (3, 3), "$": (4, 4), ":": (1, 1), "/": (1, 1), "\\": (1, 1), "~": (1, 1),
          "->": (0, 1), "<-": (1, 0)}  # fmt: skip
"""Valence that a bond takes of the atom before it and of the one behind it, at least; a dative bond takes none of its
donor's."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SymbolClasses:
    """Masks and numbers by id, all (V,)."""

    size: int
    atom: Mask
    """Whole atoms, without brackets or listed with them."""
    bond: Mask
    element: Mask
    """What may name the atom in a bracket."""
    digit: NDArray[np.int64]
    """0 to 9, -1 for anything else."""
    before: NDArray[np.int64]
    """Valence that a bond takes of the atom before it, 1 for what is no bond: two atoms side by side are bonded."""
    behind: NDArray[np.int64]
    """Of the one behind it."""
    valence: NDArray[np.int64]
    """Bonds that an atom can have, 0 for what is none."""
    direction: Mask
    """`/` and `\\`."""
    ids: dict[str, int]

    def mask(self, names: Iterable[str]) -> Mask:
        found = np.zeros(self.size, bool)
        found[[self.ids[name] for name in names]] = True
        return found


def classify(alphabet: SmilesAlphabet, size: int) -> SymbolClasses:
    """The classes of an alphabet's symbols among `size` ids."""
    from rdkit.Chem import GetPeriodicTable

    table = GetPeriodicTable()
    ids = {symbol: alphabet.first + i for i, symbol in enumerate(alphabet.symbols)}
    digit, valence = np.full(size, -1), np.zeros(size, np.int64)
    before, behind = np.ones(size, np.int64), np.ones(size, np.int64)
    for number, name in enumerate("0123456789"):
        digit[ids[name]] = number
    for name, taken in ORDERS.items():
        before[ids[name]], behind[ids[name]] = taken
    for name in symbols.ATOMS:
        allowed = [UNLIMITED] if name == symbols.ANY else list(table.GetValenceList(name.capitalize()))
        valence[ids[name]] = UNLIMITED if -1 in allowed else max(allowed)
    for name in alphabet.whole:
        valence[ids[name]] = UNLIMITED

    def mask(names: Iterable[str]) -> Mask:
        found = np.zeros(size, bool)
        found[[ids[name] for name in names]] = True
        return found

    turned, element = mask(("/", "\\")), mask(symbols.IN_BRACKETS)
    return SymbolClasses(size, valence > 0, mask(ORDERS), element, digit, before, behind, valence, turned, ids)
