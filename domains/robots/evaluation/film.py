"""A short film of one roll-out, as a GIF that any page shows."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np

from core.durable import write_bytes_durably
from core.errors import ConfigError
from domains.robots.evaluation.closed_loop import Policy
from domains.robots.source.environments import Room, Where

FRAMES = 120
"""At most; of a longer episode the first so many."""
EVERY = 2
"""Steps from a frame to the next."""
WIDTH = 300
"""Pixels of a frame."""


def film(path: Path, policy: Policy, where: Where, seed: int) -> int:
    """Writes the film of one episode and says how many frames it has. Raises ConfigError where nothing can be drawn."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError(f"a film needs the package pillow: {error}", hint="pip install pillow") from error
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pictures in memory need no screen, and SDL asks for one
    room = Room(where, render="rgb_array")
    seen = room.reset(seed)
    policy.begin([where], [seed])
    frames: list[Image.Image] = []
    reward, done, step = 0.0, False, 0
    while not done and len(frames) < FRAMES:
        if step % EVERY == 0:
            picture = Image.fromarray(np.asarray(room.picture(), np.uint8))
            height = round(picture.height * WIDTH / picture.width)
            frames.append(picture.resize((WIDTH, height)).quantize(64))
        action = policy.act(seen[None], np.array([reward]))[0]
        seen, reward, terminated, truncated, _ = room.step(action)
        done, step = terminated or truncated, step + 1
    room.close()
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=40, loop=0)
    write_bytes_durably(path, file.getvalue())
    return len(frames)
