"""The CPU kernels in C++: compiled at first use by the machine's own compiler, loaded through a plain C interface.

    if native.wanted("conv"):
        native.library("conv").foretell_conv_forward(...)

Every `NAME.cpp` of this folder is a library of its own; `vector.h` has what they share. Where one cannot be built, a
line of the log has said why, and the torch code does the work.
"""

from __future__ import annotations

from core.kernels.native.library import library, obstacle, wanted

__all__ = ["library", "obstacle", "wanted"]
