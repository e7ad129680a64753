"""What a plan is made of. Frame ranges are half-open and counted in whole frames."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

# Part of every key: raised when the same request would give other codes.
KEY_FORMAT = 1

# What of a segment decides its codes as it is.
DECIDE = (
    "prompt",
    "negative_prompt",
    "width",
    "height",
    "num_frames",
    "steps",
    "guidance",
    "guidance_trunc",
    "flow_shift",
    "cond_noise",
    "restore_condition",
    "max_prompt_length",
    "seed",
)

CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


@dataclass(frozen=True)
class ParentCondition:
    """Frames [start, stop) of another segment."""

    key: str
    start: int
    stop: int

    @property
    def num_given(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class ImageCondition:
    """A start image; the film shows it as the first frame of the shot."""

    sha256: str
    path: Path

    @property
    def num_given(self) -> int:
        return 0


@dataclass(frozen=True)
class ClipCondition:
    """The last frames of a given clip, at the film's frame rate; the film shows only what follows them."""

    sha256: str
    path: Path
    num_frames: int
    fps: Fraction

    @property
    def num_given(self) -> int:
        return self.num_frames


Condition = ParentCondition | ImageCondition | ClipCondition


@dataclass(frozen=True)
class Segment:
    """One run of the model.

    Attributes:
        key: hash of everything that decides the codes, see `segment_key`; "" before it is known.
        shot, index: which segment of which shot.
        shown: the segment's frames that are new; those before repeat what conditioned it.
        film: where in the film they are. The cut may lie a few frames earlier (`Plan.cut`).
        flops: work of the denoising steps.
        take: how often it was taken again, with another seed each time.
    """

    shot: str
    index: int
    prompt: str
    negative_prompt: str
    width: int
    height: int
    num_frames: int
    steps: int
    guidance: float
    guidance_trunc: float
    flow_shift: float | None
    cond_noise: float
    restore_condition: bool
    max_prompt_length: int
    seed: int
    condition: Condition | None
    shown: tuple[int, int]
    film: tuple[int, int]
    flops: float
    key: str = ""
    take: int = 0

    @property
    def name(self) -> str:
        return f"{self.shot}[{self.index}]"

    @property
    def parent(self) -> str | None:
        return self.condition.key if isinstance(self.condition, ParentCondition) else None

    def with_key(self, weights_sha256: str) -> "Segment":
        return replace(self, key=segment_key(vars(self), weights_sha256))


@dataclass(frozen=True)
class PlannedShot:
    id: str
    num_frames: int
    segments: tuple[Segment, ...]


# Of the frames that a segment repeats, the film shows its parent's all, or up to where both agree best.
Cut = Literal["end", "agreeing"]


@dataclass(frozen=True)
class Plan:
    title: str
    model: str
    weights_sha256: str
    width: int
    height: int
    fps: Fraction
    crf: int
    shots: tuple[PlannedShot, ...]
    cut: Cut = "end"

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """In the order of the film; a parent always comes before its children."""
        return tuple(segment for shot in self.shots for segment in shot.segments)

    @cached_property
    def by_key(self) -> dict[str, Segment]:
        return {segment.key: segment for segment in self.segments}

    def of(self, shot: PlannedShot) -> "Plan":
        """The plan of one of the shots as a film of its own, which continues no other: its frames count from 0."""
        first = shot.segments[0].film[0]
        segments = tuple(replace(each, film=(each.film[0] - first, each.film[1] - first)) for each in shot.segments)
        return replace(self, title="", shots=(replace(shot, segments=segments),))

    @property
    def num_frames(self) -> int:
        return sum(shot.num_frames for shot in self.shots)

    @property
    def num_segments(self) -> int:
        return len(self.segments)

    @property
    def seconds(self) -> float:
        return float(self.num_frames / self.fps)

    @property
    def flops(self) -> float:
        return sum(segment.flops for segment in self.by_key.values())

    @cached_property
    def chain(self) -> dict[str, tuple[int, float]]:
        """For each key the segments and the FLOPs of the longest chain that starts with it."""
        after: dict[str, tuple[int, float]] = {}
        chain: dict[str, tuple[int, float]] = {}
        for segment in reversed(self.segments):
            num_after, flops_after = after.get(segment.key, (0, 0.0))
            num, flops = chain[segment.key] = 1 + num_after, segment.flops + flops_after
            if (parent := segment.parent) is not None:
                num_known, flops_known = after.get(parent, (0, 0.0))
                after[parent] = max(num_known, num), max(flops_known, flops)
        return chain

    @property
    def critical_path(self) -> tuple[int, float]:
        """Segments and FLOPs of the longest chain: what no number of replicas can shorten."""
        return max(num for num, _ in self.chain.values()), max(flops for _, flops in self.chain.values())

    @cached_property
    def sha256(self) -> str:
        """Hash of the film that is asked for: its segments, how they are cut, and how it is encoded."""
        cut = {} if self.cut == "end" else {"cut": self.cut}
        return _hash(
            cut
            | {
                "title": self.title,
                "fps": str(self.fps),
                "crf": self.crf,
                "segments": [(segment.name, segment.key, segment.shown) for segment in self.segments],
            }
        )


def segment_key(fields: Mapping[str, Any], weights_sha256: str) -> str:
    """Hash what decides the codes: no path, host, device or number type, and nothing of how the film is cut.

    `fields` are those of a `Segment`.
    """
    decides = {name: fields[name] for name in DECIDE}
    decides["format"] = KEY_FORMAT
    decides["sampler"] = "fast"
    decides["weights"] = weights_sha256
    decides["condition"] = _decisive(fields["condition"])
    return _hash(decides)


def _decisive(condition: Condition | None) -> dict[str, Any] | None:
    if condition is None:
        return None
    fields = {name: value for name, value in vars(condition).items() if name != "path"}
    return {"kind": type(condition).__name__, **fields}


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(CANONICAL.encode(content).encode()).hexdigest()
