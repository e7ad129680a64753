"""A segment's frames without loss: FFV1 in Matroska, named by the hash of its frames.

The name is the check: whoever reads a mezzanine hashes what was decoded and compares it with the name, so a
flipped bit anywhere in the file is found or changes no pixel.
"""

import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from ursa_ray.errors import MediaError
from ursa_ray.files import published
from ursa_ray.media.ffmpeg import ALL_FRAMES, BITEXACT, feed, receiving, running
from ursa_ray.media.frames import FramesDigest, decode_frames, frames_sha256

# Key frames only, each slice with a checksum, so that damage is found where it is. bgr0 is FFV1's 8-bit RGB.
FFV1 = ["-c:v", "ffv1", "-level", "3", "-g", "1", "-slicecrc", "1", "-pix_fmt", "bgr0", "-f", "matroska"]


REMEDY = "Delete it and render again: its codes rebuild it."


def write_mezzanine(folder: Path, frames: np.ndarray, fps: Fraction) -> str:
    """Write frames (n, h, w, 3) as `<sha>.mkv`, decode them again to check, publish, and return the sha.

    A whole mezzanine that is already there is left alone; a damaged one is replaced.
    """
    sha = frames_sha256(frames)
    if not is_whole(folder / f"{sha}.mkv"):
        with published(folder / f"{sha}.mkv") as aside:
            encode(aside, frames, fps)
            require_whole(aside)
    return sha


def read_mezzanine(path: Path, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """Frames [start, stop) in order; `stop` None is the end.

    The whole file is decoded and checked whatever the range: when the loop over the frames has ended they are
    good, and if the file is damaged it ends in a `MediaError`.
    """
    digest = FramesDigest()
    try:
        for index, frame in enumerate(decode_frames(path)):
            digest.update(frame)
            if start <= index and (stop is None or index < stop):
                yield frame
    except MediaError as error:
        raise MediaError(f"{path}: damaged ({error}). {REMEDY}") from error
    if digest.hexdigest() != path.stem:
        raise MediaError(f"{path}: damaged, its frames are not those of its name. {REMEDY}")
    if stop is not None and stop > digest.num_frames:
        raise MediaError(f"{path}: holds {digest.num_frames} frames; [{start}, {stop}) was asked for.")


def is_whole(path: Path) -> bool:
    """Whether it is there and holds the frames of its name."""
    try:
        require_whole(path)
    except MediaError:
        return False
    return True


def require_whole(path: Path) -> None:
    for _ in read_mezzanine(path):
        pass


def encode(path: Path, frames: np.ndarray, fps: Fraction) -> None:
    _, height, width, _ = frames.shape
    arguments = [*receiving(width, height, fps), *ALL_FRAMES, *FFV1, *BITEXACT, f"file:{path}"]
    with running(f"writing {path.name}", arguments, stdin=subprocess.PIPE) as ffmpeg:
        feed(ffmpeg, frames)
