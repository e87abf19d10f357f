"""How a prediction store lies on disk, and the bytes of each of its keys.

Row i of every output belongs to row i of the input. Fixed-width outputs are preallocated arrays of which a block owns
whole shards; ragged ones have one part per block and one global array of offsets, made at the end. Blocks are encoded
in memory, so that their sha256 is that of what was meant to be written. A block's done-marker comes last; `complete` in
the root's attributes comes after all blocks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from core.durable import file_digest, json_bytes, read_json
from core.errors import IntegrityError
from core.places import zarr_store

Array = NDArray[Any]
Keys = dict[str, Buffer]
FORMAT, FORMAT_VERSION = "foretell/prediction", 1
PLAN, SUMMARY, REJECTS = "plan.json", "summary.json", "rejects.jsonl"
STATUS = {
    "ok": 0,
    "too_long": 1,
    "bad_token": 2,
    "bad_value": 3,
    "not_finite": 4,
    "nothing_observed": 5,
    "worker_killed": 6,
    "bad_record": 7,
}
"""Why a row was refused. `bad_token`: an id beyond the vocabulary, or PAD, BOS, EOS; `bad_value`: a real input that is
not finite though observed; `not_finite`: what the model gave is not; `nothing_observed`: no value is observed before a
forecast; `worker_killed`: it ended the process that predicted it, each time; `bad_record`: no reader or tokenizer takes
it, and the list of rejects says why."""
NOT_DONE = 255
CHUNK_BYTES = 2**20
"""An inner chunk, the least that is read at once."""


@dataclass(frozen=True)
class Output:
    """One output.

    Args:
        name: the array's, or the ragged output's group's.
        dtype: numpy's name.
        dims: names of the axes; the first is "row", "token" of a ragged output, or "pair" of one that has an entry for
            each pair of rows and is written once all rows are there.
        tail: lengths of the axes after the first.
        ragged: each row has `items` stretches of any length.
        items: of a ragged output, stretches of a row.
    """

    name: str
    dtype: str
    dims: tuple[str, ...] = ("row",)
    tail: tuple[int, ...] = ()
    ragged: bool = False
    items: int = 1

    @property
    def by_pair(self) -> bool:
        return self.dims[0] == "pair"

    @property
    def fill(self) -> float | str:
        """What a refused row has: NaN, 0 or False; of the status, what a row has before its block is done."""
        if self.dtype == "string":
            return ""
        return NOT_DONE if self.name == "status" else float("nan") if self.dtype.startswith("float") else 0


IDS = Output("id", "string")
"""The rows' names in the input; xarray reads it as a coordinate of the rows."""


