"""One block of a prediction: rows read from the input, predicted, encoded, written, marked as done.

Rows that cannot be predicted are refused one by one with a reason; damage of the input stops the block. What a block
writes depends on the plan and its number only: no clock, no place, no order of blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.bundle import Bundle
from core.durable import write_files_durably
from core.engine import Engine, Score
from core.errors import ConfigError, IntegrityError
from core.grammar import Grammar
from core.kernels import preferred
from core.prediction import labels
from core.prediction.input import EncodedRows, Input, Reader
from core.prediction.layout import BY_PAIR, IDS, STATUS, Layout, Output, marker_bytes, marker_name
from core.prediction.plan import PredictionPlan, check_input, difference, kernels_of
from core.sequence import Sequence, TokenSpec
from core.vocabulary import BOS, EOS, PAD
from core.window_policy import Stretch

Array = NDArray[Any]
OtherStrand = Callable[[dict[str, Array]], dict[str, Array]]
"""Arrays of tokens end to end, by name, to those of their other strand, the last token first; as a tokenizer has it.
With an attribute `stays`, so many tokens at each row's start stay there (a mark of the direction)."""


def layout_of(plan: PredictionPlan, bundle: Bundle, pairs: NDArray[np.int64] | None = None) -> Layout:
    """The arrays that `plan.what` and `plan.options` ask for; `pairs` (P, 2) are the store's."""
    options, width = plan.options, bundle.model.hidden_width
    targets = bundle.spec.targets
    outputs: list[Output] = []
    coordinates: dict[str, Array] = {}
    if "compare" in plan.what:
        outputs += BY_PAIR
    if "score" in plan.what:
        outputs += [Output("nll", "float64"), Output("n_tokens", "int64")]
        if plan.bits_name:
            outputs.append(Output(plan.bits_name, "float64"))
        if len(targets) > 1:
            outputs += [Output(f"nll_{f.name}", "float64") for f in targets]
    if "token_scores" in plan.what:
        outputs.append(Output("token_nll", "float32", ("token",), ragged=True))
    if "embedding" in plan.what:
        ragged = options.pooling == "token"
        dims = ("token" if ragged else "row", "width")
        outputs.append(Output("embedding", "float32", dims, (width,), ragged))
    if "sample" in plan.what:
        tail, dims = (options.draws,), ("row", "draw")
        outputs += [
            Output("sample_nll", "float64", dims, tail),
            Output("sample_n_tokens", "int64", dims, tail),
            Output("sample_finished", "bool", dims, tail),
            Output("sample_masked_mass", "float64", dims, tail),
        ]
        for f in targets:
            dtype = f.vocabulary.dtype.name if f.vocabulary else "float32"
            axes, end = (("token", "width"), (f.width,)) if f.width else (("token",), ())
            outputs.append(Output(f"sample_{f.name}", dtype, axes, end, ragged=True, items=options.draws))
    if "forecast" in plan.what:
        steps, channels = options.horizon, targets[0].width
        levels = ("row", "level", "step", "channel")
        outputs.append(Output("forecast_mean", "float64", ("row", "step", "channel"), (steps, channels)))
        outputs.append(Output("forecast", "float64", levels, (len(options.levels), steps, channels)))
        coordinates = {"level": np.array(options.levels), "step": np.arange(1, steps + 1)}
    if "predict" in plan.what:
        from core.finetuning.head import load_head  # which loads scipy.stats, a second of every worker's start

        outputs += labels.outputs(load_head(bundle.path, width))
    compared = pairs if "compare" in plan.what else None
    return Layout(plan.rows, plan.rows_per_block, tuple(outputs), compared, coordinates)


@dataclass(frozen=True)
class Opened:
    """What a process has opened of a plan."""

    bundle: Bundle
    rows: Input
    reader: Reader | None = None
    """Of the bundle's records; token stores can do without."""
    grammar: Grammar | None = None
    """Of the bundle's tokenizer, where the plan's options ask for it."""
    other_strand: OtherStrand | None = None
    """Of the bundle's tokenizer, where the plan's options ask for both strands."""


