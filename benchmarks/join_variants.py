"""Variants of the hand-over between segments and of the cut, around the model: none of them changes it.

What proves itself moves into the pipeline; `restored` and the best cut have.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from ursa_ray.evaluation.films import cut, given_to
from ursa_ray.evaluation.seams import frame_differences
from ursa_ray.media import num_before_cut
from ursa_ray.plan import Plan, Segment
from ursa_ray.work import generate_segment

if TYPE_CHECKING:
    import torch

    from ursa_ray.model import Ursa


@dataclass(frozen=True)
class Level:
    """Shifts a segment's frames by how they differ from those that they repeat, blurred by `sigma_px`.

    The shift is kept, or fades out until the segment's last frame.
    """

    sigma_px: float
    fades: bool

    def apply(self, frames: np.ndarray, given: np.ndarray) -> np.ndarray:
        # The median over the overlap: what passes is not what the background differs by.
        offset = blurred(np.median(given.astype(float) - frames[: len(given)], axis=0), self.sigma_px)
        ages = np.arange(len(frames)) - (len(given) - 1)
        share = 1 - np.clip(ages / ages[-1], 0, 1) if self.fades else np.ones(len(frames))
        return np.clip(np.rint(frames + share[:, None, None, None] * offset), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class HandOver:
    """Attributes:
    noise: how far the condition is taken back towards noise.
    hold: what becomes of its tokens: free, as published; restored for decoding; clamped to themselves in every step.
    """

    noise: float = 0.1
    hold: Literal["free", "restored", "clamped"] = "restored"
    level: Level | None = None


Cut = Literal["end", "best", "fade"]


@dataclass(frozen=True)
class Variant:
    name: str
    hand_over: HandOver
    cut: Cut = "end"


PUBLISHED, DEFAULT = "published (noise 0.1)", "restored, best cut (the default)"
LEVELS = {"mean": 1e9, "blurred 8 px": 8.0, "blurred 2 px": 2.0}
FADES = {"kept": False, "fading": True}

VARIANTS = [
    Variant(PUBLISHED, HandOver(hold="free")),
    Variant("published, noise 0", HandOver(0.0, "free")),
    Variant("published, noise 0.2", HandOver(0.2, "free")),
    Variant("published, best cut", HandOver(hold="free"), "best"),
    Variant("published, cross-fade", HandOver(hold="free"), "fade"),
    Variant("restored", HandOver()),
    Variant("restored, noise 0", HandOver(0.0)),
    Variant("restored, noise 0.2", HandOver(0.2)),
    Variant("clamped, noise 0", HandOver(0.0, "clamped")),
    *(
        Variant(f"restored, levelled: {how}, {fading}", HandOver(level=Level(sigma_px, fades)))
        for how, sigma_px in LEVELS.items()
        for fading, fades in FADES.items()
    ),
    Variant(DEFAULT, HandOver(), "best"),
    Variant("restored, cross-fade", HandOver(), "fade"),
    Variant("clamped, best cut", HandOver(0.0, "clamped"), "best"),
    Variant("clamped, cross-fade", HandOver(0.0, "clamped"), "fade"),
]


def extend(ursa: "Ursa", plan: Plan, first: np.ndarray, hand_over: HandOver) -> list[np.ndarray]:
    """Frames of all segments of the plan."""
    segments = [first]
    for segment in plan.segments[1:]:
        segments.append(make(ursa, segment, given_to(segment, segments), hand_over))
    return segments


def make(ursa: "Ursa", segment: Segment, given: np.ndarray | None, hand_over: HandOver) -> np.ndarray:
    segment = replace(segment, cond_noise=hand_over.noise, restore_condition=hand_over.hold != "free")
    if given is None:
        *_, (_, codes) = generate_segment(ursa, segment, None)
        return ursa.decode(codes)
    if hand_over.hold == "clamped":
        codes = clamp(ursa, segment, given)
    else:
        *_, (_, codes) = generate_segment(ursa, segment, given)
    frames = ursa.decode(codes)
    return frames if hand_over.level is None else hand_over.level.apply(frames, given)


def clamp(ursa: "Ursa", segment: Segment, given: np.ndarray) -> "torch.Tensor":
    """Codes of a segment whose condition is put back after every step: it is resumed after each."""
    clean = ursa.encode(given)
    done, codes = next(generate_segment(ursa, segment, given))
    while True:
        codes = codes.clone()
        codes[: len(clean)] = clean
        if done == segment.steps:
            return codes
        done, codes = next(generate_segment(ursa, segment, None, resume=(done, codes)))


def joined(plan: Plan, segments: Sequence[np.ndarray], how: Cut) -> tuple[np.ndarray, list[int]]:
    """The film, and the frames whose difference from the one before is that of the join."""
    assert plan.cut == "end", plan.cut
    (film, joins), steps, overlap = cut(plan, list(segments)), [], overlap_of(plan)
    for join, segment in zip(joins, segments[1:], strict=True):
        window = slice(join - overlap, join)
        given, repeated = film[window].astype(float), segment[:overlap].astype(float)
        if how == "end":
            steps.append(join)
        elif how == "best":
            agreeing = num_before_cut(list(film[window]), list(segment[:overlap]))
            film[join - overlap + agreeing : join] = segment[agreeing:overlap]
            steps.append(join - overlap + agreeing)
        else:
            share = (np.arange(1, overlap + 1) / (overlap + 1))[:, None, None, None]
            film[window] = np.rint((1 - share) * given + share * repeated).astype(np.uint8)
            steps += range(join - overlap, join + 1)
    return film, steps


def ends_of_overlaps(plan: Plan) -> list[int]:
    """In the film: the first frames that nothing before them shows too."""
    return [segment.film[0] for segment in plan.segments[1:]]


def overlap_of(plan: Plan) -> int:
    return plan.segments[1].shown[0]


def largest_step(film: np.ndarray, joins: Sequence[int], overlap: int) -> float:
    """Mean over joins of the largest difference in the overlap and at its end, over the mean outside overlaps."""
    differences = frame_differences(film)  # the first is frame 1's
    inside = np.ones(len(differences), bool)
    largest = []
    for join in joins:
        window = slice(join - overlap - 1, join)
        inside[window] = False
        largest.append(differences[window].max())
    level = differences[inside].mean()
    return float(np.mean(largest) / level) if level > 0 else float("nan")


def blurred(picture: np.ndarray, sigma_px: float) -> np.ndarray:
    """(height, width, 3) under a Gaussian whose weights sum to 1 at the edges too; a huge one gives the mean."""

    def weights(length: int) -> np.ndarray:
        distances = np.arange(length)[:, None] - np.arange(length)
        raw = np.exp(-(distances**2) / (2 * sigma_px**2))
        return raw / raw.sum(axis=1, keepdims=True)

    height, width, _ = picture.shape
    return np.einsum("yh,xw,hwc->yxc", weights(height), weights(width), picture)
