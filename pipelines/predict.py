"""`foretell predict`: every row of a store, of arrays or of files through a bundle into a prediction store."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import foretell
from core.durable import read_json
from core.errors import ConfigError, nearest
from core.launch.options import LaunchOptions
from core.prediction.options import PredictOptions
from pipelines.settings import Settings, command, finish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.bundle import Bundle
    from core.grammar import Grammar
    from core.prediction.block import OtherStrand
    from core.prediction.input import Reader


@dataclass(frozen=True, kw_only=True)
class PredictKeys(Settings, PredictOptions, LaunchOptions):
    mode: str = "auto"
    """records: the end of a record is predicted as well; windows: it is not; auto: as the model was trained."""
    bundle: Path
    """The trained model: RUN/bundle, or RUN."""
    input: dict[str, Any] = field(default_factory=lambda: {"path": None})
    """input=STORE: a token store, a Zarr group of your own, or files, folders and patterns of raw records; a path or,
    of stores and groups, a URL. Of a group, which arrays are what: input.array=, or input.values= and input.offsets=,
    input.ids=, input.time=. Further keys say how records are read, as those below `data` do for prepare."""
    output: str
    """The prediction store to write: a folder, P.zarr, or a URL. The same command again does what is missing in it."""
    max_bad: float = 0.01
    """The share of rows that may be no record for the model's tokenizer before that is an error."""
    what: tuple[str, ...] = ("score",)
    """Some of score, token_scores, embedding, sample, forecast, compare (log-likelihood ratios of a store's pairs) and
    predict (what a model is for: classes or values where it was fine-tuned on labels, a forecast of real values)."""
    pairs: Path | None = None
    """Of a bundle that was fine-tuned on pairs: a CSV whose first two columns (or first, second) name records of the
    token store `input`. `output` is a table then, .csv or .parquet, a line a pair; `what` says nothing."""
    ask: tuple[str, ...] = ()
    """Of a bundle that was taught tasks: which of them each record is asked, or `all`. `output` is a table then,
    .csv or .parquet, a line for each record and task; `what` says nothing."""
    table: Path | None = None
    """Also a table for people, .csv or .parquet: a line a row, or a pair where what has compare. `split` tells the
    training rows of a token store from the others."""
    tracks: Path | None = None
    """Also the token scores as tracks of a genome browser, in bits a base (.bedgraph or .bedgraph.gz), of DNA."""
    launcher: str = "inprocess"
    """Who runs the blocks; inprocess: this process, one after the other; local: several processes on this machine;
    dask: a Dask cluster; slurm: an array job. The output's bytes are the same."""
    workers: int = 0
    """Processes of launcher=local and dask, tasks of slurm; 0: local and dask as many as cores allow, slurm 8."""
    block_range: tuple[int, ...] = ()
    """[first, one behind the last] block to do, for any scheduler's array: who finishes last completes the output."""
    batch_tokens: int = 4096
    """Positions that the model reads at once, padding included."""
    exact: bool = False
    """Run every row alone: equal to the last bit at any batch_tokens, and slower."""
    rows_per_block: int | None = None
    """A power of two; null takes blocks of some seconds' work."""

    def __post_init__(self) -> None:
        Settings.__post_init__(self)  # PredictOptions checks its own when `run` makes it
        if not self.input.get("path"):
            guess = next((nearest(f"input.{key}", ("input.path",)) for key in self.input if key != "path"), "")
            raise ConfigError(f"input= is required{guess}", hint="A token store, a Zarr group, or files of your own.")
        if not 0 <= self.max_bad <= 1:
            raise ConfigError(f"max_bad: got {self.max_bad}, allowed: a share from 0 to 1")
        if len(self.block_range) not in (0, 2):
            raise ConfigError(f"block_range: got {list(self.block_range)}, allowed: [first, one behind the last]")
        if self.table is not None and self.table.suffix not in (".csv", ".parquet"):
            raise ConfigError(f"table: got {self.table.name}, expected a name that ends in .csv or .parquet")
        if self.tracks is not None and "token_scores" not in self.what:
            raise ConfigError("tracks: tracks are token scores", hint="Add token_scores to what.")

    @property
    def places(self) -> str | list[str]:
        """What `input.path` says."""
        given = self.input["path"]
        return str(given) if isinstance(given, str | Path) else [str(one) for one in given]