class BlockRunner:
    """Runs blocks of one plan in this process.

    Args:
        between: called before every batch; may raise to stop.

    Raises IntegrityError where bundle, input or this machine's kernels are not those of the plan.
    """

    def __init__(self, plan: PredictionPlan, opened: Opened, *, between: Callable[[], None] = lambda: None) -> None:
        self.plan, self.options = plan, plan.options
        bundle, self.rows, self.grammar = opened.bundle, opened.rows, opened.grammar
        self.reader, self.other_strand = opened.reader, opened.other_strand
        for path, mine, theirs in (
            (plan.bundle, bundle.fingerprint, plan.identity["bundle"]),
            (plan.input, self.rows.identity["fingerprint"], plan.identity["input"]["fingerprint"]),
        ):
            if mine != theirs:
                raise IntegrityError(f"{path} is not what the plan was made for: {mine[:12]}, planned {theirs[:12]}")
        check_input(bundle, self.rows)
        self.layout = layout_of(plan, bundle)
        if "predict" in plan.what:
            from core.finetuning.head import load_head

            self.head = load_head(bundle.path, bundle.model.hidden_width)
        identity = plan.identity
        here = kernels_of(bundle, identity["kernel"]["asked"], torch.device(identity["device"]), identity["precision"])
        if here != identity["kernel"]:
            shown = "; ".join(difference(here, identity["kernel"], "kernel."))
            raise IntegrityError(f"this machine would compute with other kernels than the plan was made for: {shown}")
        self.engine = Engine(
            bundle.model,
            device=identity["device"],
            precision=identity["precision"],
            threads=identity["threads"],
            batch_tokens=identity["batch_tokens"],
            exact=identity["exact"],
            seed=identity["seed"],
            between=between,
        )

    def run(self, index: int, killed: Many[int] = ()) -> None:
        """Computes block `index` and writes it durably, the marker last.

        Args:
            killed: rows, counted from the block's first, that are refused untried, as `worker_killed`.

        Raises as `Input.read`; ResourceError.
        """
        with preferred(self.plan.identity["kernel"]["asked"]):
            keys, facts = self.compute(index, killed)
        write_files_durably(self.plan.output, keys)
        marker = marker_bytes(self.plan.hash, index, keys, facts)
        write_files_durably(self.plan.output, {marker_name(index): marker})

    def try_items(self, index: int, rows: Many[int]) -> None:
        """Predicts these rows of block `index`, counted from its first, and forgets what came of it."""
        start, stop = self.plan.block(index)
        with preferred(self.plan.identity["kernel"]["asked"]):
            self.compute(index, sorted(set(range(stop - start)) - set(rows)))

    def compute(self, index: int, killed: Many[int] = ()) -> tuple[dict[str, bytes], dict[str, Any]]:
        """The keys of block `index` and the facts for its marker: a pure function of the plan and `killed`."""
        start, stop = self.plan.block(index)
        found_rows = self.rows.read(start, stop)
        source, offsets = found_rows.tokens, found_rows.offsets
        lengths = np.diff(offsets)
        status = self._admit(source, offsets)
        status[list(found_rows.refused)] = STATUS["bad_record"]
        status[list(killed)] = STATUS["worker_killed"]
        rows = [int(r) for r in np.flatnonzero(status == STATUS["ok"])]
        records = [Stretch(source, int(offsets[r]), int(lengths[r])) for r in rows]
        values = {
            o.name: np.full((stop - start, *o.tail), 0 if o.name == "status" else o.fill, o.dtype)
            for o in self.layout.fixed
            if o != IDS
        }
        parts: dict[str, list[Array]] = {o.name: [] for o in self.layout.ragged}
        finite = np.ones(stop - start, bool)
        for row, found in zip(rows, self._predict(records, [start + r for r in rows]), strict=True):
            checked = (name for name in found if name in _MUST_BE_FINITE or name.startswith(labels.PREFIXES))
            finite[row] = all(np.isfinite(found[name]).all() for name in checked)
            for name, value in found.items():
                if name in values:
                    values[name][row] = value
                elif finite[row]:
                    pieces = value if isinstance(value, list) else [value]
                    values[f"{name}/lengths"][row] = [len(p) for p in pieces] if len(pieces) > 1 else len(pieces[0])
                    parts[name] += pieces
            if not finite[row]:
                for output in self.layout.fixed:
                    if output.name in values:
                        values[output.name][row] = output.fill
        status[~finite] = STATUS["not_finite"]
        values["status"] = status
        values[IDS.name] = np.array(found_rows.ids, dtype=np.dtypes.StringDType())
        joined = {o.name: _joined(parts[o.name], o) for o in self.layout.ragged}
        facts = {
            "rows": [start, stop],
            "tokens": int(lengths.sum()),
            "refused": [
                self._refusal(start, int(r), int(status[r]), found_rows) for r in np.flatnonzero(status).tolist()
            ],
        }
        return self.layout.encode(index, values, joined), facts

    def _admit(self, source: Sequence, offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(rows,) status before anything is predicted."""
        status = np.zeros(len(offsets) - 1, np.uint8)
        for reason, bad in _bad_tokens(source, self.engine.spec).items():
            rows = np.unique(np.searchsorted(offsets, np.flatnonzero(bad), side="right") - 1)
            status[rows[status[rows] == 0]] = STATUS[reason]
        limits = []
        if self.options.window.long == "refuse" and set(self.plan.what) != {"sample"}:
            limits.append(self.options.window.length)
        if "sample" in self.plan.what:
            limits.append(self.options.max_length)
        if "forecast" in self.plan.what:
            status[~self._has_context(source, offsets) & (status == 0)] = STATUS["nothing_observed"]
        if limits:
            status[(np.diff(offsets) > min(limits)) & (status == 0)] = STATUS["too_long"]
        return status

    def _has_context(self, source: Sequence, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(rows,) whether any target value is observed before the forecast, as far back as the model reads."""
        target = self.engine.spec.targets[0].name
        seen = source.observed.get(target, np.ones((len(source), 1), bool)).any(-1)
        before = np.concatenate([[0], np.cumsum(seen)])
        ends = np.array([offsets[i] + self._origin(n) for i, n in enumerate(np.diff(offsets).tolist())])
        starts = np.maximum(offsets[:-1], ends - self.engine.forecast_context)
        return (ends > starts) & (before[np.maximum(ends, 0)] > before[starts])

    def _predict(self, records: list[Stretch], rows: list[int]) -> list[dict[str, Any]]:
        """Per record, its outputs by name; ragged ones as an array, or as a list of arrays."""
        found: list[dict[str, Any]] = [{} for _ in records]
        options, what = self.options, self.plan.what
        if "score" in what or "token_scores" in what:
            for out, score in zip(found, self._score(records), strict=True):
                out.update(_of_score(score, what))
            if self.plan.bits_name and "score" in what:
                for out, record in zip(found, records, strict=True):
                    out[self.plan.bits_name] = out["nll"] / math.log(2) / self._units(record)
        if "embedding" in what:
            vectors = self.engine.embed(records, pooling=options.pooling, layer=options.layer, window=options.window)
            for out, vector in zip(found, vectors, strict=True):
                out["embedding"] = vector
        if "predict" in what:
            for out, said in zip(found, labels.predicted(self.engine, self.head, records, options.window), strict=True):
                out |= said
        if "sample" in what:
            self._sample(records, rows, found)
        if "forecast" in what:
            self._forecast(records, rows, found)
        return found

    def _score(self, records: list[Stretch]) -> Iterator[Score]:
        options = self.options

        def score(rows: list[Stretch]) -> Iterator[Score]:
            return self.engine.score(rows, mode=options.mode, window=options.window)

        if options.strands == "forward" or not records:
            return score(records)
        if self.other_strand is None:
            raise ConfigError("strands=both: the bundle's tokenizer knows no other strand", hint=ONE_STRAND)
        turned = _turned(records[0].source, self.other_strand)  # one source holds the block's rows end to end
        other = [Stretch(turned, len(turned) - (r.start + r.tokens), r.tokens) for r in records]
        stays: int = getattr(self.other_strand, "stays", 0)
        return map(_mean, score(records), score(other), (r.tokens for r in records), repeat(stays))

    def _forecast(self, records: list[Stretch], rows: list[int], found: list[dict[str, Any]]) -> None:
        options = self.options
        contexts = [r.source.slice(r.start, r.start + self._origin(r.tokens)) for r in records]
        ahead = None
        if options.origin == "held_out":
            ahead = [r.source.slice(r.start + self._origin(r.tokens), r.start + r.tokens) for r in records]
        forecasts = self.engine.forecast(
            contexts, options.horizon, levels=options.levels, draws=options.paths, ahead=ahead, rows=rows
        )
        for out, forecast in zip(found, forecasts, strict=True):
            out["forecast_mean"], out["forecast"] = forecast.mean, forecast.quantiles

    def _origin(self, tokens: int) -> int:
        """Steps of a row that a forecast reads; fewer than none where it is too short."""
        return tokens - self.options.horizon if self.options.origin == "held_out" else tokens

    def _sample(self, records: list[Stretch], rows: list[int], found: list[dict[str, Any]]) -> None:
        options, sampling = self.options, self.options.sampling
        samples = self.engine.sample(
            [r.source.slice(r.start, r.start + r.tokens) for r in records],
            rows=rows,
            draws=options.draws,
            max_length=options.max_length,
            min_length=options.min_length,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            grammar=self.grammar,
        )
        for i, out in enumerate(found):
            drawn = samples[i * options.draws : (i + 1) * options.draws]
            out["sample_nll"] = [s.nll for s in drawn]
            out["sample_n_tokens"] = [s.n_tokens for s in drawn]
            out["sample_finished"] = [s.finished for s in drawn]
            out["sample_masked_mass"] = [s.masked_mass for s in drawn]
            for f in self.engine.spec.targets:
                out[f"sample_{f.name}"] = [s.sequence.arrays[f.name] for s in drawn]

    def _units(self, record: Stretch) -> float:
        """Natural units of a row; NaN where it has none."""
        assert self.reader is not None
        arrays = record.source.slice(record.start, record.start + record.tokens).arrays
        return float(self.reader.tokenizer.units(arrays).sum()) or float("nan")

    @staticmethod
    def _refusal(first: int, row: int, code: int, rows: EncodedRows) -> dict[str, Any]:
        """What the list of rejects says of a row, counted from the block's first."""
        reason = next(name for name, value in STATUS.items() if value == code)
        tokens = int(rows.offsets[row + 1] - rows.offsets[row])
        entry = {"row": first + row, "id": rows.ids[row], "status": reason, "reason": reason}
        if reason != "bad_record":
            return {**entry, "message": f"row {first + row} ({tokens} tokens): {_MESSAGES[reason]}"}
        said = rows.refused[row]
        return {**entry, "reason": said.reason, "message": f"row {first + row}: {said.message}", **said.place}


ONE_STRAND = "dna_nucleotide has one, and protein_residue with directions=both; pieces (bpe) are cut otherwise there."


def _turned(source: Sequence, other_strand: OtherStrand) -> Sequence:
    """All tokens of `source` and their masks on the other strand."""
    masks = {f"observed/{name}": a for name, a in source.observed.items()}
    masks |= {f"loss_mask/{name}": a for name, a in source.loss_mask.items()}
    arrays = other_strand({**source.arrays, **masks})
    return Sequence(
        {name: arrays[name] for name in source.arrays},
        observed={name: arrays[f"observed/{name}"] for name in source.observed},
        loss_mask={name: arrays[f"loss_mask/{name}"] for name in source.loss_mask},
    )


def _mean(forward: Score, backward: Score, tokens: int, stays: int) -> Score:
    """The mean of a row's and its other strand's score, each token with the same one; the row's end stays the last, and
    so many tokens the first."""
    there = backward.token_nll
    aligned = np.concatenate([there[:stays], there[stays:tokens][::-1], there[tokens:]])
    fields = {name: (nll + backward.field_nll[name]) / 2 for name, nll in forward.field_nll.items()}
    return Score((forward.nll + backward.nll) / 2, forward.n_tokens, (forward.token_nll + aligned) / 2, fields)


_MUST_BE_FINITE = ("nll", "embedding", "sample_nll", "forecast", "forecast_mean")
_MESSAGES = {
    "too_long": "longer than the window or max_length, and the plan refuses such rows",
    "bad_token": "an id beyond the bundle's vocabulary, or PAD, BOS or EOS inside the row",
    "bad_value": "a real value is not finite though it counts as observed",
    "not_finite": "the model gave a number that is not finite",
    "worker_killed": "the process that predicted it died, each time",
    "nothing_observed": "no value is observed before the forecast, as far back as the model reads",
}


def _of_score(score: Score, what: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if "score" in what:
        out |= {"nll": score.nll, "n_tokens": score.n_tokens}
        if len(score.field_nll) > 1:
            out |= {f"nll_{name}": value for name, value in score.field_nll.items()}
    if "token_scores" in what:
        out["token_nll"] = score.token_nll
    return out


def _bad_tokens(source: Sequence, spec: TokenSpec) -> dict[str, NDArray[np.bool_]]:
    """Per reason, (T,) True at tokens that no stored sequence may hold."""
    bad = {name: np.zeros(len(source), bool) for name in ("bad_token", "bad_value")}
    for f in spec.fields:
        values = source.arrays[f.name]
        seen = source.observed.get(f.name, np.ones(values.shape, bool))
        if f.vocabulary is not None:
            bad["bad_token"] |= seen & ((values >= len(f.vocabulary)) | np.isin(values, (PAD, BOS, EOS)))
        else:
            bad["bad_value"] |= (seen & ~np.isfinite(values)).any(-1)
    return bad


def _joined(pieces: list[Array], output: Output) -> Array:
    if len(pieces) == 1:  # one long row, a chromosome say, is not copied
        return pieces[0].astype(output.dtype, copy=False)
    empty = np.zeros((0, *output.tail), output.dtype)
    return np.concatenate([empty, *pieces]).astype(output.dtype, copy=False)
