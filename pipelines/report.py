"""`foretell report`: one self-contained HTML page about a run, from what train, evaluate and sample left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from core.amounts import duration, size
from core.errors import ConfigError, nearest_path
from domains import title_of
from pipelines.label_report import label_page, learned_labels
from pipelines.run_record import RunRecord
from pipelines.settings import Settings, command, finish

if TYPE_CHECKING:
    from core.evaluation import MetricTable
    from core.report import Headline, LearningCurve, Listing, Page, Section

_SAMPLES_SHOWN = 6
_LETTERS_SHOWN = 600
_FOLDED = 300
"""Letters from which on a list of the data's source is folded away: the sha256 of four files."""
_BEGINNING = 4096
"""Bytes of a file of samples that are looked at: one of them is 0 where it is no text."""


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Settings):
    run: Path
    """The run folder."""
    out: Path | None = None
    """The page to write; RUN/report.html where not given."""
    evaluation: Path | None = None
    """The folder that evaluate wrote; found in the run folder or beside it where not given."""
    samples: Path | None = None
    """The file that sample wrote; found likewise."""
    prediction: Path | None = None
    """A prediction store to tell of; found likewise as prediction.zarr."""


OPTIONS = ReportOptions


def run(options: ReportOptions) -> None:
    from core.report import build_page, write_page

    _check_places(options)
    record = RunRecord(options.run)
    kind = record.config["domain"]
    if record.bundle is None:
        raise ConfigError(
            f"{options.run}, a run of domain {kind}, has no bundle yet: there is nothing to report",
            hint=f"How far it is: foretell describe {options.run}",
        )
    out = options.out or options.run / "report.html"
    labels = learned_labels(record)
    with TemporaryDirectory() as drawn:
        write_page(out, build_page(label_page(record, Path(drawn)) if labels else page(record, options)))
    for line in [] if labels else not_found(record, options):
        print(line)
    finish(f"page in {out}", "open it in a browser; " + command("compare") + f" {options.run} OTHER_RUN")


def _check_places(options: ReportOptions) -> None:
    """Raises ConfigError, with the nearest path, for what was named and is not there."""
    for key in ("evaluation", "samples", "prediction"):
        path = getattr(options, key)
        if path is not None and not path.exists():
            raise ConfigError(f"{key}: there is nothing at {path}{nearest_path(path)}")


def not_found(record: RunRecord, options: ReportOptions) -> list[str]:
    """An evaluation that the page could have shown, and what was named and has nothing to show."""
    lines = []
    if record.evaluation(options.evaluation) is None:
        lines.append("no evaluation of this model was found: foretell evaluate makes one, evaluation=FOLDER names one")
    if options.samples is not None and not _samples(record, options):
        lines.append(f"no samples were found in {options.samples}: foretell sample makes some")
    if options.prediction is not None and not _prediction(record, options):
        lines.append(f"no predictions of this model were found in {options.prediction}")
    return lines


def page(record: RunRecord, options: ReportOptions) -> Page:
    """Everything that is known of the run, in reading order."""
    from core.report import Commands, Figures, Listing, Metrics, Page
    from core.report.gallery import read_gallery
    from core.run_folder import CONFIG

    found = record.evaluation(options.evaluation)
    head = headline(record, options.evaluation)
    sections: list[Section] = []
    curve = learning_curve(record, head)
    if found is not None:
        folder, table = found
        sections.append(Metrics(table))
        if figures := read_gallery(folder):
            sections.append(Figures(figures))
    sections.insert(0, curve)
    sections += _samples(record, options)
    sections += _data(record)
    sections.append(_training(record))
    sections += _prediction(record, options)
    sections.append(Listing("Configuration", (record.path / CONFIG).read_text(encoding="utf-8"), summary="config.yaml"))
    bundle = record.path / "bundle"
    sections.append(
        Commands(
            {
                "Draw new records": command("sample", bundle=bundle, n=100),
                "Score a store of your own": command("predict", bundle=bundle, input="own.zarr", output="scores.zarr"),
                "Go on with data of your own": command(
                    "finetune", init_from=bundle, store="own.zarr", task="continue", run="own_run"
                ),
            }
        )
    )
    return Page(
        title=f"A model of {_what(record)}",
        lead=_lead(record),
        sections=sections,
        headline=head,
        kicker=title_of(record.config["domain"]),
    )


