"""Scores as sound: with a soundfont where tinysoundfont and one are there, else as decaying sums of sines, and drums as
bursts of noise.

A soundfont is looked for in FORETELL_SOUNDFONT and where Debian's `timgm6mb-soundfont` puts it. Mono, 16 bit.
"""

from __future__ import annotations

import os
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.durable import partial_beside, resources_named
from core.errors import InputError
from domains.formats.score import (
    DRUM,
    DURATION,
    ONSET,
    PITCH,
    PROGRAM,
    TEMPO_USUAL,
    VELOCITY,
    Score,
)

RATE = 22_050
"""Samples a second: to 11 kHz, above which a piano has little."""
SOUNDFONT = "/usr/share/sounds/sf2/TimGM6mb.sf2"
_PARTIALS = (1.0, 0.5, 0.28, 0.14, 0.08)
"""Of the 1st to 5th harmonic: a plain organ-like tone."""
_DRUMS = {"low": (0.12, 0.25), "snare": (0.05, 1.0), "cymbal": (0.03, 1.0)}
"""Seconds in which a burst of noise falls to 1/e, and the share of it that is as bright as noise can be."""
_LOW_DRUMS = frozenset((35, 36, 41, 43, 45, 47, 48, 50))
_CYMBALS = frozenset((42, 44, 46, 49, 51, 52, 53, 55, 57, 59))
"""Keys of General MIDI's percussion map: bass drums and toms; hi-hats and cymbals."""
_ATTACK, _RELEASE, _FADE = 0.012, 0.08, 1.6
"""Seconds to rise, to fall after the end, and to fall to 1/e while held."""
Wave = NDArray[np.float32]


def render(score: Score, *, rate: int = RATE, max_seconds: float = 30.0) -> Wave:
    """(n,) the sound from -1 to 1, of the first `max_seconds`. Raises InputError for a score without notes."""
    if not len(score.notes):
        raise InputError(f"'{score.id}' has no notes to play")
    font = os.environ.get("FORETELL_SOUNDFONT", SOUNDFONT)
    sound = _with_soundfont(score, font, rate, max_seconds) if Path(font).is_file() else None
    return _normal(_with_sines(score, rate, max_seconds) if sound is None else sound)


def write_wav(path: Path | str, sound: Wave, *, rate: int = RATE) -> None:
    """The sound (n,) as a WAV file that appears when it is whole. Raises ResourceError where it cannot be written."""
    path = Path(path)
    partial = partial_beside(path)
    with resources_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with wave.open(str(partial), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(rate)
                file.writeframes((np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def seconds_at(score: Score, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) when `ticks` (n,) are, by the tempi of the score."""
    tempos = score.tempos if len(score.tempos) else np.array([[0, TEMPO_USUAL]])
    starts = np.append(tempos[:, 0], np.iinfo(np.int64).max)
    starts[0] = 0
    lengths = np.diff(starts[:-1]) * tempos[:-1, 1] / (1e6 * score.tpq)
    begun = np.concatenate([[0.0], np.cumsum(lengths)])
    which = np.searchsorted(starts[:-1], ticks, "right") - 1
    found: NDArray[np.float64] = begun[which] + (ticks - starts[which]) * tempos[which, 1] / (1e6 * score.tpq)
    return found


def _with_sines(score: Score, rate: int, max_seconds: float) -> Wave:
    notes, hits = score.notes[score.notes[:, DRUM] == 0], score.notes[score.notes[:, DRUM] != 0]
    start = seconds_at(score, notes[:, ONSET])
    stop = np.minimum(seconds_at(score, notes[:, ONSET] + notes[:, DURATION]), max_seconds)
    last = seconds_at(score, score.notes[:, ONSET] + score.notes[:, DURATION]).max(initial=0.0)
    total = min(max_seconds, float(last)) + _RELEASE
    out = np.zeros(int(total * rate) + 1, np.float32)
    for begin, end, row in zip(start, stop, notes, strict=True):
        if begin >= max_seconds or end <= begin:
            continue
        time = np.arange(int((end - begin + _RELEASE) * rate)) / rate
        shape = np.minimum(time / _ATTACK, 1) * np.exp(-time / _FADE)
        shape *= np.clip(1 - (time - (end - begin)) / _RELEASE, 0, 1)
        frequency = 440.0 * 2 ** ((row[PITCH] - 69) / 12)
        tone = np.zeros_like(time)
        for number, strength in enumerate(_PARTIALS, 1):
            if number * frequency < rate / 2:
                tone += strength * np.sin(2 * np.pi * number * frequency * time)
        _add(out, tone * shape * row[VELOCITY] / 127, int(begin * rate))
    for begin, row in zip(seconds_at(score, hits[:, ONSET]).tolist(), hits.tolist(), strict=True):
        if begin < max_seconds:
            _add(out, _burst(row[PITCH], rate) * row[VELOCITY] / 127, int(begin * rate))
    return out


def _burst(key: int, rate: int) -> NDArray[np.float64]:
    """(n,) how a drum of General MIDI sounds, roughly; the same every time."""
    fall, bright = _DRUMS["low" if key in _LOW_DRUMS else "cymbal" if key in _CYMBALS else "snare"]
    noise = np.random.default_rng(key).uniform(-1, 1, int(5 * fall * rate))
    dark = np.convolve(noise, np.ones(rate // 500), "same") / np.sqrt(rate // 500)
    time = np.arange(len(noise)) / rate
    return np.asarray((bright * noise + (1 - bright) * dark) * np.exp(-time / fall))


def _add(out: Wave, sound: NDArray[np.float64], first: int) -> None:
    piece = sound.astype(np.float32)[: len(out) - first]
    out[first : first + len(piece)] += piece


def _with_soundfont(score: Score, font: str, rate: int, max_seconds: float) -> Wave | None:
    """None where tinysoundfont is not installed."""
    try:
        import tinysoundfont
    except ImportError:
        return None
    synth = tinysoundfont.Synth(samplerate=rate)
    number = synth.sfload(font)
    events: list[tuple[float, int, tuple[int, ...]]] = []
    starts = seconds_at(score, score.notes[:, ONSET])
    stops = seconds_at(score, score.notes[:, ONSET] + score.notes[:, DURATION])
    channels: dict[tuple[int, int], int] = {}
    for start, stop, row in zip(starts.tolist(), stops.tolist(), score.notes.tolist(), strict=True):
        voice = (row[PROGRAM], row[DRUM])
        channel = channels.setdefault(voice, 9 if row[DRUM] else [c for c in range(16) if c != 9][len(channels) % 15])
        if start < max_seconds:
            events += [
                (start, 1, (channel, row[PITCH], row[VELOCITY])),
                (min(stop, max_seconds), 0, (channel, row[PITCH])),
            ]
    for (program, drum), channel in channels.items():
        synth.program_select(channel, number, 128 if drum else 0, 0 if drum else program, bool(drum))
    parts, now = [], 0.0
    for when, begins, values in sorted(events):
        count = int(when * rate) - int(now * rate)
        if count > 0:
            parts.append(np.frombuffer(synth.generate(count), np.float32).reshape(-1, 2).mean(axis=1))
        now = when
        if begins:
            synth.noteon(*values)
        else:
            synth.noteoff(*values)
    parts.append(np.frombuffer(synth.generate(rate // 2), np.float32).reshape(-1, 2).mean(axis=1))
    return np.concatenate(parts)


def _normal(sound: Wave) -> Wave:
    peak = float(np.abs(sound).max(initial=0.0))
    return (sound * (0.9 / peak)).astype(np.float32) if peak > 0 else sound
