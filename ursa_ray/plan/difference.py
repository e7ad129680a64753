"""What of a plan a run has already, what is new to it, and why: against what the run's last plan had in each place."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from ursa_ray.plan.motion import split_motion
from ursa_ray.plan.segments import ClipCondition, Condition, ImageCondition, ParentCondition, Plan, Segment

# What is said to have changed, with both values, and the fields that it is.
NUMBERS = {
    "size": ("width", "height"),
    "segment frames": ("num_frames",),
    "steps": ("steps",),
    "guidance": ("guidance",),
    "guidance_trunc": ("guidance_trunc",),
    "flow_shift": ("flow_shift",),
    "longest prompt": ("max_prompt_length",),
}


@dataclass(frozen=True)
class ShotDifference:
    """A shot's segments that are not committed yet, and why: the first of them, and those that were not in it before.

    `reasons` is empty if nothing of it is new.
    """

    id: str
    num_segments: int
    new: tuple[Segment, ...]
    reasons: tuple[str, ...]

    @property
    def num_kept(self) -> int:
        return self.num_segments - len(self.new)

    @property
    def flops(self) -> float:
        return sum(segment.flops for segment in self.new)


@dataclass(frozen=True)
class Difference:
    """`num_unused` counts the committed segments that the plan does without."""

    shots: tuple[ShotDifference, ...]
    num_unused: int

    @property
    def num_kept(self) -> int:
        return sum(shot.num_kept for shot in self.shots)

    @property
    def num_new(self) -> int:
        return sum(len(shot.new) for shot in self.shots)

    @property
    def flops(self) -> float:
        """Work of what is new."""
        return sum(shot.flops for shot in self.shots)


def difference(plan: Plan, before: Plan | None, committed: Collection[str]) -> Difference:
    """Compare with the run's last plan, if it has one, and the keys of its committed segments."""
    comparison = _Comparison(plan, before, committed)
    return Difference(
        shots=tuple(comparison.shot(shot.id, shot.segments) for shot in plan.shots),
        num_unused=sum(key not in plan.by_key for key in committed),
    )


class _Comparison:
    def __init__(self, plan: Plan, before: Plan | None, committed: Collection[str]):
        self.plan, self.before, self.committed = plan, before, committed
        self.then = {} if before is None else {shot.id: shot.segments for shot in before.shots}

    def shot(self, name: str, segments: tuple[Segment, ...]) -> ShotDifference:
        new = tuple(segment for segment in segments if segment.key not in self.committed)
        return ShotDifference(name, len(segments), new, tuple(self._reasons(name, new)))

    def _reasons(self, name: str, new: tuple[Segment, ...]) -> Iterator[str]:
        if not new:
            return
        if name not in self.then:
            yield "new shot"
            return
        then = self.then[name]
        added = sum(segment.index >= len(then) for segment in new)
        if len(new) > added:
            first = new[0]
            yield f"{first.name}: {', '.join(self._changes(first, then[first.index]))}"
        if added:
            yield f"longer: {added} more segment{'s' if added > 1 else ''}"

    def _changes(self, now: Segment, then: Segment) -> Iterator[str]:
        if now.key == then.key:
            yield "retaken, not rendered yet" if now.take else "not rendered yet"
            return
        changes = [*self._settings(now, then), *self._start(now, then)]
        # Keys are made in another way, or of more.
        yield from changes or ["planned by another version of ursa-ray"]

    def _settings(self, now: Segment, then: Segment) -> Iterator[str]:
        assert self.before is not None
        if self.plan.weights_sha256 != self.before.weights_sha256:
            yield "weights changed"
        yield from _prompts(now, then)
        for name, fields in NUMBERS.items():
            yield from _changed(name, *("x".join(str(getattr(s, field)) for field in fields) for s in (then, now)))
        if now.take != then.take:
            yield "retaken"
        elif now.seed != then.seed:
            yield "seed changed"

    def _start(self, now: Segment, then: Segment) -> Iterator[str]:
        match now.condition, then.condition:
            case ParentCondition() as here, ParentCondition() as there:
                yield from self._parent(here, there)
            case ImageCondition() as here, ImageCondition() as there:
                if here.sha256 != there.sha256:
                    yield "image changed"
            case ClipCondition() as here, ClipCondition() as there:
                if here.sha256 != there.sha256:
                    yield "clip changed"
                yield from _changed("given frames", there.num_frames, here.num_frames)
                yield from _changed("frame rate", there.fps, here.fps)
            case None, None:
                return
            case here, there:
                yield f"starts from {self._words(here, self.plan)}, before from {self._words(there, self.before)}"
                return  # noise and way of joining follow from it
        yield from _changed("cond_noise", then.cond_noise, now.cond_noise)
        if now.restore_condition != then.restore_condition:
            yield "way of joining changed"

    def _parent(self, here: ParentCondition, there: ParentCondition) -> Iterator[str]:
        parent, former = (self._words(condition, plan) for condition, plan in ((here, self.plan), (there, self.before)))
        if parent != former:
            yield f"goes on from {parent}, before from {former}"
        elif here.key not in self.committed:
            yield f"its parent {parent} is new"
        elif here.key != there.key:
            yield f"its parent {parent} is another"
        elif here.stop != there.stop:
            yield f"its parent {parent} is cut elsewhere"
        yield from _changed("given frames", there.num_given, here.num_given)

    def _words(self, condition: Condition | None, plan: Plan | None) -> str:
        match condition:
            case None:
                return "nothing"
            case ImageCondition():
                return "an image"
            case ClipCondition():
                return "a clip"
            case ParentCondition(key):
                assert plan is not None
                return plan.by_key[key].name


def _prompts(now: Segment, then: Segment) -> Iterator[str]:
    """A prompt begins with its motion, which a storyboard gives apart."""
    (motion, prompt), (former_motion, former_prompt) = split_motion(now.prompt), split_motion(then.prompt)
    if prompt != former_prompt:
        yield "prompt changed"
    yield from _changed("motion", former_motion, motion)
    if now.negative_prompt != then.negative_prompt:
        yield "negative prompt changed"


def _changed(name: str, then: Any, now: Any) -> Iterator[str]:
    if now != then:
        yield f"{name} changed ({then} -> {now})"