def headline(record: RunRecord, evaluation: Path | None = None) -> Headline | None:
    """The first metric of the run's evaluation, beside its baselines."""
    found = record.evaluation(evaluation)
    return None if found is None else headline_of(found[1])


def headline_of(table: MetricTable) -> Headline:
    """The first metric of a table, beside its baselines."""
    from core.evaluation import lower_is_better
    from core.report import Headline

    first = table.rows[0]
    words = f"{first.name.replace('_', ' ')} on {first.split}"
    return Headline(table, first.name, first.split, words, lower_is_better(first.name))


def learning_curve(record: RunRecord, head: Headline | None) -> LearningCurve:
    """Training and validation as the run measures them, over tokens; the best baseline as a level."""
    from core.report import LearningCurve, Line

    x, loss = record.column("loss")
    lines = [
        Line("training", x, [v * record.bits_per_nat for v in loss]),
        Line("validation", *record.column(record.val_column)),
    ]
    levels = {}
    best = head.comparison if head is not None and head.name == record.measure.replace(" ", "_") else None
    if head is not None and best is not None:
        row = head.table.find(head.name, head.split, best.baseline)
        if row is not None and row.value is not None:
            levels[best.baseline] = row.value
    note = (
        "The level is the best baseline on the test split; the curves are of training and validation." if levels else ""
    )
    log = record.measure.startswith("loss")
    return LearningCurve("Learning curve", lines, "tokens", record.measure, levels, note, log=log)


def _what(record: RunRecord) -> str:
    """The data's own words for itself."""
    from core.data_report import in_short

    said = []
    for store in _stores(record):
        source = store.attrs.get("source", {})
        files = source.get("where")
        said.append(in_short(files) if isinstance(files, list) else str(source.get("what", "")).partition(":")[0])
    return "; ".join(filter(None, said)) or str(record.config["domain"])


def _stores(record: RunRecord) -> list[Any]:
    """The run's token stores, those that are still where they were."""
    from core.store import TokenStore

    paths = [Path(entry["store"]) for entry in record.config["data"]]
    return [TokenStore.open(path) for path in paths if path.is_dir()]


def _lead(record: RunRecord) -> str:
    model, best = record.config["model"], record.best
    tokens, seconds = record.last_step.get("tokens"), record.seconds
    read = f" on {tokens:,} tokens" if tokens else ""
    took = f" in {duration(seconds)}" if seconds else ""
    after = f", after {best['tokens']:,} tokens" if best.get("tokens", tokens) != tokens else ""
    return (
        f"{model['layers']} layers of pattern {model['pattern']}, width {model['width']}, trained{read}{took}; the "
        f"best weights, which were kept, are those of step {best.get('step', 0):,} of {record.steps_planned or 0:,}"
        f"{after}."
    )


def _samples(record: RunRecord, options: ReportOptions) -> list[Section]:
    from core.report import Sample, Samples, Text
    from domains import DOMAINS

    suffix = DOMAINS.get(record.config["domain"]).suffix
    path = options.samples or record.beside(f"samples{suffix}")
    if path is None or not path.is_file():
        return []
    with open(path, "rb") as file:
        if b"\0" in file.read(_BEGINNING):
            return [Text("Samples", _lying_in(path))]
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read(_SAMPLES_SHOWN * 4 * _LETTERS_SHOWN)
    shown = []
    for block in filter(None, text.split(">") if text.startswith(">") else text.split("\n\n")):
        first, _, rest = block.partition("\n")
        heading, body = (first, rest.replace("\n", "")) if text.startswith(">") else ("", block)
        cut = " ..." if len(body) > _LETTERS_SHOWN else ""
        shown.append(Sample(body[:_LETTERS_SHOWN] + cut, heading))
    given = "drawn" in text.partition("\n")[0].split(",")  # of series that go on
    made = "rows with drawn=0 were given, those with drawn=1 are" if given else ""
    said = f"{made} made by the model, not real data.".lstrip()
    return [Samples(shown[:_SAMPLES_SHOWN], note=f"The first of {path.name}; {said}")]


