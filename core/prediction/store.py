"""The prediction store, for reading: row i of every output belongs to row i of the input, refused rows included.

Refuses what is not complete unless told, and never takes a missing shard for zeros. Knows nothing of how the numbers
were made beyond the plan that lies beside them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Several
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from core.durable import read_json
from core.errors import ConfigError, IntegrityError, nearest
from core.places import place, zarr_store
from core.prediction.layout import FORMAT, FORMAT_VERSION, IDS, PLAN, REJECTS, STATUS, SUMMARY, Output, read_marker
from core.prediction.table import check_table, write_table

Array = NDArray[Any]


class PredictionStore:
    """A prediction store, for reading.

    `store["nll"]` is a fixed-width output as an array (N, ...); `store.row("token_nll", i)` what row i of a ragged one
    has, `store.rows("token_nll")` all of them in order.
    """

    def __init__(self, path: Path, attributes: Mapping[str, Any], outputs: list[Output]) -> None:
        self.path, self.attributes = path, dict(attributes)
        self.outputs = {o.name: o for o in outputs}
        self.done: dict[int, dict[str, Any]] = {}
        """The done-markers of the blocks that were there when it was opened."""
        self._offsets: dict[str, NDArray[np.int64]] = {}
        self._group = zarr.open_group(zarr_store(path), mode="r", use_consolidated=False)

    @classmethod
    def open(cls, path: Path | str, *, incomplete: bool = False, verify: str = "quick") -> PredictionStore:
        """Opens a store.

        Args:
            incomplete: also one of which blocks are missing (their status is NOT_DONE).
            verify: "quick" compares sizes, "full" every sha256.

        Raises:
            ConfigError: no prediction store is there.
            IntegrityError: it is not complete, or a block is damaged.
        """
        path = place(path)
        if not (path / PLAN).is_file():
            raise ConfigError(f"{path} is not a prediction store: it has no {PLAN}")
        attributes = read_json(path / "zarr.json").get("attributes", {})
        if attributes.get("format") != FORMAT or attributes.get("format_version") not in range(1, FORMAT_VERSION + 1):
            raise IntegrityError(f"{path}: format {attributes.get('format')} {attributes.get('format_version')}")
        outputs = [Output(**{**o, "dims": tuple(o["dims"]), "tail": tuple(o["tail"])}) for o in attributes["outputs"]]
        store = cls(path, attributes, outputs)
        markers = (read_marker(path, b, store.plan_hash, hashes=verify == "full") for b in range(store.n_blocks))
        store.done = {b: marker for b, marker in enumerate(markers) if marker is not None}
        missing = [b for b in range(store.n_blocks) if b not in store.done]
        if not incomplete and (missing or not store.complete):
            raise IntegrityError(
                f"{path} is not complete: {len(missing)} of {store.n_blocks} blocks are missing or damaged"
                + (f", the first is block {missing[0]}" if missing else ""),
                hint="Give the command that made it once more; it does what is missing.",
            )
        return store

    @property
    def plan(self) -> dict[str, Any]:
        """The identity of the plan that it was made by."""
        return dict(read_json(self.path / PLAN))

    @property
    def plan_hash(self) -> str:
        return str(self.attributes["plan"])

    @property
    def complete(self) -> bool:
        return bool(self.attributes["complete"])

    @property
    def summary(self) -> dict[str, Any]:
        """Rows in, ok and refused by reason, tokens; of a complete store."""
        return dict(read_json(self.path / SUMMARY))

    @property
    def so_far(self) -> dict[str, Any]:
        """What the blocks that are done came to, as `summary` tells it of all."""
        refused = Counter(entry["reason"] for marker in self.done.values() for entry in marker["refused"])
        rows = sum(marker["rows"][1] - marker["rows"][0] for marker in self.done.values())
        tokens = sum(marker["tokens"] for marker in self.done.values())
        counted = {"rows": rows, "ok": rows - refused.total(), "refused": dict(sorted(refused.items()))}
        return {**counted, "tokens": tokens, "blocks": len(self.done)}

    @property
    def rows_per_block(self) -> int:
        return int(self.attributes["rows_per_block"])

    @property
    def n_blocks(self) -> int:
        return -(-len(self) // self.rows_per_block)

    def __len__(self) -> int:
        return int(self.attributes["rows"])

    def _output(self, name: str, *, ragged: bool) -> Output:
        known = [o.name for o in self.outputs.values() if o.ragged == ragged] + [IDS.name, "status"] * (not ragged)
        if name in self.outputs and self.outputs[name].by_pair and not self.complete:
            raise IntegrityError(f"{self.path}: '{name}' is written once all blocks are there", hint="Finish it first.")
        if name not in known:
            kind = "ragged" if ragged else "fixed-width"
            raise ConfigError(f"{self.path} has no {kind} output '{name}'{nearest(name, known)}", hint=f"Has: {known}.")
        return self.outputs.get(name) or Output("status", "uint8")

    def __getitem__(self, name: str) -> Array:
        """A fixed-width output, (N, ...), or (P, ...) of one by pair.

        Raises ConfigError for an unknown one, IntegrityError for damage.
        """
        self._output(name, ragged=False)
        return self._read(name)

    def array(self, name: str) -> zarr.Array[Any]:
        """A fixed-width output to be read in parts, for stores larger than memory."""
        self._output(name, ragged=False)
        array = self._group[name]
        assert isinstance(array, zarr.Array)
        return array

    def _read(self, name: str, rows: slice = slice(None)) -> Array:
        try:
            array = self._group[name]
            assert isinstance(array, zarr.Array)
            return np.asarray(array[rows])
        except (ValueError, KeyError, RuntimeError) as error:
            raise IntegrityError(f"{self.path / name} is damaged: {error}") from error

    def offsets(self, name: str) -> NDArray[np.int64]:
        """(N * items + 1,) where each stretch of a ragged output starts, counted over all parts."""
        self._output(name, ragged=True)
        if name not in self._offsets:
            lengths = self._read(f"{name}/lengths").reshape(-1)
            self._offsets[name] = (
                self._read(f"{name}/offsets") if self.complete else np.concatenate([[0], np.cumsum(lengths)])
            )
        return self._offsets[name]

    def row(self, name: str, row: int) -> Array | list[Array]:
        """What `row` has of a ragged output: an array, or a list of `items` arrays where a row has several."""
        output, offsets = self._output(name, ragged=True), self.offsets(name)
        row = range(len(self))[row]
        block = row // self.rows_per_block
        first = offsets[block * self.rows_per_block * output.items]
        bounds = offsets[row * output.items : (row + 1) * output.items + 1] - first
        part = self._read(f"{name}/parts/{block:05d}", slice(int(bounds[0]), int(bounds[-1])))
        pieces = [part[a - bounds[0] : b - bounds[0]] for a, b in pairwise(bounds)]
        return pieces[0] if output.items == 1 else pieces

    def rows(self, name: str) -> Iterator[Array | list[Array]]:
        """What each row has of a ragged output, in order."""
        return (self.row(name, i) for i in range(len(self)))

    @property
    def ids(self) -> list[str]:
        """The rows' names in the input."""
        return [str(name) for name in self[IDS.name].tolist()]

    def refused(self) -> list[dict[str, Any]]:
        """One entry for each refused row: row, id, reason, message."""
        lines = (self.path / REJECTS).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def to_table(
        self,
        path: Path | str,
        *,
        labels: Mapping[str, Array] | None = None,
        splits: Several[str] | None = None,
        of: str = "row",
    ) -> Path:
        """One line a row: row, id, split and labels where given, status in words, fixed-width outputs (one column an
        entry). A label of the name of a column before it gets `label_` in front.

        Forecasts have a line a step instead, where no other output has several entries: step from 1, mean and q0.1
        and so on by level; of several channels one after the other, with a column `channel` that counts from 0.
        With of="pair" one line a pair: id and labels of the alternative, both rows, nll_ref, nll_alt, llr.

        The suffix decides: .csv, or .parquet where pyarrow is installed. Raises ConfigError for another.
        """
        path = check_table(Path(path))
        by_row = self._step_columns if self._steps_alone() else self._row_columns
        own = {"split": np.asarray(splits, dtype=object)} if splits is not None and of == "row" else {}
        given = own | {
            f"label_{name}" if name in (*own, "row", "id") else name: v for name, v in (labels or {}).items()
        }
        return write_table(path, (self._pair_columns if of == "pair" else by_row)(given))

    def _pair_columns(self, labels: Mapping[str, Array]) -> dict[str, Any]:
        pairs, ids = self["pairs"], self.ids
        columns: dict[str, Any] = {"id": [ids[row] for row in pairs[:, 1].tolist()]}
        columns |= {name: values[pairs[:, 1]] for name, values in labels.items()}
        columns |= {"row_ref": pairs[:, 0], "row_alt": pairs[:, 1]}
        return columns | {o.name: self[o.name] for o in self.outputs.values() if o.by_pair and o.name != "pairs"}

    @property
    def _by_row(self) -> list[Output]:
        return [o for o in self.outputs.values() if not o.ragged and not o.by_pair]

    def _steps_alone(self) -> bool:
        """Whether there are outputs of several entries a row, and all of them go along steps."""
        tailed = [o for o in self._by_row if o.tail]
        return any("level" in o.dims for o in tailed) and all(o.dims[-2:] == ("step", "channel") for o in tailed)

    def _step_columns(self, labels: Mapping[str, Array]) -> dict[str, Any]:
        """A line for each row, channel and step, those of a row together."""
        of_steps = [o for o in self._by_row if o.tail]
        quantiles = next(o for o in of_steps if "level" in o.dims)
        steps, channels = quantiles.tail[-2:]
        columns = {name: np.repeat(values, channels * steps) for name, values in self._named_rows(labels).items()}
        columns |= {o.name: np.repeat(self[o.name], channels * steps) for o in self._by_row if not o.tail}
        if channels > 1:
            columns["channel"] = np.tile(np.repeat(np.arange(channels), steps), len(self))
        columns["step"] = np.tile(self._read("step"), len(self) * channels)
        for output in of_steps:
            values = self[output.name].swapaxes(-1, -2)  # (row, [level,] channel, step)
            if output is quantiles:
                for i, level in enumerate(self._read("level").tolist()):
                    columns[f"q{level:g}"] = values[:, i].reshape(-1)
            else:
                columns[output.name.removeprefix(f"{quantiles.name}_")] = values.reshape(-1)
        return columns

    def _named_rows(self, labels: Mapping[str, Array]) -> dict[str, Any]:
        words = np.full(256, "not_done", dtype=object)
        for name, code in STATUS.items():
            words[code] = name
        columns: dict[str, Any] = {"row": np.arange(len(self)), "id": self.ids}
        columns |= labels
        columns["status"] = words[self["status"]]
        return columns

    def _row_columns(self, labels: Mapping[str, Array]) -> dict[str, Any]:
        columns = self._named_rows(labels)
        for output in self._by_row:
            values = self[output.name]
            flat = values.reshape(len(values), int(np.prod(values.shape[1:], dtype=np.int64)))
            names = [output.name] if values.ndim == 1 else [f"{output.name}_{i}" for i in range(flat.shape[1])]
            columns.update(dict(zip(names, flat.T, strict=True)))
        return columns
