"""Streams of frames: hashing them, checking them, and decoding them from a file."""

import hashlib
import subprocess
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from ursa_ray.errors import MediaError
from ursa_ray.media.ffmpeg import ALL_FRAMES, reading, running

# Passes frames on, and tells somebody how many of how many there were.
Watch = Callable[[Iterable[np.ndarray], int], Iterable[np.ndarray]]


def unwatched(frames: Iterable[np.ndarray], num_frames: int) -> Iterable[np.ndarray]:
    """A `Watch` that tells nobody."""
    return frames


class FramesDigest:
    """The identity of one or more frames: a hash of their shape and RGB bytes, whatever file holds them."""

    def __init__(self) -> None:
        self.num_frames = 0
        self._shape: tuple[int, ...] = ()
        self._sha256 = hashlib.sha256()

    def update(self, frame: np.ndarray) -> None:
        if self.num_frames == 0:
            self._shape = frame.shape
            self._sha256.update(repr(frame.shape).encode())
        require_frame(frame, self.num_frames, self._shape)
        self._sha256.update(frame.tobytes())
        self.num_frames += 1

    def hexdigest(self) -> str:
        if self.num_frames == 0:
            raise MediaError("frames: there are none; at least one was expected")
        return self._sha256.hexdigest()


def frames_sha256(frames: Iterable[np.ndarray]) -> str:
    """The hexadecimal `FramesDigest` of frames that have one shape."""
    digest = FramesDigest()
    for frame in frames:
        digest.update(frame)
    return digest.hexdigest()


def require_frame(frame: np.ndarray, index: int, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[2] != 3:
        raise MediaError(f"frames[{index}] has shape {shape}; expected (height, width, 3)")
    if frame.dtype != np.uint8 or frame.shape != shape:
        raise MediaError(f"frames[{index}] is {frame.dtype} {frame.shape}; expected uint8 {shape}")


def exactly(frames: Iterable[np.ndarray], num_frames: int, shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Pass frames on; refuse one of another shape, one too many and one too few."""
    count = 0
    for index, frame in enumerate(frames):
        if index == num_frames:
            raise MediaError(f"frames[{index}] is one too many; {num_frames} were planned")
        require_frame(frame, index, shape)
        yield frame
        count += 1
    if count < num_frames:
        raise MediaError(f"frames end after {count}; {num_frames} were planned")


def resized(frames: Iterable[np.ndarray], width: int, height: int) -> Iterator[np.ndarray]:
    for frame in frames:
        yield np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))


def decode_frames(path: Path, *filters: str) -> Generator[np.ndarray]:
    """Every frame of a video in order. The `MediaError` of a damaged one may come only after the last."""
    graph = ["-vf", ",".join(filters)] if filters else []
    # PPM: each picture says its own size, so nothing has to be known of the video beforehand.
    pictures = [*ALL_FRAMES, "-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "-"]
    with running(f"reading {path}", [*reading(path), *graph, *pictures], stdout=subprocess.PIPE) as ffmpeg:
        assert ffmpeg.stdout is not None
        yield from read_ppm(ffmpeg.stdout)


def read_ppm(stream: IO[bytes]) -> Iterator[np.ndarray]:
    """The pictures of a stream, up to its end or to one that is cut short."""
    while (header := [stream.readline() for _ in range(3)])[-1] == b"255\n":
        width, height = map(int, header[1].split())
        pixels = bytearray(stream.read(width * height * 3))
        if len(pixels) == width * height * 3:
            yield np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
