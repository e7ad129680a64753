"""The film: H.264 in MP4, the same bytes for the same frames and the same ffmpeg binary."""

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ursa_ray.errors import MediaError
from ursa_ray.files import file_sha256, published
from ursa_ray.media.ffmpeg import ALL_FRAMES, BITEXACT, feed, receiving, running
from ursa_ray.media.frames import exactly
from ursa_ray.media.probe import FRAMEHASH, VideoInfo, probe_frames, read_framehash

# 4 threads on any machine: the number of threads changes the bytes, the number of cores does not (measured on
# 1 and 4 cores). 600 noisy frames of 512x320 took 17 s with 1 thread and 5 s with 4, on 4 cores.
THREADS = ["-threads", "4", "-filter_threads", "1"]
X264 = ["-c:v", "libx264", "-profile:v", "high", "-x264-params", "cpu-independent=1:open-gop=0"]
MP4 = ["-map_metadata", "-1", "-movflags", "+faststart", "-f", "mp4"]
BT709 = (
    "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int+bitexact,format=yuv420p,"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
)
GOP_S = 2


@dataclass(frozen=True)
class FilmReport:
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
    crf: int = 18,
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> FilmReport:
    """Encode `num_frames` frames of `size` (width, height), and publish the film if it is what was planned.

    Frames are taken one at a time, and an error that they raise is passed on. `metadata` holds tags that MP4
    knows, such as title and comment. After any error a film that was already at `path` is as it was.

    Published means: ffmpeg received the very bytes that were sent, and the file decodes without an error to
    pictures of the planned number and size, the very ones that the encoder's own stream decodes to. How close
    these are to the frames is not judged: for noise there is no bound that every good film meets.
    """
    planned = VideoInfo(*size, fps, num_frames)
    if num_frames < 1 or planned.width % 2 or planned.height % 2:
        raise MediaError(f"{path}: {planned} was asked for; expected a frame or more, of even width and height")
    with published(path) as film:
        sent = encode(film, frames, planned, crf, metadata)
        require_planned(film, planned, sent)
        report = FilmReport(path, file_sha256(film), num_frames, film.stat().st_size)
    return report


def encode(film: Path, frames: Iterable[np.ndarray], planned: VideoInfo, crf: int, metadata: Mapping[str, str]) -> str:
    """Write the film, and beside it what `require_planned` reads; the sha256 of the bytes sent to ffmpeg."""
    gop = max(1, round(GOP_S * planned.fps))
    tags = [argument for name, value in metadata.items() for argument in ("-metadata", f"{name}={value}")]
    encoded = [*X264, *THREADS, *BITEXACT, "-crf", str(crf), "-g", str(gop)]
    arguments = [
        *receiving(planned.width, planned.height, planned.fps),
        *(*ALL_FRAMES, "-vf", BT709, *encoded, *MP4, *tags, f"file:{film}"),
        *(*ALL_FRAMES, "-c:v", "rawvideo", "-f", "hash", "-hash", "sha256", f"file:{received_beside(film)}"),
        # A decoder fed by the encoder itself, not by the file.
        *("-dec", "0:0", "-filter_complex", "[dec:0]null[pictures]", "-map", "[pictures]"),
        *("-fps_mode", "passthrough", *FRAMEHASH, f"file:{encoded_beside(film)}"),
    ]
    shape = (planned.height, planned.width, 3)
    with running(f"writing {film.name}", arguments, stdin=subprocess.PIPE) as ffmpeg:
        return feed(ffmpeg, exactly(frames, planned.num_frames, shape))


def require_planned(film: Path, planned: VideoInfo, sent: str) -> None:
    received = received_beside(film)
    if not received.exists() or received.read_text().strip() != f"SHA256={sent}":
        raise MediaError(f"{film.name}: ffmpeg did not receive the frames that were sent. Try again.")
    _, encoded = read_framehash(encoded_beside(film))
    found, decoded = probe_frames(film)
    # The rate is not compared: ffmpeg guesses it, and takes 119.88 for 120.
    if (found.width, found.height, found.num_frames) != (planned.width, planned.height, planned.num_frames):
        raise MediaError(f"{film.name}: the file holds {found}; {planned} was planned")
    if decoded != encoded:
        raise MediaError(f"{film.name}: the file does not decode to what was encoded. Check the disk and try again.")


def received_beside(film: Path) -> Path:
    return film.with_suffix(".received")


def encoded_beside(film: Path) -> Path:
    return film.with_suffix(".encoded")
