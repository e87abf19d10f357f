"""Rows of arrays become records of their domain, each under its own id; what is none is refused with a reason."""

import numpy as np
import pytest

from core.errors import ConfigError, RecordError
from core.prediction.input import ArrayRow
from domains import DOMAINS

VALUES = np.array([[np.nan, np.nan], [1.0, 2.0], [3.0, np.nan], [5.0, 6.0], [np.nan, np.nan]])


def record(domain, part, row, tokenizer=None, **options):
    return DOMAINS.get(domain).load(part)(row, tokenizer, **options)


@pytest.mark.parametrize("domain", ["dna", "proteins", "molecules"])
def test_a_text_is_a_record_under_its_id(domain):
    tokenizer = DOMAINS.get("dna").make_tokenizer() if domain == "dna" else None
    made = record(domain, "text_row", ArrayRow("r1", "CCN"), tokenizer)
    assert made.id == "r1"
    assert (made.smiles if domain == "molecules" else str(made.seq)) == "CCN"
    with pytest.raises(ConfigError, match=r"input\.start"):
        record(domain, "text_row", ArrayRow("r1", "CCN"), tokenizer, start=1)
    if domain != "molecules":  # which refuses it when it is parsed
        with pytest.raises(RecordError, match="outside ASCII"):
            record(domain, "text_row", ArrayRow("r1", "CÅN"), tokenizer)


def test_dna_that_reads_clusters_or_genes():
    class Of:
        def __init__(self, kind):
            self.kind = kind

    assert record("dna", "text_row", ArrayRow("c", "ACG|ACGT:"), Of("dna_traces")) == "ACG|ACGT:"
    with pytest.raises(ConfigError, match="no genes"):
        record("dna", "text_row", ArrayRow("c", "ACG"), Of("dna_dogma"))


def test_a_series_has_its_stamps_and_loses_its_empty_ends():
    stamps, said = np.arange(10, 15), {"units": "hours since 2024-01-01"}
    made = record("time_series", "values_row", ArrayRow("s", VALUES, ("a", "b"), stamps, said))
    assert (made.id, made.channels, made.freq, len(made)) == ("s", ("a", "b"), "h", 3)
    assert made.start == np.datetime64("2024-01-01T11")
    assert np.isnan(made.values[1, 1])
    plain = record("time_series", "values_row", ArrayRow("s", VALUES), start="2024-01-01", freq="D")
    assert (plain.channels, plain.start) == (("channel_1", "channel_2"), np.datetime64("2024-01-02"))
    ahead = record("time_series", "values_row", ArrayRow("s", VALUES, ("a", "b"), stamps, said), horizon=2)
    assert (len(ahead), np.isnan(ahead.values[3:]).all()) == (5, True)
    with pytest.raises(ConfigError, match="is unknown"):
        record("time_series", "values_row", ArrayRow("s", VALUES), begin="2024-01-01")


def test_a_trajectory_has_the_step_of_its_time():
    made = record("chaos", "values_row", ArrayRow("t", VALUES, ("x", "y"), np.arange(5) * 0.25))
    assert (made.id, made.channels, made.dt, len(made)) == ("t", ("x", "y"), 0.25, 4)
    assert record("chaos", "values_row", ArrayRow("t", VALUES), dt=0.5).dt == 0.5
    with pytest.raises(ConfigError, match=r"input\.step"):
        record("chaos", "values_row", ArrayRow("t", VALUES), step=0.5)


@pytest.mark.parametrize("domain", ["time_series", "chaos"])
@pytest.mark.parametrize(("value", "reason"), [(np.nan, "all_missing"), (np.inf, "infinite")])
def test_values_that_are_no_record_are_refused(domain, value, reason):
    with pytest.raises(RecordError) as caught:
        record(domain, "values_row", ArrayRow("s", np.full((4, 1), value)))
    assert caught.value.reason == reason
