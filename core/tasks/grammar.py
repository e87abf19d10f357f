"""The automaton of sequences with a task behind them: letters, `<task>`, an answer in that task's form, the end.

Rows are numbers, so all rows move at once. Each form says what may follow in its own symbols; here they become ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from core.tasks.forms import Task
from core.vocabulary import EOS, SPECIALS

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class TaskState:
    """Where each row (B,) stands."""

    length: NDArray[np.int64]
    """Natural units of the sequence."""
    task: NDArray[np.int64]
    """Number of the task, -1 before its token."""
    step: NDArray[np.int64]
    """Answer tokens so far."""
    last: NDArray[np.int64]
    """Number of the last of them among the task's symbols, -1 before the first."""

    @classmethod
    def begin(cls, rows: int) -> Self:
        zeros, none = np.zeros(rows, np.int64), np.full(rows, -1)
        return cls(zeros, none, zeros.copy(), none.copy())

    def select(self, rows: Tensor) -> Self:
        at = rows.cpu().numpy()
        return type(self)(self.length[at], self.task[at], self.step[at], self.last[at])

    def reset(self, rows: Tensor) -> Self:
        state, at = self.clone(), rows.cpu().numpy()
        state.length[at], state.task[at], state.step[at], state.last[at] = 0, -1, 0, -1
        return state

    def clone(self) -> Self:
        return type(self)(self.length.copy(), self.task.copy(), self.step.copy(), self.last.copy())


class TaskGrammar:
    """Args:
    tasks: in the order of their numbers.
    ids: symbol to id, of the task tokens and answers.
    units: (V,) natural units of each id; 0 for what stands in no sequence.
    only: a task's name, where no other may be put.
    """

    def __init__(self, tasks: Many[Task], ids: Mapping[str, int], units: NDArray[np.float64], only: str = "") -> None:
        self.tasks = list(tasks)
        self.units = units.astype(np.int64)
        self.tokens = np.array([ids[t.token] for t in tasks], np.int64)
        self.asked = [not only or t.name == only for t in tasks]
        self.answers = [np.array([*(ids[s] for s in t.symbols), EOS], np.int64) for t in tasks]
        self.number = np.full((len(self.tasks), len(units)), -1, np.int64)
        """(tasks, V) the number of each id among a task's symbols."""
        for row, symbols in zip(self.number, self.answers, strict=True):
            row[symbols[:-1]] = np.arange(len(symbols) - 1)

    def start(self, batch: int) -> TaskState:
        return TaskState.begin(batch)

    def allowed(self, state: TaskState) -> Tensor:
        import torch

        allowed = np.zeros((len(state.task), len(self.units)), bool)
        reading = state.task < 0
        allowed[reading] = (self.units > 0) & (np.arange(len(self.units)) >= len(SPECIALS))
        allowed[np.ix_(reading & (state.length > 0), self.tokens[self.asked])] = True
        for number, task in enumerate(self.tasks):
            rows = np.flatnonzero(state.task == number)
            if len(rows):
                found = task.allowed(state.step[rows], state.last[rows], state.length[rows])
                allowed[np.ix_(rows, self.answers[number])] = found
        return torch.from_numpy(allowed)

    def advance(self, state: TaskState, tokens: Tensor) -> TaskState:
        taken = tokens.cpu().numpy()
        reading = state.task < 0
        asked = (taken[:, None] == self.tokens).argmax(1)
        is_task = reading & np.isin(taken, self.tokens)
        task = np.where(is_task, asked, state.task)
        answered = ~reading
        last = np.where(answered, self.number[np.maximum(state.task, 0), taken], state.last)
        return TaskState(state.length + np.where(reading, self.units[taken], 0), task, state.step + answered, last)
