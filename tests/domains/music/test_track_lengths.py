"""The lengths of tracks left out of MIDI files and written again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, RecordError
from domains.formats.midi_writing import midi_bytes
from domains.music.tokenizer.track_lengths import bytes_left_out, check_lengths, with_lengths, without_lengths
from tests.domains.music.scores import chorale

HEADER = b"MThd\0\0\0\6\0\1\0\1\0\x60"
END = b"\0\xff\x2f\0"


def file_of(*tracks: bytes) -> bytes:
    return HEADER + b"".join(b"MTrk" + len(track).to_bytes(4, "big") + track for track in tracks)


def test_a_file_is_four_bytes_a_track_shorter_and_comes_back() -> None:
    """The example: a head and four voices."""
    data = midi_bytes([chorale(0, 4)])
    short = without_lengths(data, "c")
    assert len(short) == len(data) - 5 * 4
    assert with_lengths(short) == data
    left_out = bytes_left_out(np.frombuffer(short, np.uint8).astype(np.int64))
    assert left_out.sum() == len(data) - len(short)


@pytest.mark.parametrize(
    "events",
    [
        b"\0\x90\x3c\x50\x60\x3c\0",  # running status
        b"\0\xf0\x05MTrk\xf7",  # a system message with the name of a chunk in it
        b"\0\xff\x01\x04\xff\x2f\0\0",  # a text that looks like the end of a track
        b"\x81\x00\xc0\x05\0\xd0\x2f\0\xb0\x40\x7f\x83\xff\x7f\xe0\0\x40",  # one and two data bytes, long waits
        b"",
    ],
)
def test_a_track_ends_with_its_own_event(events: bytes) -> None:
    data = file_of(events + END, events + END)
    assert with_lengths(without_lengths(data, "f")) == data


@pytest.mark.parametrize(
    "data",
    [
        file_of(END + b"\0"),  # more behind the end
        file_of(b"\0\x90\x3c\x50") + b"MTrk\0\0\0\4" + END,  # no end of a track that is not the last
        HEADER + b"MTrk\0\0\0\5" + END,
        HEADER + b"MTrk\0\0",
    ],
)
def test_a_length_that_is_not_true_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError, match="as long as its chunk says") as caught:
        without_lengths(data, "lies")
    assert caught.value.reason == "track_length"
    assert "'lies', byte" in str(caught.value)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.sampled_from([b"MTrk", END, b"\xff", b"\0", b"\x90\x3c", b"\xf0\x7f", b"\x81"]), max_size=12))
def test_any_bytes_make_a_file_with_true_lengths(parts: list[bytes]) -> None:
    short = HEADER + b"".join(parts)
    assert without_lengths(with_lengths(short), "x") == short


def test_what_is_no_midi_file_is_left_as_it_is() -> None:
    for data in (b"", b"MTrk\0\0\0\1x", b"X:1\nK:C\n", b"MThd"):
        assert without_lengths(data, "x") == with_lengths(data) == data


def test_only_told_and_derived_are_allowed() -> None:
    with pytest.raises(ConfigError, match="told, derived"):
        check_lengths("none")
