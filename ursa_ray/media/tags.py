"""Tags of a video file: title, comment and what else its container keeps."""

import re
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ursa_ray.media.ffmpeg import BITEXACT, reading, running

SPECIAL = re.compile(r"[=;#\\\n]")
MAX_BYTES = 5_000_000  # of all tags of a file: twice what ursa-ray ever writes

LINE = re.compile(r"([^=;#\[]*)=((?:\\.|[^\\\n])*)\n", re.DOTALL)


def read_tags(path: Path) -> dict[str, str]:
    """The tags of a video by their names in lower case; what is beyond `MAX_BYTES` is left out.

    Raises:
        MediaError: it is no video, or of a format that is not read.
    """
    with tempfile.TemporaryFile() as listing:
        with running(f"reading {path}", [*reading(path), "-f", "ffmetadata", "-"], stdout=listing.fileno()):
            pass
        listing.seek(0)
        text = listing.read(MAX_BYTES).decode(errors="replace").partition("\n")[2]
    return {match[1].lower(): re.sub(r"\\(.)", r"\1", match[2], flags=re.DOTALL) for match in LINE.finditer(text)}


def copy_with_tags(source: Path, target: Path, tags: Mapping[str, str], container: tuple[str, ...]) -> None:
    """Copy a video as it is, with these tags and no others; the same bytes for the same tags.

    They go through a pipe: an argument of a command has 128 KB at most.
    """
    lines = [f"{name}={SPECIAL.sub(lambda match: chr(92) + match[0], value)}\n" for name, value in tags.items()]
    written = "".join([";FFMETADATA1\n", *lines]).encode()
    inputs = ["-i", f"file:{source}", "-f", "ffmetadata", "-i", "pipe:0"]
    copied = ["-map", "0:v:0", "-c", "copy", "-map_metadata", "1", *BITEXACT, *container, f"file:{target}"]
    with running(f"tagging {target.name}", [*inputs, *copied], stdin=subprocess.PIPE) as ffmpeg:
        assert ffmpeg.stdin is not None
        with suppress(BrokenPipeError):  # its exit code tells
            ffmpeg.stdin.write(written)
