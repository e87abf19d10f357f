"""A tune in a row of an array is the tune of a file; what is none is refused."""

import pytest

from core.errors import ConfigError, RecordError
from core.prediction.input import ArrayRow
from domains.formats.abc import read_abc
from domains.music.source.rows import tune_row
from domains.music.tokenizer import AbcTokenizer

TUNE = "X:1\nT:a scale\nM:4/4\nL:1/4\nK:G\nGABc|dedB|G4|]\n"


def test_a_row_is_its_tune(tmp_path):
    (tmp_path / "tune.abc").write_text(TUNE)
    (expected,) = read_abc(tmp_path / "tune.abc")
    score = tune_row(ArrayRow("tune", TUNE), None)
    assert (score.id, score.notes.tolist()) == ("tune", expected.notes.tolist())
    tokenizer = AbcTokenizer.from_config({})
    assert tokenizer.encode(score).arrays["tokens"].tolist() == tokenizer.encode(expected).arrays["tokens"].tolist()


def test_what_is_no_tune_is_refused():
    with pytest.raises(RecordError):
        tune_row(ArrayRow("t", "K:G\nG^|\n(3"), None)
    with pytest.raises(ConfigError, match="no such key"):
        tune_row(ArrayRow("t", TUNE), None, parts=["a"])
