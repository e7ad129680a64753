"""The film: frames encoded and checked, the same bytes for the same frames and the same ffmpeg binary."""

import hashlib
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ursa_ray.errors import MediaError
from ursa_ray.files import file_sha256, published
from ursa_ray.media.checks import encoded_beside, received_beside, require_planned
from ursa_ray.media.codecs import H264, Codec
from ursa_ray.media.ffmpeg import ALL_FRAMES, BITEXACT, feed, receiving, running
from ursa_ray.media.frames import exactly
from ursa_ray.media.probe import FRAMEHASH, VideoInfo
from ursa_ray.media.tags import copy_with_tags, read_tags

# 4 threads on any machine: the number of threads changes the bytes, the number of cores does not (measured on
# 1 and 4 cores). 600 noisy frames of 512x320 took 17 s with 1 thread and 5 s with 4, on 4 cores.
THREADS = ["-threads", "4", "-filter_threads", "1"]


@dataclass(frozen=True)
class FilmReport:
    """What was written; `sha256` of a folder of pictures is a hash of their names and hashes."""

    path: Path
    sha256: str
    num_frames: int
    size_bytes: int


def write_film(
    path: Path,
    frames: Iterable[np.ndarray],
    num_frames: int,
    size: tuple[int, int],
    fps: Fraction,
    codec: Codec = H264,
    metadata: Mapping[str, str] = MappingProxyType({}),
    comment: Callable[[], str] | None = None,
) -> FilmReport:
    """Encode `num_frames` frames of `size` (width, height), and publish the film if it is what was planned.

    Frames are taken one at a time, and an error that they raise is passed on. `metadata` holds tags that the
    container knows, such as title; `comment` is asked for one more once all frames were taken, and passed over by
    codecs whose files keep none. After any error a film that was already at `path` is as it was.

    Published means: ffmpeg received the very bytes that were sent, and the file passes the check of its codec. How
    close the pictures of a lossy one are to the frames is not judged: for noise there is no bound that every good
    film meets.
    """
    planned = VideoInfo(*size, fps, num_frames)
    if num_frames < 1:
        raise MediaError(f"{path}: a film of no frames; at least one was expected")
    if (misfit := codec.misfit(planned)) is not None:
        raise MediaError(f"{path}: {misfit}")
    with published(path) as film:
        sent = encode(film, frames, planned, codec, metadata)
        if comment is not None and codec.keeps_tags:
            tag(film, {**metadata, "comment": comment()}, codec)
        require_planned(film, planned, sent, codec)
        report = described(film, path, num_frames)
    return report


def encode(
    film: Path, frames: Iterable[np.ndarray], planned: VideoInfo, codec: Codec, metadata: Mapping[str, str]
) -> str:
    """Write the film, and beside it what `require_planned` reads; the sha256 of the bytes sent to ffmpeg."""
    tags = [argument for name, value in metadata.items() for argument in ("-metadata", f"{name}={value}")]
    encoded = [*codec.arguments(planned.fps), *THREADS, *BITEXACT, "-map_metadata", "-1", *codec.container, *tags]
    arguments = [
        *receiving(planned.width, planned.height, planned.fps),
        *(*ALL_FRAMES, "-vf", codec.filters, *encoded, f"file:{pictures_in(film) if codec.is_folder else film}"),
        *(*ALL_FRAMES, "-c:v", "rawvideo", "-f", "hash", "-hash", "sha256", f"file:{received_beside(film)}"),
    ]
    if codec.check == "stream":
        arguments += [
            # A decoder fed by the encoder itself, not by the file.
            *("-dec", "0:0", "-filter_complex", "[dec:0]null[pictures]", "-map", "[pictures]"),
            *("-fps_mode", "passthrough", *FRAMEHASH, f"file:{encoded_beside(film)}"),
        ]
    shape = (planned.height, planned.width, 3)
    with running(f"writing {film.name}", arguments, stdin=subprocess.PIPE) as ffmpeg:
        return feed(ffmpeg, exactly(frames, planned.num_frames, shape))


def tag(film: Path, tags: Mapping[str, str], codec: Codec) -> None:
    """Give a film its tags, and see that the last one can be read again."""
    tagged = film.with_name(f"tagged{film.suffix}")
    copy_with_tags(film, tagged, tags, codec.container)
    tagged.replace(film)
    if read_tags(film).get("comment") != tags["comment"]:
        raise MediaError(f"{film.name}: does not hold the comment that was written. Check the disk and try again.")


def pictures_in(folder: Path) -> str:
    """Make a folder; the pattern of the pictures in it, from 000000.png. A % of the folder is no pattern."""
    folder.mkdir()
    return f"{folder}/".replace("%", "%%") + "%06d.png"


def described(film: Path, path: Path, num_frames: int) -> FilmReport:
    if not film.is_dir():
        return FilmReport(path, file_sha256(film), num_frames, film.stat().st_size)
    digest, size_bytes = hashlib.sha256(), 0
    for picture in sorted(film.iterdir()):
        digest.update(f"{picture.name} {file_sha256(picture)}\n".encode())
        size_bytes += picture.stat().st_size
    return FilmReport(path, digest.hexdigest(), num_frames, size_bytes)
