"""Times, sizes, counts and shares as people say them: 42 s, 3.4 h, 12 MB, 2.1 M, 5.8 %. To be read, not stored."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`0.8 s`, `42 s`, `21 min`, `3.4 h`, `2.5 days`: two figures at least, below two of the next unit."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 9.95 or not seconds else f"{seconds:.1f} s"
    if seconds < 7200:
        return _figures(seconds / 60, "min")
    return _figures(seconds / 3600, "h") if seconds < 48 * 3600 else _figures(seconds / 86400, "days")


def size(n_bytes: float) -> str:
    """`312 B`, `45 kB`, `3.2 MB`, `1.4 GB`: powers of 1000."""
    return _scaled(n_bytes, ("B", "kB", "MB", "GB", "TB"))


def count(n: float) -> str:
    """`950`, `12 k`, `2.1 M`, `3.4 G`: parameters, tokens, records."""
    return _scaled(n, ("", "k", "M", "G", "T")).rstrip()


def percent(share: float) -> str:
    """`62.5 %`, `0.128 %` of a share from 0 to 1: three figures."""
    return f"{100 * share:.3g} %"


def _scaled(n: float, units: tuple[str, ...]) -> str:
    power = 0
    while abs(n) >= 999.5 and power < len(units) - 1:
        n, power = n / 1000, power + 1
    return f"{n:.0f} {units[0]}" if power == 0 else _figures(n, units[power])


def _figures(value: float, unit: str) -> str:
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:,.0f} {unit}"
