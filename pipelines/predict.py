"""`foretell predict`: every row of a token store through a bundle into a prediction store, resumable."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import foretell
from core.durable import read_json
from core.errors import ConfigError
from core.prediction.options import LaunchOptions, PredictOptions
from pipelines.settings import Settings, command, finish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.bundle import Bundle
    from core.grammar import Grammar
    from core.prediction.block import OtherStrand


@dataclass(frozen=True, kw_only=True)
class PredictKeys(Settings, PredictOptions, LaunchOptions):
    mode: str = "auto"
    """records: the end of a record is predicted as well; windows: it is not; auto: as the model was trained."""
    bundle: Path
    """The trained model: RUN/bundle, or RUN."""
    input: Path
    """The token store; of the model's tokenizer."""
    output: Path
    """The prediction store to write: a folder, P.zarr. The same command again does what is missing in it."""
    what: tuple[str, ...] = ("score",)
    """Some of score, token_scores, embedding, sample, forecast, compare (log-likelihood ratios of a store's pairs)."""
    table: Path | None = None
    """Also a table for people, .csv or .parquet: a line a row, or a pair where what has compare."""
    tracks: Path | None = None
    """Also the token scores as tracks of a genome browser, in bits a base (.bedgraph or .bedgraph.gz), of DNA."""
    launcher: str = "inprocess"
    """Who runs the blocks; inprocess: this process, one after the other; local: several processes on this machine;
    dask: a Dask cluster; slurm: an array job. The output's bytes are the same."""
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
        if len(self.block_range) not in (0, 2):
            raise ConfigError(f"block_range: got {list(self.block_range)}, allowed: [first, one behind the last]")
        if self.table is not None and self.table.suffix not in (".csv", ".parquet"):
            raise ConfigError(f"table: got {self.table.name}, expected a name that ends in .csv or .parquet")
        if self.tracks is not None and "token_scores" not in self.what:
            raise ConfigError("tracks: tracks are token scores", hint="Add token_scores to what.")


OPTIONS = PredictKeys


def run(options: PredictKeys) -> None:
    from core.prediction.predict import predict
    from pipelines.progress import block_bar

    bundle = foretell.bundle_path(options.bundle)
    options.begin()
    if options.dry_run:
        _estimate(options, bundle)
        return
    with block_bar(options.shows_progress) as bar:
        report = predict(
            bundle,
            options.input,
            options.output,
            what=options.what,
            options=_predict_options(options, bundle),
            launcher=options.launcher,
            launch=LaunchOptions(**{f.name: getattr(options, f.name) for f in fields(LaunchOptions)}),
            block_range=(options.block_range[0], options.block_range[1]) if options.block_range else None,
            progress=bar,
            grammar=_grammar,
            other_strand=_other_strand,
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
    print(f"{report.ok:,} of {report.rows:,} rows{refused}; {report.tokens:,} tokens in {report.seconds:.1f} s{kept}")
    if report.pairs:
        print(f"{report.pairs:,} pairs compared")
    if report.missing:
        print(f"{report.missing:,} of {report.blocks:,} blocks are missing yet: {report.path} is not complete")
        return
    for place in _files(options):
        print(f"written: {place}")
    finish(f"predictions in {report.path}", f"{command('describe')} {report.path}")


def _predict_options(options: PredictKeys, bundle: Path) -> PredictOptions:
    """What core is asked for. Raises ConfigError for values that are not allowed."""
    values = {f.name: getattr(options, f.name) for f in fields(PredictOptions)}
    if options.mode == "auto":
        config = bundle / "config.json"  # where there is no bundle, core says so
        ends = config.is_file() and foretell.knows_ends(read_json(config)["training"])
        values["mode"] = "records" if ends else "windows"
    return PredictOptions(**values)


def _files(options: PredictKeys) -> Iterator[Path]:
    """Writes what was asked for beside the prediction store."""
    from core.prediction.store import PredictionStore
    from core.store import TokenStore
    from domains import DOMAINS

    if options.table is None and options.tracks is None:
        return
    found, store = PredictionStore.open(options.output), TokenStore.open(options.input)
    if options.table is not None:
        labels = {name: store.labels(name) for name in store.label_names}
        of = "pair" if "compare" in options.what else "row"
        yield found.to_table(options.table, ids=store.ids, labels=labels, of=of)
    if options.tracks is not None:
        yield DOMAINS.get(store.domain).load("tracks")(found, store, options.tracks)


def _other_strand(bundle: Bundle) -> OtherStrand | None:
    from core.tokenizer import restore
    from domains import tokenizer_classes

    return getattr(restore(bundle.tokenizer, tokenizer_classes()), "other_strand", None)


def _grammar(bundle: Bundle) -> Grammar | None:
    from core.tokenizer import restore
    from domains import tokenizer_classes

    return restore(bundle.tokenizer, tokenizer_classes()).grammar()


def _estimate(options: PredictKeys, bundle: Path) -> None:
    from core.bundle import load_bundle
    from core.store import TokenStore
    from pipelines.estimate import inference_estimate

    print(inference_estimate(load_bundle(bundle).model, TokenStore.open(options.input).n_tokens, options.batch_tokens))
