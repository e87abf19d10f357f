"""Next-token prediction for the sciences: the public face.

    import foretell
    model = foretell.load("run/bundle")
    print(model.score(["ACGTACGTAC"])[0].bits_per_unit)
    for drawn in model.sample(3, max_length=60): print(drawn.record.seq, drawn.nats)
    vectors = model.embed(["ACGTACGTAC", "TTTTGGGG"])

Records go in and come out as the domain knows them. Importing this module loads no torch; `load` and `train` do.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any


def _not_hidden(name: str) -> None:
    """Raises ImportError where a package of another project stands before ours on the path."""
    module = importlib.import_module(name)
    ours, found = Path(__file__).resolve().parent / name, getattr(module, "__file__", None)
    if found is None or Path(found).resolve().parent != ours:
        where = found or next(iter(getattr(module, "__path__", ["?"])))
        raise ImportError(
            f"foretell needs its own package '{name}' at {ours}, but Python found another one of that name at {where}. "
            "Start Python in another folder, or rename that package."
        )


for _name in ("core", "domains"):
    _not_hidden(_name)

from core.errors import ConfigError  # noqa: E402
from core.version import __version__  # noqa: E402

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.batching.config import BatchingConfig
    from core.bundle import Bundle
    from core.engine import Engine
    from core.finetuning.config import AdapterConfig
    from core.finetuning.pairs import PairTable
    from core.finetuning.predict import Predicted
    from core.nn.config import ModelConfig
    from core.sequence import Sequence as Tokens
    from core.store import TokenStore
    from core.tasks.predict import Answer
    from core.tokenizer import Tokenizer
    from core.window_policy import WindowPolicy
    from domains import Domain

__all__ = ["Drawn", "Likelihood", "Model", "TokenStore", "__version__", "finetune", "load", "train"]

_NATS_PER_BIT = math.log(2)


def __getattr__(name: str) -> Any:
    if name == "TokenStore":
        return importlib.import_module("core.store").TokenStore
    raise AttributeError(f"module 'foretell' has no attribute '{name}'")


@dataclass(frozen=True)
class Likelihood:
    """How likely a model finds a record."""

    id: str
    nats: float
    """Summed over the record; its end is counted where the model has learned ends."""
    n_tokens: int
    """How many predictions that is."""
    units: float
    """Natural units of the record: bases, residues, notes."""
    token_nats: NDArray[np.float32]
    """One for each prediction, in order."""

    @property
    def bits_per_unit(self) -> float:
        return self.nats / _NATS_PER_BIT / self.units if self.units else math.nan


@dataclass(frozen=True)
class Drawn:
    """A record that a model made."""

    record: Any
    """As the domain knows it; for DNA a Bio.SeqRecord, its letters are `str(record.seq)`."""
    nats: float
    """Of what was drawn, under the model as it is: temperature 1, nothing filtered."""
    n_tokens: int
    finished: bool
    """Whether it ended by itself, or at the length limit."""
    masked_mass: float
    """The mean probability that a grammar took away; 0 without one."""
    redrawn: int = 0
    """How many draws were refused before this one."""


class Model:
    """A trained model: records in, records and numbers out. Made by `load` and `train`."""

    def __init__(
        self, bundle: Bundle, engine: Engine, head: Path | None = None, members: tuple[Bundle, ...] = ()
    ) -> None:
        from core.tokenizer import restore
        from domains import DOMAINS, tokenizer_classes

        self.bundle, self.engine, self.head = bundle, engine, head or bundle.path
        self.members = members or (bundle,)
        self.domain: Domain = DOMAINS.get(bundle.domain)
        self.tokenizer: Tokenizer[Any] = restore(bundle.tokenizer, tokenizer_classes())

    def __repr__(self) -> str:
        model = self.bundle.model
        several = f", the first of {len(self.members)} that are averaged" if len(self.members) > 1 else ""
        return (
            f"<foretell.Model of {self.domain.name}: {model.config.mixers}, {model.n_parameters:,} parameters{several}>"
        )

    @property
    def natural_unit(self) -> str:
        """What likelihoods are given per: "base", "residue", "note"."""
        return self.tokenizer.natural_unit

    @property
    def knows_ends(self) -> bool:
        """Whether it was trained on whole records; one that saw windows only knows no end of a record."""
        return knows_ends(self.bundle.training)

    def score(
        self, records: Iterable[Any], *, mode: str | None = None, window: WindowPolicy | None = None
    ) -> list[Likelihood]:
        """How likely each record is.

        Args:
            mode: "records" counts the end of a record, "windows" does not; None does as the model was trained.
            window: what is done with records longer than the context; see `core.window_policy`.

        Raises InputError for a record that cannot be encoded.
        """
        sequences = self._encoded(records)
        scores = self.engine.score(sequences, mode=mode or ("records" if self.knows_ends else "windows"), window=window)
        return [
            Likelihood(s.id, score.nll, score.n_tokens, float(self.tokenizer.units(s.arrays).sum()), score.token_nll)
            for s, score in zip(sequences, scores, strict=True)
        ]

    def embed(
        self, records: Iterable[Any], *, pooling: str = "mean", layer: int = -1, window: WindowPolicy | None = None
    ) -> NDArray[np.float32] | list[NDArray[np.float32]]:
        """(N, D) vectors with pooling "mean" or "last"; with "token" a list of (T, D). `layer`: see `Engine.embed`."""
        import numpy as np

        found = list(self.engine.embed(self._encoded(records), pooling=pooling, layer=layer, window=window))
        if pooling == "token":
            return found
        return np.stack(found) if found else np.zeros((0, self.bundle.model.hidden_width), np.float32)

    def sample(
        self,
        n: int = 1,
        *,
        max_length: int | None = None,
        min_length: int | None = None,
        prefix: Any = None,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int | None = None,
        grammar: bool = False,
        limits: Mapping[str, Any] | None = None,
        redraws: int = 0,
    ) -> list[Drawn]:
        """Draws `n` new records.

        Args:
            max_length: tokens at most, prefix included; None: the model's context.
            min_length: tokens at least; None: 0, or `max_length` where the model knows no ends.
            prefix: a record that each of them starts with, or a list of records or token sequences, taken in turn.
            temperature, top_k, top_p, min_p: see `core.decoding.options.SamplingConfig`.
            seed: the same seed gives the same records.
            grammar: draw only what decodes, where the tokenizer has a grammar.
            limits: what else the grammar holds samples to, by the parameters of the tokenizer's `grammar`; with it a
                grammar is used.
            redraws: a record that the tokenizer refuses (a molecule whose rings cannot be aromatic: grammars do not see
                that far) is drawn anew, so often at most; the last one stands.
        """
        from core.order import seed_of
        from core.tokenizer import grammar_within, reads

        length = max_length or self.bundle.model.config.context
        least = min_length if min_length is not None else 0 if self.knows_ends else length
        automaton = grammar_within(self.tokenizer, length, limits or {}) if grammar or limits else None
        first = self.engine.seed if seed is None else seed
        starts = self._prefixes(prefix, n, first)
        drawn: list[Drawn | None] = [None] * n
        for attempt in range(redraws + 1):
            open_rows = [i for i, one in enumerate(drawn) if one is None or not reads(self.tokenizer, one.record)]
            if not open_rows:
                break
            these = [starts[i] for i in open_rows]
            samples = self.engine.sample(
                these,
                max_length=length,
                min_length=least,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                min_p=min_p,
                seed=seed_of(first, "redraw", attempt) if attempt else first,
                grammar=automaton,
                ahead=self._ahead(these, length, seed_of(first, "constant", attempt)),
            )
            for i, sample in zip(open_rows, samples, strict=True):
                drawn[i] = self._drawn(sample, starts[i], i + 1, attempt)
        return [one for one in drawn if one is not None]

    def _prefixes(self, prefix: Any, n: int, seed: int) -> list[Tokens]:
        """What each of `n` samples starts with; a tokenizer that puts something before every record draws it."""
        from core.engine import empty_sequence
        from core.sequence import Sequence as Tokens

        given = list(prefix) if isinstance(prefix, list | tuple) else [prefix]
        prompts = getattr(self.tokenizer, "prompts", None)
        if prompts is not None and all(p is None or isinstance(p, str) for p in given):
            rows = [prompts(n, text or "", seed=seed) for text in given]
            return [rows[i % len(rows)][i] for i in range(n)]
        encoded = [p if isinstance(p, Tokens) else self.tokenizer.encode(p) for p in given if p is not None]
        starts = encoded or [empty_sequence(self.tokenizer.spec)]
        return [starts[i % len(starts)] for i in range(n)]

    def _ahead(self, starts: list[Tokens], length: int, seed: int) -> list[Tokens] | None:
        """Known-ahead fields of all `length` tokens behind each start, as the tokenizer knows them, and those that are
        one value in a whole record (a task): the start's, or one of the vocabulary by `seed`. None for none."""
        import numpy as np

        from core.sequence import Role
        from core.sequence import Sequence as Tokens
        from core.vocabulary import SPECIALS, UNK

        constant = getattr(self.tokenizer, "constant_fields", ())
        beside = [f for f in self.tokenizer.spec.fields if not f.is_target]
        known = [f for f in beside if f.role is Role.KNOWN_AHEAD or f.name in constant]
        if not known or len(known) < len(beside):
            return None

        def whole(start: Tokens, number: int) -> Tokens:
            missing = length - len(start)
            coming = None
            if missing and len(start) and hasattr(self.tokenizer, "ahead"):
                coming = self.tokenizer.ahead(self.tokenizer.decode(start), missing)
            elif missing and hasattr(self.tokenizer, "ahead_of_all"):
                coming = self.tokenizer.ahead_of_all(missing)
            arrays, observed = {}, {}
            for f in known:
                values = start.arrays[f.name]
                rest = np.full((missing, *values.shape[1:]), 0 if f.width else UNK, values.dtype)
                there = [start.observed.get(f.name, np.ones(values.shape, bool)), np.zeros(rest.shape, bool)]
                if f.name in constant and f.vocabulary is not None:
                    one = values[-1] if len(values) else len(SPECIALS) + (seed + number) % len(f.vocabulary.symbols)
                    rest, there[1] = np.full(missing, one, values.dtype), np.ones(missing, bool)
                elif coming is not None:
                    rest, there[1] = coming.arrays[f.name], coming.observed.get(f.name, np.ones(rest.shape, bool))
                arrays[f.name], observed[f.name] = np.concatenate([values, rest]), np.concatenate(there)
            return Tokens(arrays, start.id, observed)

        return [whole(start, number) for number, start in enumerate(starts)]

    def answer(self, records: Iterable[Any], task: str, *, grammar: bool = True) -> list[Answer]:
        """What a model that was taught tasks as tokens says of each record; see `core.tasks.predict.Answer`.

        Args:
            records: as for `score`.
            task: its name.
            grammar: only answers of the task's form are given.

        Raises ConfigError for an unknown task or a model without tasks, InputError for a record that is refused.
        """
        from core.tasks.predict import answers
        from core.tasks.tokenizer import TaskTokenizer

        if not isinstance(self.tokenizer, TaskTokenizer):
            raise ConfigError(
                f"this model has no tasks; its tokenizer is {self.tokenizer.kind}",
                hint="Prepare a store with tasks.NAME.column=... and teach them: foretell finetune task=tokens.",
            )
        asked = [records] if isinstance(records, str) else list(records)
        return list(answers(self.engine, self.tokenizer, asked, task, grammar=grammar))

    def predict(self, records: Iterable[Any]) -> list[Predicted]:
        """What a model that was fine-tuned on labels says of each record: see `core.finetuning.predict.Predicted`.

        Args:
            records: as for `score`; of a model of pairs, two records each.

        Raises ConfigError for a model without a head, InputError for a record that cannot be encoded.
        """
        from core.finetuning.head import load_head
        from core.finetuning.predict import pair_predictions, predictions

        head = load_head(self.head, self.bundle.model.hidden_width)
        if head.config.pairs:
            pairs = list(records)
            if any(isinstance(pair, str) or not hasattr(pair, "__len__") or len(pair) != 2 for pair in pairs):
                raise ConfigError("this model says something of pairs: it is asked of two records each")
            first, second = (list(self._encoded([pair[side] for pair in pairs])) for side in (0, 1))
            return list(pair_predictions(self.engine, head, zip(first, second, strict=True)))
        return list(predictions(self.engine, head, self._encoded(records)))

    def forecast(
        self,
        data: Any,
        horizon: int,
        *,
        quantiles: tuple[float, ...] = (0.1, 0.5, 0.9),
        draws: int = 100,
        seed: int = 0,
        **options: Any,
    ) -> Any:
        """What follows the series or trajectories in `data`, as the domain shows it; for time series a data frame.

        Args:
            data: in a form that the domain reads: a data frame `unique_id, ds, y`, say.
            horizon: steps to come.
            quantiles: levels in (0, 1).
            draws: drawn paths that quantiles beyond the first patch come from.
            options: of the domain (`known=` future-known covariates).

        Raises ConfigError for a domain whose records do not go on, InputError for data that cannot be read.
        """
        asked = {"quantiles": tuple(quantiles), "draws": draws, "seed": seed, **options}
        return self.domain.load("forecast")(self, data, horizon, **asked)

    def export(self, path: str | os.PathLike[str], *, format: str = "transformers") -> str:
        """Writes the model as a folder that another library loads, with equal logits.

        Args:
            path: the folder to make; one that an export wrote is replaced.
            format: transformers or mamba_ssm.

        Returns: the class of that library that loads it.

        Raises ConfigError, with the reasons, where no class of that library can be this model.
        """
        from core.interchange.export import Origin, export_folder

        if len(self.members) > 1:
            raise ConfigError(f"these are {len(self.members)} models, and a folder holds one: load one of them")
        bundle = self.bundle
        origin = Origin(bundle.tokenizer, bundle.domain, bundle.card, bundle.fingerprint, self.knows_ends)
        return export_folder(Path(path), bundle.model, origin, format=format)

    def _drawn(self, sample: Any, start: Tokens, number: int, redrawn: int) -> Drawn:
        sample.sequence.id = f"{start.id}.sample_{number}" if start.id else f"sample_{number}"
        sample.sequence.labels = start.labels
        record = self.tokenizer.decode(sample.sequence)
        return Drawn(record, sample.nll, sample.n_tokens, sample.finished, sample.masked_mass, redrawn)

    def _encoded(self, records: Iterable[Any]) -> list[Tokens]:
        one = isinstance(records, str)  # a text is one record, not a list of letters
        return [self.tokenizer.encode(record) for record in ([records] if one else records)]