OPTIONS = PredictKeys


def run(options: PredictKeys) -> None:
    from core.prediction.predict import predict
    from pipelines.progress import block_bar

    bundle = foretell.bundle_path(options.bundle)
    options.begin()
    if options.pairs is not None:
        _pairs(options, bundle)
        return
    if options.ask:
        from pipelines.answers import write_answers

        write_answers(options, bundle)
        return
    _check_tracks(options)
    if options.dry_run:
        _estimate(options, bundle)
        return
    with block_bar(options.shows_progress) as bar:
        report = predict(
            bundle,
            options.places,
            options.output,
            what=options.what,
            options=_predict_options(options, bundle),
            launcher=options.launcher,
            launch=LaunchOptions(**{f.name: getattr(options, f.name) for f in fields(LaunchOptions)}),
            block_range=(options.block_range[0], options.block_range[1]) if options.block_range else None,
            progress=bar,
            grammar=_grammar,
            other_strand=_other_strand,
            reader=make_reader,
            keys={key: value for key, value in options.input.items() if key != "path"},
            max_bad=options.max_bad,
            seed=options.seed,
            device=options.device,
            precision=options.inference_precision,
            kernel=options.kernel,
            threads=options.threads,
            batch_tokens=options.batch_tokens,
            exact=options.exact,
            rows_per_block=options.rows_per_block,
        )
    refused = "".join(f", {n:,} refused ({reason})" for reason, n in report.refused.items())
    kept = f", {report.blocks_kept:,} of {report.blocks:,} blocks were there already" if report.blocks_kept else ""
    rows = f"{report.ok:,} of {report.rows:,} rows{' of the blocks that are done' if report.missing else ''}"
    print(f"{rows}{refused}; {report.tokens:,} tokens in {report.seconds:.1f} s{kept}")
    if learned := _learned_from(options, bundle):
        print(learned)
    if report.pairs:
        print(f"{report.pairs:,} pairs compared")
    if report.missing:
        print(f"{report.missing:,} of {report.blocks:,} blocks are missing yet: {report.path} is not complete")
        print("next: the same command with the other blocks, or without block_range=")
        return
    for place in _files(options):
        print(f"written: {place}")
    finish(f"predictions in {report.path}", f"{command('describe')} {report.path}")


def _pairs(options: PredictKeys, path: Path) -> None:
    """Writes what a bundle says of a table of pairs. Raises ConfigError for a bundle that reads no pairs."""
    from core.bundle import load_bundle
    from core.engine import Engine
    from core.finetuning.head import load_head
    from core.prediction.labels import pair_columns
    from core.prediction.table import check_table, write_table
    from core.recipe import of_domain, readable
    from core.store import TokenStore
    from domains.formats.pair_table import read_pairs

    bundle = load_bundle(path)
    head = load_head(bundle.path, bundle.model.hidden_width)
    if options.pairs is None or not head.config.pairs:
        raise ConfigError(
            f"pairs: {path} was fine-tuned on single records", hint="foretell finetune pairs=... makes one for pairs."
        )
    if not isinstance(options.places, str):
        raise ConfigError("input: the records of pairs are those of one token store", hint="Prepare them first.")
    output = check_table(Path(options.output))
    store, table = TokenStore.open(options.places), read_pairs(options.pairs)
    of_domain(store, bundle.domain)
    readable(store, bundle.tokenizer, str(path))
    if options.dry_run:
        print(f"{len(table):,} pairs of {len({*table.first, *table.second}):,} records")
        return
    engine = Engine(bundle.model, device=options.device, batch_tokens=options.batch_tokens)
    columns, unknown = pair_columns(engine, head, store, table)
    write_table(output, columns)
    print(
        f"{len(table) - unknown:,} of {len(table):,} pairs" + (f", {unknown:,} of unknown records" if unknown else "")
    )
    print(f"predictions in {output}")


