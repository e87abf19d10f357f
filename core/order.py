"""Counter-based randomness: every draw is a pure function of named counters such as (seed, epoch, index).

No generator lives longer than the call that made it, so training resumes at any step, with any number of workers and
any world size, without a stored state. Philox (Salmon et al. 2011) is keyed with the BLAKE2b digest of the counters.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def _digest(counters: tuple[int | str, ...], size: int) -> int:
    """`size` bytes of hash; each counter is written with its type and length, so that (1, 23) and (12, 3) differ."""
    text = "".join(f"{type(c).__name__[0]}{len(str(c))}:{c};" for c in map(_plain, counters))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size).digest(), "little")


def _plain(counter: int | str) -> int | str:
    return counter if isinstance(counter, str) else int(counter)


def seed_of(*counters: int | str) -> int:
    """A 63-bit seed for generators that are not ours."""
    return _digest(counters, 8) >> 1


def rng(*counters: int | str) -> np.random.Generator:
    """numpy's generator of these counters."""
    return np.random.Generator(np.random.Philox(key=_digest(counters, 16)))


def torch_generator(*counters: int | str) -> torch.Generator:
    """torch's generator of these counters, on the CPU."""
    import torch

    return torch.Generator().manual_seed(seed_of(*counters))


def permutation(n: int, *counters: int | str) -> NDArray[np.int64]:
    """A permutation (n,) of 0..n-1: the order of n raw 64-bit draws, which no version of numpy changes."""
    draws = np.random.Philox(key=_digest(counters, 16)).random_raw(n)
    return np.argsort(draws, kind="stable").astype(np.int64, copy=False)