def knows_ends(training: Mapping[str, Any]) -> bool:
    """Whether a bundle's `training` says that it saw whole records."""
    return bool(training.get("batching", {}).get("kind", "windows") != "windows")


def load(
    path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    device: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    batch_tokens: int = 4096,
    exact: bool = False,
    seed: int = 0,
    window: WindowPolicy | None = None,
    verify: bool = True,
    adapter: str | os.PathLike[str] | None = None,
) -> Model:
    """The model in a bundle, or in the run folder that has one; of several, their ensemble.

    Args:
        path: several are models of one tokenizer, whose forecasts and likelihoods are averaged: see `core.ensemble`.
        device, precision, threads, batch_tokens, exact, seed, window: see `core.engine.Engine`.
        verify: compare every file's sha256 first.
        adapter: a folder that fine-tuning wrote (`adapter_out=`, or RUN/bundle/adapter) for this very bundle.

    Raises:
        ConfigError: no bundle is there, or several are not of one tokenizer.
        IntegrityError: it is damaged, or the adapter is another bundle's.
    """
    from core.bundle import load_bundle
    from core.engine import Engine

    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    bundles = [load_bundle(bundle_path(one), verify=verify) for one in paths]
    head = None if adapter is None else Path(adapter)
    if not bundles or (head is not None and len(bundles) > 1):
        raise ConfigError(f"got {len(bundles)} bundles; an adapter belongs to one" if bundles else "got no bundle")
    bundle = bundles[0]
    if head is not None:
        from core.finetuning.adapters import load_adapter

        bundle = replace(bundle, model=load_adapter(head, bundle.model, bundle.fingerprint))
    options: dict[str, Any] = {
        "device": device,
        "precision": precision,
        "threads": threads,
        "batch_tokens": batch_tokens,
        "exact": exact,
        "seed": seed,
        "window": window,
    }
    if len(bundles) == 1:
        return Model(bundle, Engine(bundle.model, **options), head)
    from core.ensemble import Ensemble

    for other in bundles[1:]:
        if other.tokenizer["fingerprint"] != bundle.tokenizer["fingerprint"]:
            raise ConfigError(
                f"{other.path} has another tokenizer than {bundle.path}", hint="Models of one tokenizer are averaged."
            )
    return Model(bundle, Ensemble([one.model for one in bundles], **options), members=tuple(bundles))


