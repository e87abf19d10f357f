"""Token scores of a prediction store as tracks of a genome browser: bits a base along every sequence.

A record is a sequence under its id, from position 0; one that was cut out of a genome by an unnamed BED line is called
`chr1:100-200` or `chr1:100-200(-)` and goes back to its place. Tokens of several bases share their bits evenly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.prediction.store import PredictionStore
from core.store import TokenStore
from core.tokenizer import restore
from domains.formats.bedgraph import Track, write_bedgraph

_REGION = re.compile(r"(.+):(\d+)-(\d+)(\(-\))?")


def write_tracks(prediction: PredictionStore, store: TokenStore, path: Path | str) -> Path:
    """Writes `token_nll` of every row that was not refused, in the rows' order, as bedGraph.

    Args:
        prediction: of what=[token_scores] over `store`.

    Raises ConfigError where it has no token scores or `path` is no bedGraph file's, ResourceError as `write_bedgraph`.
    """
    prediction.offsets("token_nll")  # says what is missing before a file is begun
    strands = "mean of both strands" if prediction.plan["options"]["strands"] == "both" else "read forwards"
    return write_bedgraph(
        path, _tracks(prediction, store), name=f"{store.name} bits", description=f"bits per base, {strands}"
    )


def _tracks(prediction: PredictionStore, store: TokenStore) -> Iterator[Track]:
    from domains import tokenizer_classes

    tokenizer = restore(store.tokenizer, tokenizer_classes())
    status = prediction["status"]
    for row in np.flatnonzero(status == 0).tolist():
        sequence = store[row]
        nats = np.asarray(prediction.row("token_nll", row))[: len(sequence)]  # the end of a record is no base
        sizes = tokenizer.units(sequence.arrays).astype(np.int64)
        bits = nats / np.maximum(sizes, 1) / math.log(2)
        name, start, turned = _place(sequence.id, int(sizes.sum()))
        if turned:
            bits, sizes = bits[::-1], sizes[::-1]
        yield Track(name, start, bits, None if (sizes == 1).all() else sizes)


def _place(name: str, length: int) -> tuple[str, int, bool]:
    """Sequence, first position and whether it was the other strand."""
    match = _REGION.fullmatch(name)
    if match is None or int(match[3]) - int(match[2]) != length:
        return name, 0, False
    return match[1], int(match[2]), match[4] is not None
