"""ffmpeg as a child process.

Its exit code is only the first of the checks that callers make: a missing input, a standard input closed by a
dying parent and a truncated file have all been seen to end in 0.
"""

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np

from ursa_ray.errors import MediaError
from ursa_ray.files import file_sha256

# Demuxers that read one file and never open another: no playlists, no concat scripts, no numbered images.
DEMUXERS = "mov,matroska,avi,gif,mpegts"
FORMATS = "MP4, MOV, MKV, WEBM, AVI, GIF or TS"  # which they read
MAX_PICTURE_PX = 40_000_000  # Pillow needs 4 bytes for each; 8K has 33 million

# Every frame of the first picture track once, as it comes: ffmpeg neither repeats nor drops any.
ALL_FRAMES = ["-map", "0:v:0", "-fps_mode", "passthrough"]

# No versions, dates or random ids in what is written.
BITEXACT = ["-fflags", "+bitexact", "-flags:v", "+bitexact"]


@cache
def executable() -> str:
    import imageio_ffmpeg  # 30 ms, and planning without clips does not need it

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise MediaError(f"ffmpeg: {error} Reinstall imageio-ffmpeg from a wheel for this platform.") from error


@cache
def ffmpeg_version() -> str:
    """The version as the binary itself gives it, such as "7.1-static"."""
    banner = subprocess.run([executable(), "-version"], capture_output=True, text=True, check=True).stdout
    return banner.split()[2]


@cache
def ffmpeg_sha256() -> str:
    """The hash of the binary: films are byte-identical per binary, not per version."""
    return file_sha256(Path(executable()))


def encoders() -> frozenset[str]:
    """The encoders that this ffmpeg was built with."""
    with tempfile.TemporaryFile() as listing:
        with running("listing encoders", ["-encoders"], stdout=listing.fileno()):
            pass
        listing.seek(0)
        return frozenset(line.split()[1] for line in listing.read().decode().partition("------")[2].splitlines()[1:])


def require_encoder(name: str, what: str) -> None:
    if name not in encoders():
        raise MediaError(
            f"{executable()} lacks the encoder {name}, which {what} needs. Install imageio-ffmpeg from a wheel, which "
            "brings an ffmpeg that has it, and unset IMAGEIO_FFMPEG_EXE; or choose another codec."
        )


def reading(path: Path) -> list[str]:
    """The arguments that open a video, stopping at the first damage and touching no other file."""
    # `file:` takes the rest literally, so that a name may begin with a dash or look like a protocol.
    source = ["-protocol_whitelist", "file,pipe", "-format_whitelist", DEMUXERS, "-i", f"file:{path}"]
    return ["-xerror", "-err_detect", "explode", "-max_pixels", str(MAX_PICTURE_PX), *source]


def receiving(width: int, height: int, fps: Fraction) -> list[str]:
    """The arguments that take raw RGB frames from standard input."""
    layout = ["-pixel_format", "rgb24", "-video_size", f"{width}x{height}", "-framerate", str(fps)]
    return ["-xerror", "-f", "rawvideo", *layout, "-i", "pipe:0"]


@contextmanager
def running(
    task: str, arguments: Iterable[str], stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ffmpeg for the length of the block, which feeds or drains its pipes.

    Leaving the block waits for ffmpeg; an error in the block kills it. A `MediaError` begins with `task` and
    ends with ffmpeg's last words.
    """
    command = [executable(), "-hide_banner", "-nostdin", "-loglevel", "error", *arguments]
    with tempfile.TemporaryFile() as words:  # a file, so that a talkative ffmpeg never blocks on a full pipe
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=words)
        try:
            yield process
            process.communicate()
        except BaseException:
            process.kill()
            process.communicate()
            raise
        if process.returncode != 0:
            raise MediaError(f"{task}: ffmpeg ended with {process.returncode}: {last_words(words)}")


def feed(process: subprocess.Popen[bytes], frames: Iterable[np.ndarray]) -> str:
    """Write frames to ffmpeg's standard input; the sha256 of their bytes.

    If ffmpeg is dead, return early: its exit code, or the bytes that it received, tell the caller.
    """
    assert process.stdin is not None
    digest = hashlib.sha256()
    for frame in frames:
        pixels = frame.tobytes()
        digest.update(pixels)
        try:
            process.stdin.write(pixels)
        except BrokenPipeError:
            break
    return digest.hexdigest()


def last_words(words: IO[bytes], num_lines: int = 4) -> str:
    words.seek(0)
    lines = words.read().decode(errors="replace").strip().splitlines()[-num_lines:]
    without_addresses = [re.sub(r"\[([^\]]*) @ 0x[0-9a-f]+\]", r"\1:", line) for line in lines]
    return " | ".join(without_addresses) or "it said nothing"
