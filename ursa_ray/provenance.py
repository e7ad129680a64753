"""What a film is made of, in the film itself: one JSON in the comment of its file.

Title, model, hashes, versions and the file's own form are there to read; prompts, seeds and settings of all segments
follow compressed. Nothing in it tells where or when a film was made, so the same film has the same bytes.
"""

import base64
import json
import zlib
from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, FailFast

from ursa_ray import __version__
from ursa_ray.errors import MediaError, OptionError
from ursa_ray.media import VideoInfo, ffmpeg_version, is_png, nearest_frame, num_retimed, peek_note, read_tags
from ursa_ray.plan import Plan, Segment, plan_about, plan_columns, plan_of
from ursa_ray.plan.portable import Rate, Whole, require
from ursa_ray.wording import count_of

FORMAT = 1

# 2000 segments with prompts of their own take 0.2 MB; this is for 20,000 and more.
MAX_CHARS = 2_000_000
MAX_RAW_BYTES = 10_000_000  # unpacked; of empty lists, a stranger's JSON of so much takes 230 MB to read

Retime = Literal["nearest", "speed"] | None


@dataclass(frozen=True)
class Encoded:
    """What a film was written as; `num_frames` at `fps` are the file's, after `retime`."""

    codec: str
    width: int
    height: int
    fps: Fraction
    num_frames: int
    retime: Retime = None


class FileSaid(BaseModel, strict=True, extra="forbid"):
    """An `Encoded` as it is in a comment."""

    codec: str
    width: Whole
    height: Whole
    fps: Rate
    num_frames: Whole
    retime: Retime


class Said(BaseModel, strict=True):
    """What of a comment is not of the plan."""

    file: FileSaid
    versions: dict[str, str]
    start: Annotated[list[Whole], FailFast()]
    seed: Whole | None = None


@dataclass(frozen=True)
class Provenance:
    """Attributes:
    starts: the frame of the film with which each segment begins, earlier than planned where it is cut so.
    file: how it is encoded.
    versions: of what put the film together.
    seed: that a single result was asked for with, which those of its segments are drawn from.
    """

    plan: Plan
    starts: tuple[int, ...]
    file: Encoded
    versions: dict[str, str]
    seed: int | None = None

    def film_frame(self, index: int) -> int:
        """Which frame of the film as planned is frame `index` of the file."""
        if self.file.retime != "nearest":
            return index
        return nearest_frame(index, self.plan.num_frames, self.plan.fps, self.file.fps)

    def segment_at(self, film_frame: int) -> Segment:
        return self.plan.segments[bisect(self.starts, film_frame) - 1]

    @property
    def seams(self) -> list[int]:
        """Frames of the film with which a segment goes on after the one that is shown before it."""
        pairs = zip(self.plan.segments, self.plan.segments[1:], self.starts[1:], strict=False)
        return [start for before, segment, start in pairs if segment.parent == before.key]

    def to_comment(self) -> str:
        """ASCII, of at most some `MAX_CHARS` characters: a film with more segments goes without them."""
        file = {name: str(value) if name == "fps" else value for name, value in asdict(self.file).items()}
        about = {"ursa-ray": FORMAT, **plan_about(self.plan), "versions": self.versions, "file": file}
        about |= {} if self.seed is None else {"seed": self.seed}
        columns = json.dumps(plan_columns(self.plan) | {"start": self.starts}, separators=(",", ":"))
        segments = base64.b64encode(zlib.compress(columns.encode(), 9)).decode()
        is_short = len(segments) <= MAX_CHARS and len(columns) <= MAX_RAW_BYTES
        return json.dumps(about | {"segments": segments if is_short else None})

    @classmethod
    def from_comment(cls, comment: str) -> Self:
        """Raises ValueError, KeyError, TypeError, IndexError, RecursionError: it is no such comment, or was changed."""
        about = json.loads(comment)
        packed, unpacking = base64.b64decode(about["segments"]), zlib.decompressobj()
        columns = json.loads(unpacking.decompress(packed, MAX_RAW_BYTES))
        said = {name: about[name] for name in ("file", "versions", "seed") if name in about}
        require(Said, said | {"start": columns["start"]})
        file = Encoded(**about["file"] | {"fps": Fraction(about["file"]["fps"])})
        made = cls(plan_of(about, columns), tuple(columns["start"]), file, about["versions"], about.get("seed"))
        made._require_agreement()
        return made

    def _require_agreement(self) -> None:
        """Raises ValueError: segments begin where they cannot, or the file has other frames than the plan makes it."""
        for start, segment in zip(self.starts, self.plan.segments, strict=True):
            if not 0 <= segment.film[0] - start <= segment.shown[0]:
                raise ValueError(f"{segment.name} cannot begin with frame {start}")
        if list(self.starts) != sorted(self.starts):
            raise ValueError("its segments begin in no order")
        plan, file = self.plan, self.file
        num_frames = plan.num_frames
        if file.retime == "nearest":
            num_frames = num_retimed(num_frames, plan.fps, file.fps)
        if file.num_frames != num_frames:
            raise ValueError(f"it has {file.num_frames} frames, and its plan makes {num_frames}")