def _predict_options(options: PredictKeys, bundle: Path) -> PredictOptions:
    """What core is asked for. Raises ConfigError for values that are not allowed."""
    values = {f.name: getattr(options, f.name) for f in fields(PredictOptions)}
    if options.mode == "auto":
        config = bundle / "config.json"  # where there is no bundle, core says so
        ends = config.is_file() and foretell.knows_ends(read_json(config)["training"])
        values["mode"] = "records" if ends else "windows"
    return PredictOptions(**values)


def _check_tracks(options: PredictKeys) -> None:
    """Raises ConfigError for tracks that could not be drawn, before anything is predicted."""
    from core.places import place
    from core.prediction.input.opening import is_token_store
    from core.store import TokenStore
    from domains import DOMAINS

    if options.tracks is None:
        return
    if not isinstance(options.places, str) or not is_token_store(place(options.places)):
        raise ConfigError("tracks: they are drawn along the records of a token store", hint="Prepare one first.")
    DOMAINS.get(TokenStore.open(options.places, verify="metadata").domain).load("tracks")


def _files(options: PredictKeys) -> Iterator[Path]:
    """Writes what was asked for beside the prediction store."""
    from core.prediction.store import PredictionStore
    from core.store import TokenStore
    from domains import DOMAINS

    if options.table is None and options.tracks is None:
        return
    found = PredictionStore.open(options.output)
    prepared = "kind" not in found.plan["input"]
    store = TokenStore.open(options.places) if isinstance(options.places, str) and prepared else None
    if options.table is not None:
        labels = {name: store.labels(name) for name in store.label_names} if store is not None else {}
        splits = store.row_splits() if store is not None and len(store.spans()) else None
        of = "pair" if "compare" in options.what else "row"
        yield found.to_table(options.table, labels=labels, splits=splits, of=of)
    if options.tracks is not None and store is not None:
        yield DOMAINS.get(store.domain).load("tracks")(found, store, options.tracks)


def _learned_from(options: PredictKeys, bundle: Path) -> str:
    """How many rows the model was trained on, where the input is the bundle's own store; else nothing."""
    from core.places import place
    from core.prediction.input.opening import is_token_store
    from core.store import TokenStore

    if not isinstance(options.places, str) or not is_token_store(place(options.places)):
        return ""
    store = TokenStore.open(options.places, verify="metadata")
    if store.fingerprint not in read_json(bundle / "config.json")["training"].get("stores", ()):
        return ""
    learned = len(set(store.spans("train")[:, 0].tolist()))
    return f"{learned:,} of {len(store):,} rows are of the training part: the model has learned from them"


def make_reader(bundle: Bundle) -> Reader:
    from core.prediction.input import Reader
    from core.tokenizer import restore
    from domains import DOMAINS, tokenizer_classes

    domain = DOMAINS.get(bundle.domain)
    parts = {"text": domain.text_row, "values": domain.values_row, "source": domain.source}
    named = {"text": "text_row", "values": "values_row", "source": "source"}
    found = {part: domain.load(named[part]) if given else None for part, given in parts.items()}
    return Reader(restore(bundle.tokenizer, tokenizer_classes()), **found)


def _other_strand(bundle: Bundle) -> OtherStrand | None:
    from core.tokenizer import restore
    from domains import tokenizer_classes

    return getattr(restore(bundle.tokenizer, tokenizer_classes()), "other_strand", None)


def _grammar(bundle: Bundle) -> Grammar[Any] | None:
    from core.tokenizer import restore
    from domains import tokenizer_classes

    return restore(bundle.tokenizer, tokenizer_classes()).grammar()


def _estimate(options: PredictKeys, bundle: Path) -> None:
    from core.bundle import load_bundle
    from core.places import place
    from core.prediction.input.opening import find_input, remove_unused_tokens
    from pipelines.estimate import inference_estimate

    loaded = load_bundle(bundle)
    keys = {key: value for key, value in options.input.items() if key != "path"}
    reader, output = make_reader(loaded), place(options.output)
    try:
        rows = find_input(options.places, keys, reader, output, domain=loaded.domain, max_bad=options.max_bad)
        print(inference_estimate(loaded.model, len(rows) * rows.row_tokens, options.batch_tokens))
    finally:
        remove_unused_tokens(output)
