import io
import re
import sys

from tests.core.training.tiny import train


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_a_terminal_there_is_a_line_every_tenth(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    train(tmp_path / "run", steps=20, progress=True)
    text = sys.stderr.getvalue()
    assert "\x1b" not in text
    lines = text.splitlines()
    assert [int(re.match(r"step (\d+) of 20", line)[1]) for line in lines] == list(range(2, 21, 2))
    assert re.search(r"[\d,]+ tokens/s, \d\.\d+ bits/base, validation \d\.\d+, 0 s left", lines[-1])


def test_a_terminal_gets_a_bar(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "200")
    train(tmp_path / "run", steps=5, progress=True)
    assert re.search(r"5/5.*tokens/s.*bits/base", sys.stderr.getvalue())


def test_no_progress_is_silence(tmp_path, capfd):
    train(tmp_path / "run", steps=3, progress=False)
    assert capfd.readouterr() == ("", "")
