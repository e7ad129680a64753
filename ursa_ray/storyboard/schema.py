"""The storyboard, version 1.

None means left out: the planner takes the setting of the shot, else of the defaults, else of the model. What
is wrong between fields is one PartError per part, which says for each problem where it belongs.
"""

import difflib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from ursa_ray.storyboard.durations import format_duration
from ursa_ray.storyboard.fields import (
    MAX_FRAMES,
    MAX_PROMPT_CHARS,
    AssetPath,
    FrameRate,
    Line,
    Seconds,
    Text,
    asset,
    number,
    prompt,
    whole,
)
from ursa_ray.storyboard.source import KeyPath, Source, quoted

MAX_PROBLEMS = 100  # told at once
A_LIST_OF_SHOTS = "a list of 1 to 10,000 shots"
MAX_LISTED = 8  # shots in a message, the nearest

# A key's path below the part that was checked, and what the owner of that key does or lacks.
Found = tuple[KeyPath, str]


class PartError(ValueError):
    def __init__(self, found: list[Found]):
        super().__init__(found)
        self.found = found


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if found := list(islice(self._problems(), MAX_PROBLEMS)):
            raise PartError(found)
        return self

    def _problems(self) -> Iterable[Found]:
        return ()


class Video(Part):
    width: int | None = whole(16, 4096)
    height: int | None = whole(16, 4096)
    fps: FrameRate | None = None

    def _problems(self) -> Iterator[Found]:
        if (self.width is None) != (self.height is None):
            given, missing = ("height", "width") if self.width is None else ("width", "height")
            yield (given,), f"has a {given} but no {missing}; give both or neither"


class Segment(Part):
    frames: int | None = whole(1, 10_000)
    overlap: int | None = whole(0, 9_999)
    cond_noise: float | None = Field(default=None, ge=0, lt=1, description="a number from 0 to less than 1")
    join: Literal["agreeing", "restored", "published"] | None = Field(
        default=None, description="agreeing, restored or published"
    )

    def _problems(self) -> Iterator[Found]:
        if self.frames is not None and self.overlap is not None and self.overlap >= self.frames:
            words = f"has an overlap of {self.overlap}, expected less than its {self.frames} frames"
            yield ("overlap",), words


class Settings(Part):
    negative_prompt: Text | None = Field(
        default=None,
        max_length=MAX_PROMPT_CHARS,
        description=f"a text of at most {MAX_PROMPT_CHARS:,} characters",
    )
    motion: float | None = number(0, 100)
    steps: int | None = whole(1, 1000)
    guidance: float | None = number(0, 100)
    guidance_trunc: float | None = number(0, 1)
    flow_shift: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="a positive number")
    seed: int | None = whole(0, 2**63 - 1)


class Beat(Part):
    """From this time on, the shot follows another prompt."""

    at: Seconds | None = None
    frame: int | None = whole(1, MAX_FRAMES)
    prompt: Text = prompt()

    def _problems(self) -> Iterator[Found]:
        yield from _exactly_one(at=self.at, frame=self.frame)


class Shot(Settings):
    id: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$",
        description="1 to 64 of a-z, 0-9, - and _, the first a letter or a digit",
    )
    prompt: Text = prompt()
    duration: Seconds | None = None
    frames: int | None = whole(1, MAX_FRAMES)
    beats: tuple[Beat, ...] = Field(default=(), max_length=1000, description="a list of at most 1,000 beats")
    continue_: Line | None = Field(
        default=None, alias="continue", max_length=64, description="the id of an earlier shot"
    )
    image: AssetPath | None = asset("stills/title.png")
    video: AssetPath | None = asset("clips/opening.mp4")

    def _problems(self) -> Iterator[Found]:
        yield from _exactly_one(duration=self.duration, frames=self.frames)
        starts = {"continue": self.continue_, "image": self.image, "video": self.video}
        given = [key for key, value in starts.items() if value is not None]
        if len(given) > 1:
            yield (given[-1],), f"has {' and '.join(given)}; a shot starts from one of them. Leave the others out."
        yield from self._misplaced_beats()

    def _misplaced_beats(self) -> Iterator[Found]:
        """Seconds and frames are compared by the planner, which knows the frame rate."""
        last: dict[str, Fraction | int] = {}
        for i, beat in enumerate(self.beats):
            key, time = ("frame", beat.frame) if beat.at is None else ("at", beat.at)
            end = self.frames if beat.at is None else self.duration
            assert time is not None, beat
            if key in last and time <= last[key]:
                yield ("beats", i, key), f"is at {_in_words(time)}, expected after {_in_words(last[key])}"
            if end is not None and time >= end:
                words = f"is at {_in_words(time)}, expected before the shot's end, {_in_words(end)}"
                yield ("beats", i, key), words
            last[key] = time


