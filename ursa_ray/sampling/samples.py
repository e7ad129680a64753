"""What is asked for: samples, and the settings that all of them share."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ursa_ray.checkpoint import Checkpoint
from ursa_ray.checkpoint.hub import TINY_NAME
from ursa_ray.errors import OptionError

Kind = Literal["image", "video"]

SUFFIXES: dict[Kind, str] = {"image": ".png", "video": ".mp4"}

# As many as a storyboard has shots.
MAX_SAMPLES = 10_000


@dataclass(frozen=True)
class Sample:
    """One result.

    Attributes:
        path: of its file, relative to where results go, with `/` between its parts; None names it after its content.
        image: that a video starts from.
        video: a clip whose end a video goes on from; the file has only what follows it.
        where: the prompt is from, for messages, such as `prompts.txt:3`; "" for its number.
    """

    prompt: str
    seed: int = 0
    path: str | None = None
    image: Path | None = None
    video: Path | None = None
    where: str = ""

    def __post_init__(self) -> None:
        if self.image is not None and self.video is not None:
            raise OptionError("--image and --video both say what a video starts from. Give one of them.")

    @property
    def condition(self) -> Path | None:
        return self.image if self.image is not None else self.video


@dataclass(frozen=True)
class Settings:
    """What all samples of a sampling share. What is None is the model's own, or the storyboards' default.

    Attributes:
        size: (width, height) in pixels.
        duration: of a video, such as "4s"; one segment if it is None.
        extend: go on for so many segments more, each conditioned on the last frames of the one before.
    """

    kind: Kind
    model: str = TINY_NAME
    size: tuple[int, int] | None = None
    duration: str | None = None
    extend: int | None = None
    motion: float | None = None
    steps: int | None = None
    guidance: float | None = None
    negative_prompt: str | None = None
    crf: int | None = None

    def __post_init__(self) -> None:
        if self.duration is not None and self.extend is not None:
            raise OptionError("--duration and --extend both say how long a video is. Give one of them.")

    @property
    def suffix(self) -> str:
        return SUFFIXES[self.kind]

    def num_frames(self, checkpoint: Checkpoint, is_extended: bool) -> int:
        """Of a result without a `duration`; of one that goes on from a clip (`is_extended`) those that are new."""
        if self.kind == "image":
            return 1
        frames, num_new = checkpoint.defaults.frames, checkpoint.defaults.frames - checkpoint.defaults.overlap
        if is_extended:
            return num_new * (1 if self.extend is None else self.extend)
        return frames + num_new * (self.extend or 0)


def seeds_of(samples: Iterable[Sample], number: int, first: int) -> Iterator[Sample]:
    """`number` of each sample, one after the other, with the seeds `first`, `first` + 1, ..."""
    if first + number > 2**63:
        raise OptionError(f"--seed is {first}, expected at most {2**63 - number}: {number} seeds follow one another.")
    for sample in samples:
        for seed in range(first, first + number):
            yield replace(sample, seed=seed)