def bundle_path(path: str | os.PathLike[str]) -> Path:
    """`path` itself, or the bundle inside it where it is a run folder; `starter/DOMAIN`: see `domains.starters`."""
    from domains import starters

    place = starters.find(path) or Path(path)
    inside = place / "bundle"
    return inside if inside.is_dir() else place


def train(
    data: Any,
    run: str | os.PathLike[str],
    *,
    domain: str | None = None,
    tokenizer: str | None = None,
    tokenizer_options: Mapping[str, Any] | None = None,
    split: Mapping[str, Any] | None = None,
    model: str | ModelConfig = "transformer",
    size: str = "s",
    batching: BatchingConfig | Mapping[str, Any] | None = None,
    objective: str | Mapping[str, Any] = "next_token",
    init_from: str | os.PathLike[str] | None = None,
    init_vocabulary: str = "keep",
    readouts: Mapping[str, str] | None = None,
    seed: int = 0,
    views: bool = True,
    val_tokens: int = 2**15,
    workers: int = 0,
    progress: bool = False,
    **training: Any,
) -> Model:
    """Trains a model, or goes on where the run folder stands.

        model = foretell.train("genome.fa", "run", domain="dna", minutes=1)

    Args:
        data: a token store or its path; or files, records, a data frame or an array, as `domain` reads them, which are
            prepared into `RUN.zarr` first.
        run: the run folder.
        tokenizer, tokenizer_options, split: how files and records are prepared; see `foretell prepare --help`.
        model: a pattern by name (transformer, mamba, mamba2, hybrid), its letters, or a ModelConfig.
        size: xs, s, m or l.
        objective: by name, or `{"kind": "multi_token", "tokens": 3}`.
        readouts: kind per real target field: `{"values": "student_t"}`.
        init_from: a bundle to start from, or a folder of transformers or mamba-ssm; its tokenizer is taken where it
            has one, and its shape of model.
        init_vocabulary: "keep" its embedding and readout, or "new" ones for the store's ids: see `core.start`.
        training: fields of `core.training.config.TrainingConfig`; one of steps, tokens and minutes must be given.
            With `init_from`, where they are not given: the start's optimizer at a third of its peak rate (AdamW at 1e-3
            for another library's model), and its `batching` where the data are long enough.

    Raises as `core.recipe.train` and `core.ingest.prepare_store`.
    """
    from core.batching.config import BatchingConfig
    from core.nn.config import ModelConfig, size_config
    from core.recipe import Recipe, Source, suited_batching
    from core.recipe import train as run_recipe
    from core.start import going_on, load_start
    from core.tokenizer import restore
    from core.training.config import TrainingConfig
    from domains import DOMAINS, tokenizer_classes
    from domains.own_data import as_store

    start = load_start(bundle_path(init_from) if init_from else None, init_vocabulary)
    described = (tokenizer, tokenizer_options, split, seed)
    store = as_store(data, Path(run), domain, described, start)
    if start is not None:
        start.check(store)
    known = start.reading(store) if start else None
    reading = restore(known or store.tokenizer, tokenizer_classes())
    source = Source([store], [1.0], reading, DOMAINS.get(store.domain).load("data_module"))
    cut = batching if isinstance(batching, BatchingConfig) else suited_batching(source, batching or {}, start)
    if isinstance(model, ModelConfig):
        shape = model
    elif start is not None:
        shape = replace(start.config, context=cut.length)
    else:
        shape = size_config(size, model, context=cut.length)
    said = {"seed": seed, **training}
    learned: dict[str, Any] = {"kind": objective} if isinstance(objective, str) else dict(objective)
    recipe = Recipe(
        shape,
        cut,
        going_on(start, said) if start else TrainingConfig.from_config(said),
        objective=learned.pop("kind"),
        objective_options=learned,
        readouts=readouts or (start.readouts if start else {}),
        seed=seed,
        views=views,
        val_tokens=val_tokens,
    )
    result = run_recipe(recipe, source, Path(run), init_from=start, workers=workers, progress=progress)
    return load(result.bundle)


