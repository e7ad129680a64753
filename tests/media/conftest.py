from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ursa_ray.media import ffmpeg as ffmpeg_module
from ursa_ray.media import write_film

FPS = Fraction(12)
Frames = np.ndarray


@pytest.fixture
def noise() -> Callable[..., Frames]:
    """Frames that no codec can predict, so that none can be mistaken for another."""

    def make(num_frames: int, height: int = 64, width: int = 96) -> Frames:
        return np.random.default_rng(7).integers(0, 256, (num_frames, height, width, 3), np.uint8)

    return make


@pytest.fixture
def counter(tmp_path) -> Callable[..., Path]:
    """A clip whose frame i is grey of level 5 * i."""

    def make(num_frames: int, fps: Fraction = FPS, name: str = "counter.mp4") -> Path:
        path = tmp_path / name
        frames = (np.full((64, 96, 3), 5 * index, np.uint8) for index in range(num_frames))
        write_film(path, frames, num_frames, (96, 64), fps)
        return path

    return make


@pytest.fixture
def fake_ffmpeg(tmp_path_factory, monkeypatch) -> Callable[[str], None]:
    """Put a shell script in the place of ffmpeg; it finds the real one at $REAL."""

    def install(script: str) -> None:
        monkeypatch.setenv("REAL", ffmpeg_module.executable())
        fake = tmp_path_factory.mktemp("bin") / "ffmpeg"
        fake.write_text(f"#!/bin/sh\n{script}\n")
        fake.chmod(0o755)
        monkeypatch.setattr(ffmpeg_module, "executable", lambda: str(fake))

    return install
