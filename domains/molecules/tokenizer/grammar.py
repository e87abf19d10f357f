"""The automaton of SMILES: brackets, ring labels, branches, bonds and valences. Rows are numbers, so all move at once.

What it allows can be read as a SMILES: every bracket and branch is closed, every ring label is paired, no atom is
bonded to itself or twice to another, and atoms without brackets keep their valence. Whether aromatic rings can be drawn
with double bonds is not decided here. Ring labels are 0 to 99.

With `max_length` a row closes what is open while there is room: it returns from branches, then pairs open labels with
single carbons (`.C1`), then ends. `cost` counts the tokens that this takes; no other token raises it by more than 7.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from core.vocabulary import EOS
from domains.molecules.tokenizer import alphabet as symbols
from domains.molecules.tokenizer.alphabet import SmilesAlphabet
from domains.molecules.tokenizer.conditions import Condition
from domains.molecules.tokenizer.symbol_classes import UNLIMITED, classify

if TYPE_CHECKING:
    from torch import Tensor

LABELS = 100
MARGIN = 8
"""Tokens that must be left beyond the cost for a row to go on freely."""
_NONE = -1

(
    START, BRANCH, BOND, RING_BOND, ATOM, RING, CLOSED, PERCENT, PERCENT_DIGIT, IN_BRACKET, ISOTOPE, ELEMENT, CLASS,
    CLASS_DIGIT, CHIRALITY, HYDROGENS, HYDROGEN_DIGIT, CHARGE, CHARGE_DIGIT, CHARGE_END, LABEL, LABEL_DIGIT, PREFIX,
) = range(23)  # fmt: skip
"""Where a row stands: at the start or behind a dot; behind `(`; behind a bond that an atom must follow; behind one that
a ring label may follow; behind an atom, a ring label, `)`; in `%nn`; in a bracket; before the conditions are said."""
_DONE = (ATOM, RING, CLOSED)
_EXTRA = np.zeros(23, np.int64)
_EXTRA[[START, BRANCH, BOND, RING_BOND]] = 1
_EXTRA[PERCENT], _EXTRA[PERCENT_DIGIT] = 7, 6
_EXTRA[[IN_BRACKET, ISOTOPE, CLASS, LABEL]] = 2
_EXTRA[[ELEMENT, CLASS_DIGIT, CHIRALITY, HYDROGENS, HYDROGEN_DIGIT, CHARGE, CHARGE_DIGIT, CHARGE_END, LABEL_DIGIT]] = 1
_LABEL_COST = np.where(np.arange(LABELS) < 10, 3, 5)
"""`.C1` or `.C%10`."""
_CLASS_MOST = {"@TH": 2, "@AL": 2, "@SP": 3, "@TB": 20, "@OH": 30}

Ints = NDArray[np.int64]


@dataclass
class SmilesState:
    """B rows; arrays of atoms and branches grow with the longest of them."""

    phase: Ints
    length: Ints
    """Tokens so far."""
    atoms: Ints
    current: Ints
    """The atom that the next bond starts at."""
    pending: Ints
    """The id of the bond that waits for its second atom, -1 for none."""
    number: Ints
    """A number that is being written: digits so far, or the tens of `%nn`."""
    kind: Ints
    """The id of a chirality class."""
    room: Ints
    """(B, A) bonds that each atom has left."""
    depth: Ints
    stack: Ints
    """(B, D) atoms that branches return to."""
    ring_atom: Ints
    """(B, 100) the atom that opened each label, -1 where it is free."""
    ring_bond: Ints
    """(B, 100) the id of the bond it was opened with, -1 for none."""
    bonded: NDArray[np.bool_]
    """(B, 100) labels whose atom is bonded to the current one already."""

    first: int
    """The phase of a row that has just begun."""

    def _arrays(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "first"}

    def select(self, rows: Tensor) -> Self:
        index = rows.cpu().numpy()
        return type(self)(**{name: array[index] for name, array in self._arrays().items()}, first=self.first)

    def reset(self, rows: Tensor) -> Self:
        made, index = self.clone(), rows.cpu().numpy()
        for name, array in made._arrays().items():
            array[index] = self.first if name == "phase" else _NONE if name in _BLANK else 0
        return made

    def clone(self) -> Self:
        return type(self)(**{name: array.copy() for name, array in self._arrays().items()}, first=self.first)


def _taken(valences: Ints, bond: Ints) -> Ints:
    """By the id of a bond, 1 where none is written."""
    return np.where(bond >= 0, valences[bond], 1)


_BLANK = ("pending", "ring_atom", "ring_bond")
"""Where -1 stands for nothing."""


class SmilesGrammar:
    """The automaton of an alphabet.

    Args:
        size: V, how many ids there are.
        conditions: whose symbols stand before a molecule.
        max_length: tokens at most, those of conditions among them; None for no limit.
    """

    def __init__(
        self, alphabet: SmilesAlphabet, size: int, conditions: Many[Condition] = (), *, max_length: int | None = None
    ) -> None:
        self.classes = made = classify(alphabet, size)
        self.max_length = max_length
        ids = made.ids
        self._id = {name: ids[name] for name in (symbols.DOT, symbols.OPEN, symbols.CLOSE, symbols.PERCENT)}
        self._id |= {
            name: ids[name] for name in (symbols.BRACKET, symbols.END, symbols.HYDROGENS, symbols.PLUS, "-", ":")
        }
        self._chiral = made.mask(symbols.CHIRAL)
        self._class = made.mask(symbols.CHIRAL_CLASSES)
        self._digits = np.array([ids[name] for name in "0123456789"])
        self._most = np.zeros(size, np.int64)
        for name, most in _CLASS_MOST.items():
            self._most[ids[name]] = most
        self._carbon, self._hydrogen = ids["C"], ids[symbols.HYDROGEN_ATOM]
        first = alphabet.first + len(alphabet.symbols)
        self._conditions = []
        for condition in conditions:
            self._conditions.append(np.arange(first, first + len(condition.symbols)))
            first += len(condition.symbols)

    def start(self, batch: int) -> SmilesState:
        def blank(*shape: int, value: int = 0) -> Ints:
            return np.full((batch, *shape), value, np.int64)

        first = PREFIX if self._conditions else START
        return SmilesState(
            blank(value=first), blank(), blank(), blank(), blank(value=_NONE), blank(), blank(), blank(1), blank(),
            blank(1), blank(LABELS, value=_NONE), blank(LABELS, value=_NONE), np.zeros((batch, LABELS), bool), first,
        )  # fmt: skip

    def cost(self, state: SmilesState) -> Ints:
        """(B,) tokens that end each row, EOS among them."""
        labels = ((state.ring_atom >= 0) * _LABEL_COST).sum(axis=1)
        cost: Ints = 1 + state.depth + labels + _EXTRA[state.phase]
        return cost

    def allowed(self, state: SmilesState) -> Tensor:
        import torch

        made, phase = self.classes, state.phase
        rows = np.arange(len(phase))
        mask = np.zeros((len(phase), made.size), bool)
        room = state.room[rows, state.current]
        order = _taken(made.behind, state.pending)
        opens, closes = self._labels(state, room)
        ending = np.zeros(len(phase), bool)
        if self.max_length is not None:
            ending = self.max_length - state.length < self.cost(state) + MARGIN

        done, fresh = np.isin(phase, _DONE), phase == START
        after_bond = np.isin(phase, (BOND, RING_BOND))
        linked = (done & (room >= 1)) | (phase == BRANCH) | after_bond  # another atom may be bonded to the current one
        mask |= made.atom & (fresh | linked)[:, None] & (made.valence >= np.where(fresh, 0, order)[:, None])
        mask[:, self._id[symbols.BRACKET]] |= fresh | linked
        mask |= made.bond & (done | (phase == BRANCH))[:, None] & (made.before <= room[:, None])
        mask[:, self._id[symbols.OPEN]] |= done & (room >= 1)
        mask[:, self._id[symbols.CLOSE]] |= done & (state.depth > 0)
        flat = done & (state.depth == 0)
        mask[:, self._id[symbols.DOT]] |= flat
        mask[:, EOS] = flat & (state.ring_atom < 0).all(axis=1)
        ringed = np.isin(phase, (ATOM, RING, RING_BOND))[:, None]
        labels = (opens | closes) & ringed
        mask[:, self._digits] |= labels[:, :10]
        mask[:, self._id[symbols.PERCENT]] |= labels[:, 10:].any(axis=1)
        self._allow_numbers(mask, state, opens | closes)
        self._allow_in_brackets(mask, state)
        if ending.any():
            mask[ending] &= self._ways_out(state, closes & ringed)[ending]
        for number, allowed in enumerate(self._conditions):
            mask[np.ix_((phase == PREFIX) & (state.number == number), allowed)] = True
        return torch.from_numpy(mask)

    def _labels(self, state: SmilesState, room: Ints) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(B, 100) labels that the current atom may open, and that it may close."""
        made, other = self.classes, state.ring_atom
        bond, opened = state.pending[:, None], state.ring_bond
        opens = (other < 0) & (room[:, None] >= np.maximum(_taken(made.before, bond), 1))
        turned = made.direction[bond] & made.direction[opened]
        agree = (bond < 0) | (opened < 0) | (bond == opened) | turned
        mine, more = self._closing(bond, opened)
        left = np.take_along_axis(state.room, np.maximum(other, 0), axis=1)
        fits = (room[:, None] >= mine) & (left >= more)
        closes = (other >= 0) & (other != state.current[:, None]) & ~state.bonded & agree & fits
        return opens, closes

    def _closing(self, bond: Ints, opened: Ints) -> tuple[Ints, Ints]:
        """What the bond of a label takes of the atom that closes it, and more of the one that opened it than it has
        taken already; by the ids of the bonds that stand at both ends.
        """
        made, said = self.classes, opened >= 0
        here = np.where(said, _taken(made.behind, opened), _taken(made.before, bond))
        there = np.where(said, _taken(made.before, opened), _taken(made.behind, bond))
        return here, there - _taken(made.before, opened)

    def _allow_numbers(self, mask: NDArray[np.bool_], state: SmilesState, labels: NDArray[np.bool_]) -> None:
        """The two digits behind `%`."""
        tens = labels[:, 10:].reshape(len(mask), 9, 10)
        first = state.phase == PERCENT
        mask[:, self._digits[1:]] |= tens.any(axis=2) & first[:, None]
        second = np.flatnonzero(state.phase == PERCENT_DIGIT)
        mask[np.ix_(second, self._digits)] |= tens[second, np.maximum(state.number[second], 1) - 1]

    def _allow_in_brackets(self, mask: NDArray[np.bool_], state: SmilesState) -> None:
        made, phase, number, digits = self.classes, state.phase, state.number, self._digits

        def at(*phases: int) -> NDArray[np.bool_]:
            return np.isin(phase, phases)[:, None]

        mask |= made.element & at(IN_BRACKET, ISOTOPE)
        mask |= (self._chiral | self._class) & at(ELEMENT)
        begins = at(IN_BRACKET, CLASS, HYDROGENS, CHARGE, LABEL)
        most = self._most[state.kind][:, None]
        mask[:, digits[1:]] |= begins & (~at(CLASS) | (np.arange(1, 10) <= most))
        goes_on = (at(ISOTOPE) & (number < 100)[:, None]) | (at(LABEL_DIGIT) & (number < 1000)[:, None])
        goes_on = goes_on | (at(CHARGE_DIGIT) & (number < 2)[:, None])
        mask[:, digits] |= goes_on | (at(CLASS_DIGIT) & (10 * number[:, None] + np.arange(10) <= most))
        before_hydrogens = at(ELEMENT, CHIRALITY, CLASS_DIGIT)
        before_charge = before_hydrogens | at(HYDROGENS, HYDROGEN_DIGIT)
        before_label = before_charge | at(CHARGE, CHARGE_DIGIT, CHARGE_END)
        mask[:, [self._id[symbols.HYDROGENS]]] |= before_hydrogens
        mask[:, [self._id[symbols.PLUS], self._id["-"]]] |= before_charge
        mask[:, [self._id[":"]]] |= before_label
        mask[:, [self._id[symbols.END]]] |= before_label | at(LABEL_DIGIT)

    def _ways_out(self, state: SmilesState, closes: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(B, V) what brings each row nearer to its end."""
        made, phase = self.classes, state.phase
        out = np.zeros((len(phase), made.size), bool)
        done = np.isin(phase, _DONE)
        out[phase == START, self._carbon] = True
        out |= made.atom & np.isin(phase, (BRANCH, BOND, RING_BOND))[:, None]
        out |= made.element & np.isin(phase, (IN_BRACKET, ISOTOPE))[:, None]
        out[:, self._digits] |= np.isin(phase, (PERCENT, PERCENT_DIGIT, CLASS, LABEL))[:, None]
        out[:, self._id[symbols.END]] |= ~np.isin(phase, (IN_BRACKET, ISOTOPE, CLASS, LABEL)) & (phase >= IN_BRACKET)
        out[:, self._id[symbols.CLOSE]] |= done
        flat = done & (state.depth == 0)
        here = flat & closes.any(axis=1)
        single = flat[:, None] & closes[:, :10]
        out[:, self._digits] |= single
        out[:, self._id[symbols.PERCENT]] |= here & ~single.any(axis=1)
        out[:, self._id[symbols.DOT]] |= flat & ~here & (state.ring_atom >= 0).any(axis=1)
        out[:, EOS] |= flat
        paired = np.isin(phase, (PERCENT, PERCENT_DIGIT))
        if paired.any():
            _, closable = self._labels(state, state.room[np.arange(len(phase)), state.current])
            tens = closable[:, 10:].reshape(len(phase), 9, 10)
            some = np.flatnonzero((phase == PERCENT) & tens.any(axis=(1, 2)))
            out[np.ix_(some, self._digits[1:])] = tens[some].any(axis=2)
            ones = tens[np.arange(len(phase)), np.clip(state.number, 1, 9) - 1]
            some = np.flatnonzero((phase == PERCENT_DIGIT) & ones.any(axis=1))
            out[np.ix_(some, self._digits)] = ones[some]
        return out

    def advance(self, state: SmilesState, tokens: Tensor) -> SmilesState:
        made, new = self.classes, state.clone()
        taken, phase = tokens.cpu().numpy(), state.phase
        new.length += 1
        digit = made.digit[taken]
        bracket = phase >= IN_BRACKET
        outside = ~bracket

        prefix = phase == PREFIX
        new.number[prefix] += 1
        begun = prefix & (new.number == len(self._conditions))
        new.phase[begun], new.number[begun] = START, 0
        bracket &= ~prefix

        bond = outside & made.bond[taken]
        new.pending[bond] = taken[bond]
        new.phase[bond] = np.where(np.isin(phase[bond], (ATOM, RING)), RING_BOND, BOND)
        opened = outside & (taken == self._id[symbols.BRACKET])
        new.phase[opened] = IN_BRACKET
        whole = outside & made.atom[taken]
        self._add_atoms(new, np.flatnonzero(whole), made.valence[taken[whole]])
        self._move_branches(new, outside, taken)
        dots = outside & (taken == self._id[symbols.DOT])
        new.phase[dots], new.pending[dots] = START, _NONE
        new.current[dots] = _NONE
        self._move_labels(new, outside, taken, digit)
        self._move_brackets(new, bracket, phase, taken, digit)
        return new

    def _move_branches(self, new: SmilesState, outside: NDArray[np.bool_], taken: Ints) -> None:
        rows = np.flatnonzero(outside & (taken == self._id[symbols.OPEN]))
        if len(rows):
            if new.depth[rows].max() >= new.stack.shape[1]:
                new.stack = np.concatenate([new.stack, np.zeros_like(new.stack)], axis=1)
            new.stack[rows, new.depth[rows]] = new.current[rows]
            new.depth[rows] += 1
            new.phase[rows] = BRANCH
        rows = np.flatnonzero(outside & (taken == self._id[symbols.CLOSE]))
        new.depth[rows] -= 1
        new.current[rows] = new.stack[rows, new.depth[rows]]
        new.phase[rows] = CLOSED

    def _move_labels(self, new: SmilesState, outside: NDArray[np.bool_], taken: Ints, digit: Ints) -> None:
        second = outside & (new.phase == PERCENT_DIGIT) & (digit >= 0)
        first = outside & (new.phase == PERCENT) & (digit >= 0)
        single = outside & np.isin(new.phase, (ATOM, RING, RING_BOND)) & (digit >= 0)
        label = np.where(second, 10 * new.number + digit, digit)
        new.number[first], new.phase[first] = digit[first], PERCENT_DIGIT
        new.phase[outside & (taken == self._id[symbols.PERCENT])] = PERCENT
        rows = np.flatnonzero(single | second)
        if not len(rows):
            return
        at = label[rows]
        other, bond, opened = new.ring_atom[rows, at], new.pending[rows], new.ring_bond[rows, at]
        closing = other >= 0
        mine, more = self._closing(bond, opened)
        new.room[rows, new.current[rows]] -= np.where(closing, mine, _taken(self.classes.before, bond))
        pairs = rows[closing]
        new.room[pairs, other[closing]] -= more[closing]
        new.bonded[pairs] |= new.ring_atom[pairs] == other[closing][:, None]
        new.ring_atom[rows, at] = np.where(closing, _NONE, new.current[rows])
        new.ring_bond[rows, at] = np.where(closing, _NONE, bond)
        new.pending[rows], new.phase[rows], new.number[rows] = _NONE, RING, 0

    def _move_brackets(
        self, new: SmilesState, bracket: NDArray[np.bool_], phase: Ints, taken: Ints, digit: Ints
    ) -> None:
        if not bracket.any():
            return
        made, number = self.classes, digit >= 0

        def move(rows: NDArray[np.bool_], to: int) -> None:
            new.phase[bracket & rows] = to

        counted = bracket & number
        written = np.isin(phase, (ISOTOPE, LABEL_DIGIT, CLASS_DIGIT))
        new.number[counted] = np.where(written, 10 * new.number + digit, digit)[counted]
        move(number & np.isin(phase, (IN_BRACKET, ISOTOPE)), ISOTOPE)
        move(made.element[taken] & np.isin(phase, (IN_BRACKET, ISOTOPE)), ELEMENT)
        move(taken == self._hydrogen, HYDROGEN_DIGIT)  # a hydrogen has no hydrogens and no chirality
        move(self._chiral[taken], CHIRALITY)
        move(self._class[taken], CLASS)
        new.kind[bracket & self._class[taken]] = taken[bracket & self._class[taken]]
        move(number & np.isin(phase, (CLASS, CLASS_DIGIT)), CLASS_DIGIT)
        move(taken == self._id[symbols.HYDROGENS], HYDROGENS)
        move(number & (phase == HYDROGENS), HYDROGEN_DIGIT)
        move((taken == self._id[symbols.PLUS]) | ((taken == self._id["-"]) & ~np.isin(phase, (LABEL,))), CHARGE)
        move(number & (phase == CHARGE), CHARGE_DIGIT)
        move(number & (phase == CHARGE_DIGIT), CHARGE_END)
        move(taken == self._id[":"], LABEL)
        move(number & np.isin(phase, (LABEL, LABEL_DIGIT)), LABEL_DIGIT)
        ended = np.flatnonzero(bracket & (taken == self._id[symbols.END]))
        new.number[ended] = 0
        self._add_atoms(new, ended, np.full(len(ended), UNLIMITED))

    def _add_atoms(self, new: SmilesState, rows: Ints, valence: Ints) -> None:
        """Each row's next atom, bonded to the current one where there is one."""
        if not len(rows):
            return
        if new.atoms[rows].max() >= new.room.shape[1]:
            new.room = np.concatenate([new.room, np.zeros_like(new.room)], axis=1)
        made, parent, bond = new.atoms[rows], new.current[rows], new.pending[rows]
        linked = (parent >= 0) & (made > 0)
        new.room[rows[linked], parent[linked]] -= _taken(self.classes.before, bond)[linked]
        new.room[rows, made] = valence - np.where(linked, _taken(self.classes.behind, bond), 0)
        new.bonded[rows] = linked[:, None] & (new.ring_atom[rows] == parent[:, None]) & (parent >= 0)[:, None]
        new.current[rows], new.pending[rows], new.phase[rows] = made, _NONE, ATOM
        new.atoms[rows] += 1