def finetune(
    init_from: str | os.PathLike[str],
    data: Any,
    run: str | os.PathLike[str],
    *,
    task: str,
    label: str | Iterable[str],
    adapter: str | AdapterConfig = "full",
    split: Mapping[str, Any] | None = None,
    scratch: bool = False,
    adapter_out: str | os.PathLike[str] | None = None,
    pairs: str | os.PathLike[str] | PairTable | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    say: Callable[[str], None] = lambda text: None,
    **supervised: Any,
) -> Model:
    """Learns labels with a trained model; `model.bundle.metrics["verdict"]` says whether that was worth it.

        model = foretell.finetune("run", "assays.zarr", "tuned", task="regress", label="activity", adapter="lora")
        print(model.predict(["MKVLAAGW"])[0].mean)

    Args:
        init_from: a bundle or run. data: as for `train`. run: a new folder, or that of the same run.
        task: classify or regress; more sequences without labels are learned by `train(init_from=)`.
        label: columns; several of numbers, or of 0 and 1.
        adapter: full, head, lora, dora, ia3, or an AdapterConfig.
        scratch: whether the same model from random weights is measured beside it.
        adapter_out: a folder for the adapter alone.
        pairs: a table of pairs of the data's records whose labels are learned, or its file.
        supervised: fields of `core.finetuning.config.SupervisedConfig`.

    Raises as `core.finetuning.run.finetune`, IntegrityError for a run folder of another run.
    """
    from core.config_keys import from_keys
    from core.finetuning.config import AdapterConfig, SupervisedConfig
    from core.finetuning.job import LabelJob
    from core.start import load_start
    from core.tokenizer import restore
    from domains import DOMAINS, tokenizer_classes
    from domains.own_data import as_store

    start = bundle_path(init_from)
    store = as_store(data, Path(run), None, (None, None, split, seed), load_start(start))
    config = from_keys(SupervisedConfig, supervised, "supervised")
    changed = AdapterConfig(adapter) if isinstance(adapter, str) else adapter
    domain = DOMAINS.get(store.domain)
    if isinstance(pairs, str | os.PathLike):
        from domains.formats.pair_table import read_pairs

        pairs = read_pairs(Path(pairs))
    columns = (label,) if isinstance(label, str) else tuple(label)
    job = LabelJob(start, store, task, columns, changed, config, pairs)
    job.run(
        Path(run),
        domain.load("features") if domain.features else None,
        tokenizer=restore(store.tokenizer, tokenizer_classes()),
        seed=seed,
        scratch=scratch,
        adapter_out=None if adapter_out is None else Path(adapter_out),
        device=device,
        precision=precision,
        say=say,
    )
    return load(run, device=device)