def versions(*, is_film: bool = True) -> dict[str, str]:
    """Of what puts a file together: of a film that is ffmpeg, too."""
    ours = {"ursa-ray": __version__, "torch": version("torch")}
    return ours | {"ffmpeg": ffmpeg_version()} if is_film else ours


def noting(frames: Iterable[tuple[int, np.ndarray]], starts: list[int]) -> Iterator[np.ndarray]:
    """The frames of `cut_film`; `starts` is filled with the first one of every segment."""
    for index, (number, frame) in enumerate(frames):
        while len(starts) <= number:
            starts.append(index)
        yield frame


def read_provenance(film: Path) -> Provenance:
    """What a film says of itself.

    Raises:
        OptionError: it is no video, says nothing, or not what ursa-ray wrote.
    """
    try:
        comment = peek_note(film) or "" if is_png(film) else read_tags(film).get("comment", "")
    except MediaError as error:
        raise OptionError(
            f"{film}: is no MP4, MOV or MKV video ({error}). Give a film of ursa-ray, or a run."
        ) from None
    about = _about(comment)
    if about is None:
        raise OptionError(
            f"{film}: says nothing of how it was made. Only single images of ursa-ray and its films in MP4, MOV and "
            "MKV do, not the grids of `evaluate`, and not every program that writes them anew keeps it. Give the run "
            "that it is of: ursa-ray explain RUN@TIME"
        )
    if about.get("ursa-ray") != FORMAT:
        raise OptionError(f"{film}: says how it was made in form {about['ursa-ray']!r:.20}. Use a newer ursa-ray.")
    if about.get("segments", "") is None:
        raise OptionError(f"{film}: has too many segments to hold them. Give its run: ursa-ray explain RUN@TIME")
    try:
        return Provenance.from_comment(comment)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, zlib.error) as error:
        raise OptionError(
            f"{film}: what it says of how it was made is damaged or was changed ({error}). "
            "Give another copy, or its run: ursa-ray explain RUN@TIME"
        ) from None


def misfit(found: VideoInfo, said: Encoded) -> str | None:
    """Why a film that was `found` is not the one that it `said` it is, and what to do; None if it is.

    Other programs keep its comment where they cut it or change its speed.
    """
    # 1 %: ffmpeg guesses the rate, and takes 119.88 for 120.
    if found.num_frames == said.num_frames and abs(found.fps - said.fps) * 100 <= said.fps:
        return None
    return (
        f"has {count_of(found.num_frames, 'frame')} at {found.fps} a second, not the {said.num_frames} at {said.fps} "
        "that it says: another program cut it or changed its speed. Give the film as ursa-ray wrote it, or its run."
    )


def _about(comment: str) -> dict[str, Any] | None:
    try:
        about = json.loads(comment)
    except (ValueError, RecursionError):
        return None
    return about if isinstance(about, dict) and "ursa-ray" in about else None
