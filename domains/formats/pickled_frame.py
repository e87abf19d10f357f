"""The columns of a pandas DataFrame that somebody pickled, read without unpickling: no code of the file is run.

A pickle is a program for a stack machine whose calls can be anything. Here every call is kept as a dead note of its
name and arguments; then the notes that a frame of plain blocks is made of (numbers, text) are read as data, and any
other is refused. Published packages ship tables in this form; what is in them is worth having, what they could do is
not.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_LARGEST = 2**28
"""Bytes of a pickle that are read at most."""
_PLAIN = {"i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "b1"}
_CONSTANTS = {
    "NONE": None, "NEWTRUE": True, "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}  # fmt: skip
_VALUES = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass
class _Name:
    """Something that the pickle would import."""

    text: str


@dataclass
class _Call:
    """Something that the pickle would call, and what it would then be filled with."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


_MARK = object()


def read_pickled_frame(data: bytes, what: str) -> pd.DataFrame:
    """The DataFrame in `data`, its index left out.

    Args:
        what: the file, for messages.

    Raises InputError for a damaged pickle, and for one that is anything but a frame of numbers and text.
    """
    import pandas as pd

    if len(data) > _LARGEST:
        raise InputError(f"{what}: {len(data):,} bytes, at most {_LARGEST:,} of a pickle are read")
    try:
        frame = _notes(data)
        blocks, axes = _manager(frame)
        names = [str(name) for name in _index(axes[0])]
        columns: dict[int, NDArray[Any]] = {}
        for block in blocks:
            values, place, _ = _called(block, "pandas._libs.internals._unpickle_block")
            rows = _array(values)
            for row, at in enumerate(_places(place)):
                columns[at] = rows[row]
        return pd.DataFrame({names[i]: columns[i] for i in range(len(names))})
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(f"{what}: not a pickled table of numbers and text ({error})") from error


def _notes(data: bytes) -> Any:
    """What the pickle would make, with a note in place of every call. Raises ValueError for an unknown instruction."""
    stack: list[Any] = []
    memo: list[Any] = []

    def to_mark() -> list[Any]:
        at = max(i for i, item in enumerate(stack) if item is _MARK)
        items = stack[at + 1 :]
        del stack[at:]
        return items

    for instruction, argument, _ in pickletools.genops(data):
        name = instruction.name
        if name in _VALUES:
            stack.append(argument)
        elif name == "MEMOIZE":
            memo.append(stack[-1])
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[int(argument or 0)])
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            items = stack[-_TUPLES[name] :]
            del stack[-_TUPLES[name] :]
            stack.append(tuple(items))
        elif name == "TUPLE":
            stack.append(tuple(to_mark()))
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "APPEND":
            item = stack.pop()
            stack[-1].append(item)
        elif name == "APPENDS":
            items = to_mark()
            stack[-1].extend(items)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            stack[-1][key] = value
        elif name == "SETITEMS":
            items = to_mark()
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_Name(f"{module}.{attribute}"))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, called = stack.pop(), stack.pop()
            stack.append(_Call(called.text, arguments))
        elif name == "BUILD":
            state = stack.pop()
            stack[-1].state = state
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"the instruction {name} is not read")
    raise ValueError("it ends early")


def _called(note: Any, *names: str) -> tuple[Any, ...]:
    """The arguments of a call of one of these names."""
    if not isinstance(note, _Call) or note.name not in names:
        raise ValueError(f"expected {' or '.join(names)}, found {getattr(note, 'name', type(note).__name__)}")
    return note.arguments


def _manager(frame: Any) -> tuple[Any, list[Any]]:
    _called(frame, "pandas.core.frame.DataFrame")
    arguments = _called(frame.state["_mgr"], "pandas.core.internals.managers.BlockManager")
    return arguments[0], arguments[1]


def _array(note: Any) -> NDArray[Any]:
    """Numbers out of their bytes, text out of a list."""
    if isinstance(note, _Call) and note.name in ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"):
        buffer, kind, shape, order = note.arguments
        return np.frombuffer(bytes(buffer), _dtype(kind)).reshape(shape, order=order)
    _called(note, "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
    _, shape, kind, fortran, content = note.state
    if isinstance(content, list):
        if not all(cell is None or isinstance(cell, str | int | float) for cell in content):
            raise ValueError("a cell is neither a number nor text")
        flat = np.empty(len(content), object)
        flat[:] = content
    else:
        flat = np.frombuffer(content, _dtype(kind))
    return flat.reshape(shape, order="F" if fortran else "C")


def _dtype(note: Any) -> np.dtype[Any]:
    code = _called(note, "numpy.dtype")[0]
    if code not in _PLAIN:
        raise ValueError(f"numbers of type {code!r} are not read")
    order = note.state[1] if note.state[1] in "<>" else "="
    return np.dtype(f"{order}{code}")


def _index(note: Any) -> list[Any]:
    """The labels of an index that has them listed."""
    _, content = _called(note, "pandas.core.indexes.base._new_Index")
    return list(_array(content["data"]).tolist())


def _places(note: Any) -> list[int]:
    if isinstance(note, _Call) and note.name == "builtins.slice":
        return list(range(*note.arguments))
    return [int(i) for i in _array(note).tolist()]
