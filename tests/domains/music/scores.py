"""Scores, tunes and files that the tests of music read, made by code."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from core.sequence import Sequence
from core.vocabulary import EOS
from domains.formats.score import Score, in_order, no_rows

TUNE = 'X:1\nT:The Made-up Reel\nR:reel\nM:4/4\nL:1/8\nK:D\n|:"D"(DF)A>d f2e2|{g}d4 z4:|\n[1 A,2 [DFA]2 (3Bcd e2|]\n'


def chorale(seed: int, quarters: int = 16, name: str = "") -> Score:
    """Four voices, each a note or two a quarter, from the highest down."""
    rng = np.random.default_rng(seed)
    rows = []
    for voice, middle in enumerate((72, 65, 58, 48)):
        at = 0
        pitch = middle
        while at < 4 * quarters:
            length = min(int(rng.choice([2, 4, 4, 8])), 4 * quarters - at)
            pitch = int(np.clip(pitch + rng.integers(-2, 3), middle - 6, middle + 6))
            rows.append((at * 120, length * 120, pitch, 80, 0, voice, 0))
            at += length
    return Score(name or f"made_{seed}", 480, in_order(rows), tracks=("Soprano", "Alto", "Tenor", "Bass"))


def voices() -> st.SearchStrategy[Score]:
    """Scores of up to four voices of one note at a time, off the grid as well."""

    @st.composite
    def made(draw: st.DrawFn) -> Score:
        tpq = draw(st.sampled_from([1, 7, 96, 480]))
        rows = []
        for voice in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, 4 * tpq))
            for _ in range(draw(st.integers(0 if voice else 1, 8))):
                length = draw(st.integers(1, 3 * tpq))
                rows.append((at, length, draw(st.integers(33, 88)), draw(st.integers(1, 127)), 0, voice, 0))
                at += length + draw(st.integers(0, tpq))
        return Score(draw(st.sampled_from(["a", "bwv 1"])), tpq, in_order(rows))

    return made()


def pieces() -> st.SearchStrategy[Score]:
    """Scores of several programs and drums, with tempi and metres that may change anywhere."""

    @st.composite
    def made(draw: st.DrawFn) -> Score:
        tpq = draw(st.sampled_from([1, 96, 480, 10_080]))
        tick = st.integers(0, 20 * tpq)
        note = st.tuples(
            tick, st.integers(1, 14 * tpq), st.integers(0, 127), st.integers(0, 127), st.sampled_from([0, 40, 127]),
            st.integers(0, 2), st.integers(0, 1),
        )  # fmt: skip
        tempos = draw(st.lists(st.tuples(tick, st.integers(1, 2**24 - 1)), max_size=3, unique_by=lambda row: row[0]))
        metres = draw(
            st.lists(
                st.tuples(tick, st.sampled_from([1, 2, 3, 4, 6, 7, 12]), st.sampled_from([4, 8, 16])),
                max_size=3,
                unique_by=lambda row: row[0],
            )
        )
        return Score(
            draw(st.sampled_from(["a", "b.c"])),
            tpq,
            in_order(draw(st.lists(note, min_size=1, max_size=30))),
            np.array(sorted(tempos), np.int64) if tempos else no_rows(2),
            np.array(sorted(metres), np.int64) if metres else no_rows(3),
        )

    return made()


def tunes() -> st.SearchStrategy[Score]:
    """Scores with an ABC text, spelled in many ways."""
    length = st.sampled_from(["", "2", "3/2", "/", "//", "/4", "4/2", "1"])
    note = st.tuples(
        st.sampled_from(["", "", "^", "_", "=", "^^"]), st.sampled_from([*"CDEFGABcdefgab", "G,", "c'"]), length
    ).map("".join)
    item = st.one_of(
        note,
        note,
        note,
        st.tuples(st.just("z"), length).map("".join),
        st.lists(note, min_size=1, max_size=3).map(lambda notes: "[" + "".join(notes) + "]2"),
        st.sampled_from(
            ["|", "||", "|]", "|:", ":|", "::", "|1", ":|2", "[2", " ", "\n", "-", ">", "<", ">>", "(3", "(5:4:5", "(",
             ")", '"Am"', "!trill!", "~", "{ag}", "[K:Em]", "[M:3/4]", "[L:1/16]", "%x\n", "\\\n"]
        ),
    )  # fmt: skip
    head = st.tuples(
        st.sampled_from(["", "M:C|\n", "M:6/8\n", "M:none\n"]),
        st.sampled_from(["", "L:1/8\n", "L:1/4\n"]),
        st.sampled_from(["K:D\n", "K: A minor\n", "K:Bbmix\n", "K:none\n", "K:F#m\n"]),
    ).map("".join)
    body = st.lists(item, max_size=30).map("".join)
    return st.tuples(head, body).map(lambda parts: Score("tune", 1, text=parts[0] + "A" + parts[1]))


def midi(events: bytes, *, kind: int = 0, tpq: int = 96, tracks: int = 1, end: bool = True) -> bytes:
    """A MIDI file of one track of raw events."""
    body = events + (b"\x00\xff\x2f\x00" if end else b"")
    head = b"MThd" + (6).to_bytes(4, "big") + b"".join(n.to_bytes(2, "big") for n in (kind, tracks, tpq))
    return head + b"MTrk" + len(body).to_bytes(4, "big") + body


NOTE = b"\x00\x90\x3c\x50\x60\x80\x3c\x00"
"""Middle C for a quarter."""


def grammar_walk(tokenizer: Any, grammar: Any, rows: int, length: int, seed: int) -> list[Sequence]:
    """Sequences drawn from what a grammar allows, each kind of choice as likely."""
    rng = np.random.default_rng(seed)
    state, out, open_ = grammar.start(rows), [[] for _ in range(rows)], np.ones(rows, bool)
    for _ in range(length + 1):
        allowed = grammar.allowed(state).numpy()
        assert allowed.any(axis=1).all(), "a row where nothing is allowed"
        noise = rng.random(allowed.shape) * np.where(np.arange(allowed.shape[1]) == EOS, 0.2, 1.0)
        drawn = np.where(allowed, noise, -1).argmax(axis=1)
        for row in np.flatnonzero(open_):
            if drawn[row] == EOS:
                open_[row] = False
            elif len(out[row]) < length:
                out[row].append(int(drawn[row]))
        state = grammar.advance(state, torch.from_numpy(drawn))
    dtype = tokenizer.vocabulary.dtype
    return [Sequence({"tokens": np.array(tokens, dtype)}, f"walk_{i}") for i, tokens in enumerate(out)]