def _lying_in(path: Path) -> str:
    """Where samples are that cannot be read as text: in one file, and each in its own where there is such a folder."""
    from domains import samples_folder

    folder = samples_folder(path)
    each = sum(file.suffix == path.suffix for file in folder.iterdir()) if folder.is_dir() else 0
    apart = f"{each:,} samples lie in the folder {folder}, a file each, and all together" if each else "The samples lie"
    return f"{apart} in {path}. They were made by the model and are not real data."


def _data(record: RunRecord) -> list[Section]:
    from core.data_report import DataReport, in_short
    from core.report import Facts, Listing

    sections: list[Section] = []
    for store in _stores(record):
        source: dict[str, object] = {k: _said(v) for k, v in store.attrs.get("source", {}).items() if v}
        if "where" in source:
            source["where"] = in_short(store.attrs["source"]["where"])
        if isinstance(size_on_disk := store.attrs.get("source", {}).get("bytes"), int):
            source["bytes"] = size(size_on_disk)
        sections.append(Facts("Data", {**source, "store": store.path, "tokens": f"{store.n_tokens:,}"}))
        if report := store.attrs.get("report"):
            sections.append(Listing("Data report", DataReport(**report).to_text()))
    return sections


def _said(value: Any) -> str | Listing:
    """A value of a store's source as a reader wants it: in words, folded away where it is long."""
    from core.report import Listing

    text = _in_words(value)
    if len(text) <= _FOLDED or not isinstance(value, dict | list):
        return text
    pairs = [(str(name), f"{name}: {_in_words(one)}") for name, one in value.items()] if isinstance(value, dict) else []
    names, lines = [name for name, _ in pairs], [line for _, line in pairs] or list(map(_in_words, value))
    ends = f": {names[0]} to {names[-1]}" if names else " entries"
    return Listing("", "\n".join(lines), summary=f"{len(lines):,}{ends}" if len(names) != 1 else names[0])


def _in_words(value: Any) -> str:
    """Lists and mappings without brackets and quotes."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_in_words(one)}" for name, one in value.items())
    return ", ".join(map(_in_words, value)) if isinstance(value, list) else str(value)


def _training(record: RunRecord) -> Section:
    from core.report import Facts

    training, speeds = record.config["training"], record.column("tokens_per_second")[1]
    facts = {
        "steps": f"{record.last_step.get('step', 0):,} of {record.steps_planned or 0:,}",
        "tokens": f"{record.last_step.get('tokens', 0):,}",
        "time": f"{duration(record.seconds or 0)} ({record.seconds or 0:,.0f} s)",
        "tokens a second": f"{sorted(speeds)[len(speeds) // 2]:,.0f} (median)" if speeds else "unknown",
        "optimizer": f"{training['optimizer']}, lr {training['lr']}, {training['schedule']}",
        "seed": record.config["seed"],
        "software": ", ".join(f"{k} {v}" for k, v in (record.bundle or {}).get("software", {}).items()),
    }
    return Facts("Training", facts)


def _prediction(record: RunRecord, options: ReportOptions) -> list[Section]:
    from core.prediction.store import PredictionStore
    from core.report import Facts

    path = options.prediction or record.beside("prediction.zarr")
    if path is None:
        return []
    store = PredictionStore.open(path)
    if store.plan.get("bundle") != record.bundle_fingerprint:
        return []
    facts = {"what": ", ".join(store.plan["what"]), "rows": f"{len(store):,}", "store": path}
    facts["outputs"] = ", ".join(store.outputs)
    facts["refused"] = f"{len(store.refused()):,}"
    return [Facts("Predictions", facts)]
