"""Whether a film that was written is the one that was planned; ffmpeg's exit code does not tell."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from ursa_ray.errors import MediaError
from ursa_ray.media.codecs import Codec
from ursa_ray.media.frames import decode_frames
from ursa_ray.media.probe import VideoInfo, probe_frames, read_framehash


def require_planned(film: Path, planned: VideoInfo, sent: str, codec: Codec) -> None:
    """Refuse a film that is not what was planned, or not of the frames whose bytes have the hash `sent`."""
    received = received_beside(film)
    if not received.exists() or received.read_text().strip() != f"SHA256={sent}":
        raise MediaError(f"{film.name}: ffmpeg did not receive the frames that were sent. Try again.")
    match codec.check:
        case "frames":
            require_frames(film, planned, sent)
        case "stream":
            require_stream(film, planned)
        case "times":
            require_times(film, planned)


def require_frames(film: Path, planned: VideoInfo, sent: str) -> None:
    """Every frame comes back as it was sent."""
    num_frames, digest = 0, hashlib.sha256()
    for frame in read_pictures(film) if film.is_dir() else decode_frames(film):
        require_shape(film, planned, frame.shape[1], frame.shape[0])
        digest.update(frame.tobytes())
        num_frames += 1
    require_count(film, planned, num_frames)
    if digest.hexdigest() != sent:
        raise MediaError(f"{film.name}: does not decode to the frames that were sent. Check the disk and try again.")


def require_stream(film: Path, planned: VideoInfo) -> None:
    """The file decodes to what the stream did when it left the encoder."""
    _, encoded = read_framehash(encoded_beside(film))
    found, decoded = probe_frames(film)
    # The rate is not compared: ffmpeg guesses it, and takes 119.88 for 120.
    if (found.width, found.height, found.num_frames) != (planned.width, planned.height, planned.num_frames):
        raise MediaError(f"{film.name}: the file holds {found}; {planned} was planned")
    if decoded != encoded:
        raise MediaError(f"{film.name}: the file does not decode to what was encoded. Check the disk and try again.")


def require_times(film: Path, planned: VideoInfo) -> None:
    """Pictures follow one another at the times of frames; one that stays counts as often as it is shown."""
    with opened(film, "WEBP") as pictures:
        require_shape(film, planned, *pictures.size)
        durations = durations_ms(pictures)
    if durations == [0] and planned.num_frames > 1:
        raise MediaError(f"{film.name}: no frame differs from the first, which makes a still. Choose another codec.")
    require_count(film, planned, num_shown(durations, planned.fps))


def num_shown(durations: Iterable[int], fps: Fraction) -> int:
    """How many frames pictures of such durations stand for, each for one at least."""
    end_ms = num_frames = 0
    for duration in durations:
        end_ms += duration
        num_frames = max(num_frames + 1, round(end_ms * fps / 1000))
    return num_frames


def durations_ms(pictures: Image.Image) -> list[int]:
    """How long each picture of an animation is shown, [0] for a still; all are decoded."""
    durations = []
    for index in range(getattr(pictures, "n_frames", 1)):
        pictures.seek(index)
        pictures.load()
        durations.append(pictures.info.get("duration", 0))
    return durations


def read_pictures(folder: Path) -> Iterator[np.ndarray]:
    for path in sorted(folder.iterdir()):
        with opened(path, "PNG") as picture:
            yield np.asarray(picture)


@contextmanager
def opened(path: Path, image_format: str) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=[image_format]) as image:
            yield image
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow raises for damage
        raise MediaError(f"{path.name}: is damaged: {error}. Check the disk and try again.") from error


def require_shape(film: Path, planned: VideoInfo, width: int, height: int) -> None:
    if (width, height) != (planned.width, planned.height):
        raise MediaError(f"{film.name}: holds pictures of {width}x{height}; {planned} was planned")


def require_count(film: Path, planned: VideoInfo, num_frames: int) -> None:
    if num_frames != planned.num_frames:
        raise MediaError(f"{film.name}: holds {num_frames} frames; {planned} was planned")


def received_beside(film: Path) -> Path:
    return film.with_suffix(".received")


def encoded_beside(film: Path) -> Path:
    return film.with_suffix(".encoded")