class Output(Part):
    codec: Literal["h264"] = Field(default="h264", description="h264")
    crf: int = whole(0, 51, default=18)


class Storyboard(Part):
    version: Literal[1] = Field(description="1")
    title: Line = Field(default="", max_length=200, description="one line of at most 200 characters")
    model: Line = Field(
        pattern=r"\S",
        max_length=1000,
        description='a hub id such as BAAI/URSA-1.7B-FSQ320, a folder, or "tiny"',
    )
    video: Video = Field(default=Video(), description="a mapping such as {width: 512, height: 320, fps: 12}")
    defaults: Settings = Field(default=Settings(), description="a mapping such as {steps: 50, guidance: 7.0}")
    segment: Segment = Field(default=Segment(), description="a mapping such as {frames: 49, overlap: 13}")
    shots: tuple[Shot, ...] = Field(max_length=10_000, description=A_LIST_OF_SHOTS)
    output: Output = Field(default=Output(), description="a mapping such as {codec: h264, crf: 18}")

    _source: Source = PrivateAttr(default_factory=Source)

    def model_post_init(self, context: object) -> None:
        """The loader gives the source as the context of the validation."""
        if isinstance(context, Source):
            self._source = context

    @field_validator("shots")
    @classmethod
    def _not_empty(cls, shots: tuple[Shot, ...]) -> tuple[Shot, ...]:
        # min_length would also complain of a list whose shots are all wrong
        if not shots:
            raise ValueError(f"expected {A_LIST_OF_SHOTS}")
        return shots

    @property
    def folder(self) -> Path:
        """Where the paths of images and clips start."""
        return self._source.folder

    @property
    def text(self) -> str | None:
        """The file as it was read; None of one that is not from a file."""
        return self._source.text

    def where(self, *path: str | int) -> str:
        """`where("shots", 3, "prompt")` is "film.yaml:12"; of what is left out, the nearest around it."""
        return self._source.where(path)

    def where_in(self, number: int, *path: str | int) -> str:
        """`where_in(3, "prompt")` is `film.yaml:12: shots[3] ("dusk")`, for what is said of a shot."""
        return self._source.where_in(("shots", number, *path), self.shots[number].id)

    def asset_path(self, shot: Shot) -> Path | None:
        """The image that `shot` starts from, or the clip that it extends."""
        name = shot.image if shot.image is not None else shot.video
        return None if name is None else self.folder / name

    def _problems(self) -> Iterator[Found]:
        yield from self._repeated_ids()
        yield from self._broken_chains()

    def _repeated_ids(self) -> Iterator[Found]:
        first: dict[str, int] = {}
        for i, shot in enumerate(self.shots):
            k = first.setdefault(shot.id, i)
            if k != i:
                yield ("shots", k, "id"), f"has the same id as shots[{i}]; give every shot its own"
                yield ("shots", i, "id"), f"has the same id as shots[{k}]; give every shot its own"

    def _broken_chains(self) -> Iterator[Found]:
        """A shot continues an earlier one only, so chains have no cycles."""
        everywhere = {shot.id for shot in self.shots}
        earlier: dict[str, None] = {}
        for i, shot in enumerate(self.shots):
            parent = shot.continue_
            if parent is not None and parent not in earlier:
                which = "itself, " if parent == shot.id else "a later shot, " if parent in everywhere else ""
                words = f"continues {quoted(parent)}, which is {which}not an earlier shot."
                yield ("shots", i, "continue"), f"{words} {_earlier(list(earlier), parent)}"
            earlier[shot.id] = None


def _exactly_one(**choices: object) -> Iterator[Found]:
    first, second = choices
    given = [key for key, value in choices.items() if value is not None]
    if not given:
        yield (first,), f"has neither {first} nor {second}; give one, such as {first}: 4s"
    if len(given) == 2:
        yield (second,), f"has both {first} and {second}; keep one of them"


def _in_words(time: Fraction | int) -> str:
    return f"frame {time}" if isinstance(time, int) else format_duration(time)


def _earlier(ids: list[str], wanted: str) -> str:
    if not ids:
        return "It is the first; leave continue out."
    close = difflib.get_close_matches(wanted, ids[-MAX_LISTED:], n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    more = "..., " if len(ids) > MAX_LISTED else ""
    return f"{hint}Earlier: {more}{', '.join(ids[-MAX_LISTED:])}."