@dataclass(frozen=True)
class Layout:
    """All arrays of one prediction store, and the bytes of each of its keys."""

    rows: int
    rows_per_block: int
    outputs: tuple[Output, ...]
    pairs: NDArray[np.int64] | None = None
    """(P, 2) rows that outputs by pair compare."""
    axes: Mapping[str, Array] = field(default_factory=dict)
    """Coordinates of axes other than rows, by the axis' name."""

    @property
    def fixed(self) -> list[Output]:
        """Fixed-width arrays: the rows' ids, those of the outputs, the status, and the lengths of ragged ones."""
        lengths = [_lengths(o) for o in self.outputs if o.ragged]
        status = Output("status", "uint8")
        return [IDS, status, *(o for o in self.outputs if not o.ragged and not o.by_pair), *lengths]

    @property
    def ragged(self) -> list[Output]:
        return [o for o in self.outputs if o.ragged]

    def metadata(self, attributes: Mapping[str, Any]) -> dict[str, bytes]:
        """Every key of an empty store."""
        memory: Keys = {}
        group = zarr.create_group(MemoryStore(memory))
        for output in self.fixed:
            self._create(group, output)
        for output in self.ragged:
            group.create_group(f"{output.name}/parts")
        for name, values in self.axes.items():
            create_whole(group, name, values, (name,))
        return _with_root(_contents(memory), attributes)

    def encode(self, block: int, values: Mapping[str, Array], parts: Mapping[str, Array]) -> dict[str, bytes]:
        """The keys of one block. `values`: fixed-width arrays of its rows; `parts`: ragged ones, rows joined."""
        memory: Keys = {}
        group = zarr.create_group(MemoryStore(memory))
        for output in self.fixed:
            array = self._create(group, output)
            start = block * self.rows_per_block
            array[start : start + len(values[output.name])] = values[output.name]
        for output in self.ragged:
            part = parts[output.name]
            create_whole(group, f"{output.name}/parts/{block:05d}", part, output.dims)
        kept = tuple(f"{o.name}/parts/{block:05d}/" for o in self.ragged)
        return {key: data for key, data in _contents(memory).items() if "/c/" in key or key.startswith(kept)}

    def _create(self, group: zarr.Group, output: Output) -> zarr.Array[Any]:
        itemsize = 32 if output.dtype == "string" else np.dtype(output.dtype).itemsize
        bytes_per_row = itemsize * int(np.prod(output.tail, dtype=np.int64))
        chunk = min(self.rows_per_block, 1 << max(0, (CHUNK_BYTES // max(1, bytes_per_row)).bit_length() - 1))
        return group.create_array(
            output.name,
            shape=(self.rows, *output.tail),
            chunks=(max(1, chunk), *(max(1, n) for n in output.tail)),
            shards=(self.rows_per_block, *(max(1, n) for n in output.tail)),
            dtype=output.dtype,
            fill_value=output.fill,
            compressors=[ZstdCodec(level=1), Crc32cCodec()],
            dimension_names=output.dims,
            config={"write_empty_chunks": True},
        )


def create_whole(group: zarr.Group, name: str, values: Array, dims: tuple[str, ...]) -> None:
    """An array that holds `values` in one file."""
    row_bytes = max(1, values.itemsize * int(np.prod(values.shape[1:], dtype=np.int64)))
    chunk = max(1, min(len(values), CHUNK_BYTES // row_bytes))
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=(chunk, *values.shape[1:]),
        shards=(max(1, -(-len(values) // chunk)) * chunk, *values.shape[1:]),
        dtype=values.dtype,
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
        dimension_names=dims,
        config={"write_empty_chunks": True},
    )
    if len(values):
        array[:] = values


def marker_name(block: int) -> str:
    return f"blocks/{block:05d}.json"


def marker_bytes(plan_hash: str, block: int, keys: Mapping[str, bytes], facts: Mapping[str, Any]) -> bytes:
    """A done-marker: sha256 and size of every key of the block, its own sha256 over all the rest of it."""
    files = {name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in keys.items()}
    body = {"block": block, "plan": plan_hash, "keys": files, **facts}
    return json_bytes({**body, "sha256": hashlib.sha256(json_bytes(body)).hexdigest()})


def read_marker(root: Path, block: int, plan_hash: str, *, hashes: bool = True) -> dict[str, Any] | None:
    """The marker of a block of this plan whose data are all as it says; None where there is no such marker."""
    try:
        marker = read_json(root / marker_name(block))
        body = {key: value for key, value in marker.items() if key != "sha256"}
        if hashlib.sha256(json_bytes(body)).hexdigest() != marker["sha256"]:
            return None
        if (body["plan"], body["block"]) != (plan_hash, block):
            return None
        for name, entry in body["keys"].items():
            path = root / name
            if not path.is_file() or path.stat().st_size != entry["size"]:
                return None
            if hashes and file_digest(path) != entry["sha256"]:
                return None
    except (IntegrityError, KeyError, TypeError, AttributeError):
        return None
    return dict(marker)


def root_attributes(layout: Layout, plan_hash: str, *, complete: bool, notes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of the root group."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "complete": complete,
        "plan": plan_hash,
        "rows": layout.rows,
        "rows_per_block": layout.rows_per_block,
        "status": {**STATUS, "not_done": NOT_DONE},
        "outputs": [asdict(output) for output in layout.outputs],
        "coordinates": IDS.name,
        **notes,
    }


def final_keys(layout: Layout, root: Path, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """The keys that are written once all blocks are there: global offsets first, the root's attributes last."""
    group = zarr.open_group(zarr_store(root), mode="r", use_consolidated=False)
    memory: Keys = {}
    made = zarr.create_group(MemoryStore(memory))
    for output in layout.ragged:
        array = group[f"{output.name}/lengths"]
        assert isinstance(array, zarr.Array)
        offsets = np.concatenate([[0], np.cumsum(np.asarray(array[:]).reshape(-1))]).astype(np.int64)
        create_whole(made, f"{output.name}/offsets", offsets, ("stretch",))
    if layout.pairs is not None:
        nll = group["nll"]
        assert isinstance(nll, zarr.Array)
        for name, values in compare(np.asarray(nll[:]), layout.pairs).items():
            create_whole(made, name, values, next(o.dims for o in layout.outputs if o.name == name))
    written = ("/offsets/", *(f"/{o.name}/" for o in layout.outputs if o.by_pair))
    keys = {key: data for key, data in _contents(memory).items() if any(name in f"/{key}" for name in written)}
    whole = _with_root({**layout.metadata({}), **keys}, attributes)
    return {**keys, "zarr.json": whole["zarr.json"]}


def compare(nll: Array, pairs: NDArray[np.int64]) -> dict[str, Array]:
    """The outputs by pair, of each row's `nll` (N,) and `pairs` (P, 2): reference and alternative.

    `llr` is log p(alternative) - log p(reference) in nats, NaN where one of the two rows was refused.
    """
    reference, alternative = nll[pairs[:, 0]], nll[pairs[:, 1]]
    return {"pairs": pairs, "nll_ref": reference, "nll_alt": alternative, "llr": reference - alternative}


BY_PAIR = (
    Output("pairs", "int64", ("pair", "side"), (2,)),
    *(Output(name, "float64", ("pair",)) for name in ("nll_ref", "nll_alt", "llr")),
)


def _lengths(output: Output) -> Output:
    tail, dims = ((), ("row",)) if output.items == 1 else ((output.items,), ("row", "draw"))
    return Output(f"{output.name}/lengths", "int64", dims, tail)


def _with_root(keys: Mapping[str, bytes], attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """`keys` with a root that repeats the metadata of all arrays but the parts of ragged outputs (consolidated, as
    zarr-python and xarray read it): who lists the folder would stumble over the files that are no Zarr.
    """
    names = sorted(key for key in keys if key.endswith("/zarr.json"))
    repeated = {name.removesuffix("/zarr.json"): json.loads(keys[name]) for name in names}
    root = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": dict(attributes),
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": repeated},
    }
    return {**keys, "zarr.json": json.dumps(root, indent=1, sort_keys=True).encode()}


def _contents(memory: Keys) -> dict[str, bytes]:
    return {key: value.to_bytes() for key, value in sorted(memory.items())}
