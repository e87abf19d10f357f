"""How tensors are passed to the C++ kernels: addresses, strides in elements, and a code for the dtype."""

from __future__ import annotations

import ctypes
from typing import overload

import torch
from torch import Tensor

DTYPES = {torch.float32: 0, torch.bfloat16: 1}


class Rows(ctypes.Structure):
    """`Rows` of vector.h: (B, T, channels) with neighbouring channels side by side; null where there is no tensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int64),
        ("batch", ctypes.c_int64),
        ("time", ctypes.c_int64),
    ]


def rows(x: Tensor | None) -> Rows:
    """Of a tensor that `side_by_side` has made; it must outlive the call."""
    return Rows() if x is None else Rows(x.data_ptr(), DTYPES[x.dtype], x.stride(0), x.stride(1))


@overload
def side_by_side(x: Tensor) -> Tensor: ...
@overload
def side_by_side(x: None) -> None: ...
def side_by_side(x: Tensor | None) -> Tensor | None:
    """x with neighbouring channels in neighbouring elements, in a dtype that the kernels read: itself where it is."""
    if x is None:
        return None
    x = readable(x)
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


@overload
def numbers(x: Tensor) -> Tensor: ...
@overload
def numbers(x: None) -> None: ...
def numbers(x: Tensor | None) -> Tensor | None:
    """x as one block of float32: itself where it is."""
    return None if x is None else x.float().contiguous()


def readable(x: Tensor) -> Tensor:
    """x in a dtype that the kernels read."""
    return x if x.dtype in DTYPES else x.float()


def address(x: Tensor | None) -> int | None:
    """Of a contiguous tensor, which must outlive the call."""
    return None if x is None else x.data_ptr()
