"""Scores, embeddings and samples of a trained model: `Sequence` in, arrays out.

    engine = Engine(load_bundle(path).model)
    for score in engine.score(store): print(score.nll, score.n_tokens)

Real-valued sequences are continued by `roll_out` and `forecast`. Batch size and order change nothing: sampled tokens
are equal, scores equal within rounding; with `exact` every row is run alone, and they are equal to the last bit. Purely
tokens: it knows no records, natural units or files.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Many
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from core.decoding.generate import Draw, Sample, generate
from core.decoding.roll_out import Continuation, Forecast, Paths, RollOut
from core.decoding.sampling import SamplingConfig
from core.embedding import Pool, check_layer, one_more
from core.errors import ConfigError, ResourceError
from core.grammar import Grammar
from core.nn.model import SequenceModel
from core.nn.readout import SymbolReadout
from core.prediction.options import MODES, POOLINGS
from core.scoring import Runner
from core.sequence import Sequence, TokenSpec
from core.spans import read_spans
from core.window_policy import Stretch, WindowPolicy

if TYPE_CHECKING:
    from core.store import TokenStore

RECURRENT_ROOM = 64
"""Positions that a recurrent state counts as, where the rows drawn at once are limited by `batch_tokens`."""
SLOT_TOKENS = 2**22
"""Positions of the rows drawn at once at most, 24 bytes each."""


@dataclass(frozen=True)
class Score:
    """How likely a model finds a sequence."""

    nll: float
    """Nats, summed in float64 over what is predicted; EOS counted for a record, not for a window."""
    n_tokens: int
    """How many positions that is."""
    token_nll: NDArray[np.float32]
    """(T + 1,) for a record with a symbol target, else (T,): nats summed over target fields; NaN where none counts."""
    field_nll: dict[str, float]
    """Nats by target field; their sum is `nll`."""

    @property
    def mean(self) -> float:
        """Nats per predicted position; NaN where there is none."""
        return self.nll / self.n_tokens if self.n_tokens else float("nan")


class Engine:
    """Inference with one model.

    Args:
        model: put into eval mode and moved to `device`.
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1" ...
        precision: "fp32", or "bf16" (autocast).
        threads: of torch in this whole process; None leaves them as they are.
        batch_tokens: positions of a batch, padding included.
        exact: run every row alone: results are equal to the last bit whatever the batch size and order, and slower.
        seed: of samples, where `sample` gets none.
        window: what is done with sequences longer than the context, where a call does not say.
        between: called before every batch; may raise to stop the work.

    Raises ConfigError for a value that is not allowed.
    """

    def __init__(
        self,
        model: SequenceModel,
        *,
        device: str = "auto",
        precision: str = "fp32",
        threads: int | None = None,
        batch_tokens: int = 4096,
        exact: bool = False,
        seed: int = 0,
        window: WindowPolicy | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        if precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision: got {precision!r}, allowed for inference: fp32, bf16")
        if batch_tokens < 1:
            raise ConfigError(f"batch_tokens: got {batch_tokens}, allowed: a positive whole number")
        if threads is not None:
            if threads < 1:
                raise ConfigError(f"threads: got {threads}, allowed: a positive whole number")
            torch.set_num_threads(threads)
        self.device, self.precision = resolve_device(device), precision
        self.model = model.eval().to(self.device)
        self.batch_tokens, self.exact, self.seed, self._between = batch_tokens, exact, seed, between
        self.window = window or WindowPolicy()

    @property
    def spec(self) -> TokenSpec:
        return self.model.spec

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    @property
    def _runner(self) -> Runner:
        return Runner(self.model, self.device, self.batch_tokens, self.exact, self._autocast, self._between)

    def policy(self, window: WindowPolicy | None = None) -> WindowPolicy:
        """The window policy with the model's numbers in it; its `describe()` belongs into every report."""
        return (window or self.window).resolve(self.model.config)

    def score(
        self, sequences: Iterable[Sequence | Stretch], *, mode: str = "records", window: WindowPolicy | None = None
    ) -> Iterator[Score]:
        """One Score for each sequence, in order, while they stream through.

        Args:
            mode: "records" counts EOS (of symbol targets); "windows" are parts of something longer and have none.
            window: what is done with sequences longer than the context.

        Raises ConfigError for an unknown mode, or a policy that the model cannot follow or that refuses a sequence.
        """
        yield from map(_score, self.nats(sequences, mode=mode, window=window))

    def nats(
        self, sequences: Iterable[Sequence | Stretch], *, mode: str = "records", window: WindowPolicy | None = None
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Per sequence and target field, nats of each position, NaN where none counts; see `score`."""
        if mode not in MODES:
            raise ConfigError(f"mode: got {mode!r}, allowed: {', '.join(MODES)}")
        policy = self.policy(window)
        yield from self._runner.nats(_admitted(sequences, policy), policy, eos=mode == "records")

    def score_spans(
        self, store: TokenStore, spans: NDArray[np.int64], *, window: WindowPolicy | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """Per span (sequence, start, stop) of `spans` (S, 3), its tokens' nats (stop - start,) float32, in order.

        A span is scored as a window: no EOS, and nothing before its start is read. `policy(window).describe()` says how
        long ones are cut.
        """
        for score in self.score(read_spans(store, spans), mode="windows", window=window):
            yield score.token_nll

    def embed(
        self,
        sequences: Iterable[Sequence | Stretch],
        *,
        pooling: str = "mean",
        layer: int = -1,
        window: WindowPolicy | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Hidden states: what the model knows having read a token.

        Args:
            pooling: "token" gives (T, D), row i after reading token i; "last" its last row, "mean" their mean, (D,).
            layer: -1, after the final norm; or a block counted from 0, whose output is taken as it hands it on.

        An empty sequence has the model's state before any token as mean and last.
        Raises ConfigError as `score`, and for an unknown pooling or layer.
        """
        if pooling not in POOLINGS:
            raise ConfigError(f"pooling: got {pooling!r}, allowed: {', '.join(POOLINGS)}")
        check_layer(self.model.config, layer)
        policy, width = self.policy(window), self.model.hidden_width
        records: Iterator[Stretch] = _admitted(sequences, policy)
        patch, real = self.spec.patch, not any(f.is_symbol for f in self.spec.targets)
        lengths: deque[int] = deque()

        def noted(record: Stretch) -> Stretch:
            lengths.append(record.tokens)
            return one_more(record, patch) if real else record

        found = self._runner.hidden(
            map(noted, records), policy, lambda n: Pool(pooling, n, width, patch), Pool.add, layer
        )
        for pool in found:
            yield pool.result(lengths.popleft())

    def next_symbols(
        self, sequence: Sequence, *, field: str | None = None, window: WindowPolicy | None = None
    ) -> NDArray[np.float32]:
        """How likely each symbol was at each position of a sequence, having read what stands before it.

        Args:
            field: a symbol target field; the only one where None.

        Returns: (T + 1, V) natural logarithms, the last row of what follows the sequence.
        Raises ConfigError as `score`, and for a field that the model does not predict as symbols.
        """
        names = [f.name for f in self.spec.targets if f.is_symbol]
        name = field or (names[0] if len(names) == 1 else "")
        if name not in names:
            raise ConfigError(
                f"field: got {field!r}, allowed: {', '.join(names) or 'none, the model predicts no symbols'}"
            )
        policy, width = self.policy(window), self.model.hidden_width
        (hidden,) = self._runner.hidden(_admitted([sequence], policy), policy, lambda n: _States(n, width), _States.add)
        readout = cast(SymbolReadout, self.model.readouts[name])
        with torch.inference_mode():
            logits = readout.logits(torch.from_numpy(hidden.states).to(self.device))
            found: NDArray[np.float32] = torch.log_softmax(logits, -1).cpu().numpy()
        return found

    def sample(
        self,
        prefixes: int | Many[Sequence],
        *,
        max_length: int,
        min_length: int = 0,
        draws: int = 1,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int | None = None,
        grammar: Grammar | None = None,
        ahead: Many[Sequence] | None = None,
        rows: Many[int] | None = None,
        window: WindowPolicy | None = None,
    ) -> list[Sample]:
        """Draws sequences, `draws` of them for each prefix, in the prefixes' order.

        Args:
            prefixes: what each starts with, or how many are drawn from nothing.
            max_length: tokens at most, prefix included.
            min_length: no EOS before so many tokens; at least `max_length` for a model of windows, which knows no end.
            temperature, top_k, top_p, min_p: see `SamplingConfig`.
            seed: a draw is a function of seed, row, content of the prefix and number of the draw, of nothing else.
            grammar: an automaton that every sample follows.
            ahead: per prefix, values of given and known-ahead fields for all `max_length` positions.
            rows: the number of each prefix in whatever they come from, if not 0, 1, 2 ...
            window: attention that was trained on `length` tokens reads no more: then it goes on from its last half.

        Batches change logits by rounding (about 1e-6), so a uniform number that close to the border between two symbols
        may fall to either; `exact` rules that out.
        Raises ConfigError for values that are not allowed, a prefix longer than `max_length` among them.
        """
        if max_length < 1 or draws < 1:
            raise ConfigError(f"max_length and draws: got {max_length} and {draws}, allowed: positive whole numbers")
        config = SamplingConfig(temperature, top_k, top_p, min_p)
        seed = self.seed if seed is None else seed
        if not any(f.is_symbol for f in self.spec.targets) and len(self.spec.targets) == 1:
            return self._drawn_paths(prefixes, max_length, draws, seed, ahead, rows)
        given = [empty_sequence(self.spec)] * prefixes if isinstance(prefixes, int) else list(prefixes)
        numbers = range(len(given)) if rows is None else rows
        requests = [
            Draw(prefix, (seed, int(row), digest, k), None if ahead is None else ahead[i])
            for i, (prefix, row) in enumerate(zip(given, numbers, strict=True))
            for digest in (content_hash(prefix),)
            for k in range(draws)
        ]
        context = self._reading_limit(window)
        room = min(max_length, context or max_length) if "A" in self.model.config.mixers else RECURRENT_ROOM
        size = 1 if self.exact else max(1, min(256, 4 * self.batch_tokens // room, SLOT_TOKENS // max_length))
        order = sorted(range(len(requests)), key=lambda i: len(requests[i].prefix))
        drawn = generate(
            self.model,
            [requests[i] for i in order],
            config,
            max_length=max_length,
            min_length=min_length,
            context=context,
            grammar=grammar,
            slots=size,
            autocast=self._autocast,
            between=self._between,
        )
        samples = dict(zip(order, drawn, strict=True))
        return [samples[i] for i in range(len(requests))]

    def roll_out(
        self,
        contexts: Iterable[Sequence],
        steps: int,
        *,
        mode: str = "mean",
        draws: int = 1,
        levels: Many[float] = (),
        seed: int | None = None,
        ahead: Many[Sequence] | None = None,
        rows: Many[int] | None = None,
    ) -> list[NDArray[np.float64]]:
        """Continues real-valued sequences: the model reads its own predictions.

        Args:
            contexts: what comes before; the last `context` steps of each are read, and the next patch starts behind.
            mode: what is fed back: "mean"; "sample", `draws` paths drawn; "quantile", a path for each of `levels`.
            seed: a path is a function of seed, number and content of its context, and its own number.
            ahead: per context the known-ahead fields of the `steps` steps to come.
            rows: the number of each context in whatever they come from, if not 0, 1, 2 ...

        Returns: per context (K, steps, C) raw values; K is 1, `draws` or the number of levels.

        Raises ConfigError for values that are not allowed and for models of symbols, InputError for a context of which
        nothing is observed.
        """
        found = self._continued(list(contexts), steps, Paths(mode, draws, tuple(levels)), seed, ahead, rows)
        return [continuation.values for continuation in found]

    def forecast(
        self,
        contexts: Iterable[Sequence],
        horizon: int,
        *,
        levels: Many[float] = (0.1, 0.5, 0.9),
        draws: int = 100,
        seed: int | None = None,
        ahead: Many[Sequence] | None = None,
        rows: Many[int] | None = None,
    ) -> list[Forecast]:
        """Mean and quantiles of the next `horizon` steps; arguments and errors as of `roll_out`.

        Within the first patch the quantiles are exact; beyond it they are those of `draws` drawn paths.
        """
        given, asked = list(contexts), tuple(sorted(levels))
        if horizon <= self.spec.patch:
            found = self._continued(given, horizon, Paths(), seed, ahead, rows, asked)
            nothing = np.zeros((0, horizon, self.spec.targets[0].width))
            return [Forecast(c.values[0], asked, nothing if c.quantiles is None else c.quantiles) for c in found]
        found = self._continued(given, horizon, Paths("sample", draws), seed, ahead, rows, asked)
        forecasts = []
        for c in found:
            quantiles = np.quantile(c.values, asked, axis=0)
            if c.quantiles is not None:
                quantiles[:, : c.quantiles.shape[1]] = c.quantiles
            forecasts.append(Forecast(c.values.mean(0), asked, quantiles))
        return forecasts

    def _drawn_paths(
        self,
        prefixes: int | Many[Sequence],
        max_length: int,
        draws: int,
        seed: int,
        ahead: Many[Sequence] | None,
        rows: Many[int] | None,
    ) -> list[Sample]:
        """`sample` of a real-valued model: drawn paths up to `max_length` steps, which never end by themselves."""
        target = self.spec.targets[0]
        given = [empty_sequence(self.spec)] * prefixes if isinstance(prefixes, int) else list(prefixes)
        longest = max((len(p) for p in given), default=0)
        if longest > max_length:
            raise ConfigError(f"a prefix has {longest} steps, max_length is {max_length}")
        numbers = range(len(given)) if rows is None else rows
        samples = []
        for i, (prefix, row) in enumerate(zip(given, numbers, strict=True)):
            steps = max_length - len(prefix)
            coming = None if ahead is None else [ahead[i].slice(len(prefix), max_length)]
            if not steps:
                samples += [Sample(prefix, 0.0, 0, False, 0.0, {target.name: 0.0})] * draws
                continue
            counters = [(seed, int(row), content_hash(prefix))]
            (found,) = self._roll()([prefix], steps, Paths("sample", draws), counters, coming)
            for values, nats in zip(found.values, found.nats.sum(1), strict=True):
                arrays = {target.name: np.concatenate([prefix.arrays[target.name], values.astype(np.float32)])}
                sequence = Sequence(arrays, prefix.id, labels=prefix.labels)
                samples.append(Sample(sequence, float(nats), steps, False, 0.0, {target.name: float(nats)}))
        return samples

    @property
    def forecast_context(self) -> int:
        """Steps of a context that a forecast reads: those that a training window reads before its last patch."""
        patch = self.spec.patch
        return max(patch, self.policy().length // patch * patch - patch)

    def _roll(self) -> RollOut:
        return RollOut(self.model, self.forecast_context, self._autocast, self._between, self.exact)

    def _continued(
        self,
        contexts: list[Sequence],
        steps: int,
        paths: Paths,
        seed: int | None,
        ahead: Many[Sequence] | None,
        rows: Many[int] | None,
        levels: tuple[float, ...] = (),
    ) -> list[Continuation]:
        if steps < 1:
            raise ConfigError(f"steps: got {steps}, allowed: a positive whole number")
        seed = self.seed if seed is None else seed
        numbers = range(len(contexts)) if rows is None else rows
        counters = [(seed, int(n), content_hash(context)) for n, context in zip(numbers, contexts, strict=True)]
        return self._roll()(contexts, steps, paths, counters, ahead, levels)

    def _reading_limit(self, window: WindowPolicy | None) -> int:
        """Positions that decoding reads at once; 0 where the state has a constant size."""
        config = self.model.config
        if window is None and ("A" not in config.mixers or config.window):
            return 0
        policy = self.policy(window)
        return 0 if policy.carry else policy.length


class _States:
    """Hidden states (positions, D) of one record as they come."""

    def __init__(self, positions: int, width: int) -> None:
        self.states = np.zeros((positions, width), np.float32)

    def add(self, start: int, hidden: NDArray[np.float32]) -> None:
        self.states[start : start + len(hidden)] = hidden


def resolve_device(device: str) -> torch.device:
    """Raises ConfigError for a name that is no device, ResourceError for one that this machine does not have."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device: got {device!r}, allowed: auto, cpu, cuda, cuda:N, mps") from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ResourceError(f"device {device}: this machine has no CUDA device", hint="Use device=cpu or device=auto.")
    return resolved


def content_hash(sequence: Sequence) -> str:
    """16 hex digits of the field values, whatever integer or float type holds them."""
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(sequence.arrays):
        array = sequence.arrays[name]
        plain = np.ascontiguousarray(array, dtype="<i8" if array.dtype.kind in "ui" else "<f8")
        digest.update(f"{name}:{plain.shape};".encode() + plain.tobytes())
    return digest.hexdigest()


def empty_sequence(spec: TokenSpec) -> Sequence:
    """No tokens at all."""
    return Sequence(
        {
            f.name: np.zeros(0, f.vocabulary.dtype) if f.vocabulary else np.zeros((0, f.width), np.float32)
            for f in spec.fields
        }
    )


def _admitted(sequences: Iterable[Sequence | Stretch], policy: WindowPolicy) -> Iterator[Stretch]:
    for item in sequences:
        record = Stretch(item, 0, len(item)) if isinstance(item, Sequence) else item
        if policy.long == "refuse" and record.tokens > policy.length:
            raise ConfigError(
                f"record '{record.source.id}' has {record.tokens} tokens, the window is {policy.length}",
                hint="Score it in windows (long=window), or leave it out.",
            )
        yield record


def _score(nats: dict[str, NDArray[Any]]) -> Score:
    fields = {name: float(np.nansum(values, dtype=np.float64)) for name, values in nats.items()}
    arrays = list(nats.values())
    if len(arrays) == 1:
        total = arrays[0]
    else:
        stacked = np.stack(arrays)
        total = np.where(np.isnan(stacked).all(0), np.float32(np.nan), np.nansum(stacked, 0)).astype(np.float32)
    return Score(sum(fields.values()), int((~np.isnan(total)).sum()), total, fields)
