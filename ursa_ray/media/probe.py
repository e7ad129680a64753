"""What a video file is, found by decoding all of it: headers are often wrong and ffprobe is not bundled."""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from ursa_ray.errors import MediaError
from ursa_ray.media.ffmpeg import ALL_FRAMES, reading, running

FRAMEHASH = ["-f", "framehash", "-hash", "sha256"]


@dataclass(frozen=True)
class VideoInfo:
    """Size as shown, so after rotation; `fps` is nominal where frames are not evenly spaced."""

    width: int
    height: int
    fps: Fraction
    num_frames: int


def probe(path: Path) -> VideoInfo:
    """Decode a video and say what it is. `MediaError` if it is damaged, no video, or of a refused format."""
    return probe_frames(path)[0]


def probe_frames(path: Path) -> tuple[VideoInfo, str]:
    """What a video is, and one hash over its decoded frames in order."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "framehash"
        with running(f"reading {path}", [*reading(path), *ALL_FRAMES, *FRAMEHASH, f"file:{report}"]):
            pass
        return read_framehash(report)


def read_framehash(report: Path) -> tuple[VideoInfo, str]:
    """Parse what ffmpeg's framehash muxer wrote: `#name value` lines, then one line for each frame."""
    header: dict[str, str] = {}
    digest = hashlib.sha256()
    num_frames = 0
    with report.open() as lines:
        for line in lines:
            if line.startswith("#"):
                name, _, value = line.strip().partition(": ")
                header[name] = value
            else:
                digest.update(line.rsplit(",", 1)[1].encode())
                num_frames += 1
    if num_frames == 0:
        raise MediaError(f"{report.name}: ffmpeg decoded no frames; at least one was expected")
    width, height = map(int, header["#dimensions 0"].split("x"))
    return VideoInfo(width, height, 1 / Fraction(header["#tb 0"]), num_frames), digest.hexdigest()
