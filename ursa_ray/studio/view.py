"""What the studio shows of a run: a pure function of its plan, its ledger and what is underway."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile

from ursa_ray.plan import Plan, Segment


class Phase(StrEnum):
    """What a run is at."""

    EMPTY = "empty"
    STARTING = "starting"
    RENDERING = "rendering"
    JOINING = "joining"
    ENDING = "ending"
    PAUSED = "paused"
    FINISHED = "finished"


BUSY = frozenset({Phase.STARTING, Phase.RENDERING, Phase.JOINING, Phase.ENDING})


class State(StrEnum):
    """What a segment is at; one that is begun has steps that were saved."""

    WAITING = "waiting"
    BEGUN = "begun"
    MADE = "made"
    FAILED = "failed"


class Plays(StrEnum):
    """What there is to play: the whole film, the one before its last change, or what is finished from its beginning."""

    WHOLE = "whole"
    BEFORE = "before"
    BEGINNING = "beginning"


@dataclass(frozen=True)
class Film:
    """The hash of a film's file, and the plan that it shows."""

    sha256: str
    plan: Plan


@dataclass(frozen=True)
class Facts:
    """What was found out about a run.

    Attributes:
        committed, framed: keys of the segments with codes, and of those whose frames are there, too.
        num_done: saved steps of segments that are begun, by key.
        failed: reasons by key, of the last render.
        holder: who renders, as the run's lease says; None if nobody does.
        film: sha256 of the finished film of `plan`; None if it is not finished.
        film_before: the run's last film, while that of `plan` is not finished.
        is_starting: a process of this studio has begun and does not hold the lease yet.
        is_ending: who renders was told to end, or has let go of the lease, and is there still.
        can_cancel: whether who renders can be interrupted from here.
        complaint: why the last render of this studio ended before its time.
    """

    plan: Plan | None = None
    committed: Collection[str] = ()
    framed: Collection[str] = ()
    num_done: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    holder: str | None = None
    seconds_left: float | None = None
    film: str | None = None
    film_before: Film | None = None
    is_starting: bool = False
    is_ending: bool = False
    can_cancel: bool = False
    complaint: str = ""


@dataclass(frozen=True)
class SegmentView:
    """`num_frames` are those that the film shows of it, `take` which one it is, from 1, `reason` why it failed."""

    key: str
    name: str
    state: State
    num_done: int
    num_steps: int
    num_frames: int
    take: int = 1
    reason: str = ""


@dataclass(frozen=True)
class View:
    """What the page shows, and which of its buttons can be pressed.

    Attributes:
        num_playable: segments from the film's beginning that can be played already.
        seconds_playable: how long these are.
        seconds_before: how long the film before the last change is, if there is one.
        plays: what there is to play; None if there is nothing.
        share: of the steps of the film that are done, from 0 to 1.
        aspect: width of a picture by its height.
        parts: what can be taken again: shots and segments, by their names.
    """

    phase: Phase
    title: str = ""
    segments: tuple[SegmentView, ...] = ()
    num_playable: int = 0
    seconds_playable: float = 0.0
    seconds: float = 0.0
    seconds_before: float = 0.0
    plays: Plays | None = None
    share: float = 0.0
    seconds_left: float | None = None
    holder: str | None = None
    film: str | None = None
    aspect: float = 1.6
    parts: tuple[str, ...] = ()
    can_render: bool = True
    can_cancel: bool = False
    complaint: str = ""

    @property
    def num_made(self) -> int:
        return sum(segment.state is State.MADE for segment in self.segments)

    @property
    def is_busy(self) -> bool:
        return self.phase in BUSY

    @property
    def can_resume(self) -> bool:
        return self.phase is Phase.PAUSED and self.share > 0

    @property
    def can_retake(self) -> bool:
        return self.can_render and bool(self.parts)


def view(facts: Facts) -> View:
    """What to show of a run."""
    phase = _phase(facts)
    is_busy = phase in BUSY
    complaint = "" if is_busy or phase is Phase.FINISHED else facts.complaint
    if (plan := facts.plan) is None:
        return View(
            phase, holder=facts.holder, can_render=not is_busy, can_cancel=_can_cancel(facts), complaint=complaint
        )
    playable = playable_segments(plan, facts.framed)
    num_frames = sum(segment.shown[1] - segment.shown[0] for segment in playable)
    return View(
        phase,
        title=plan.title,
        segments=tuple(_segment(segment, facts) for segment in plan.segments),
        num_playable=len(playable),
        seconds_playable=float(num_frames / plan.fps),
        seconds=plan.seconds,
        seconds_before=0.0 if facts.film_before is None else facts.film_before.plan.seconds,
        plays=_plays(facts, playable),
        share=_share(plan, facts),
        seconds_left=facts.seconds_left if is_busy else None,
        holder=facts.holder,
        film=facts.film,
        aspect=plan.width / plan.height,
        parts=_parts(plan, facts.committed),
        can_render=not is_busy,
        can_cancel=_can_cancel(facts),
        complaint=complaint,
    )


def playable_segments(plan: Plan, framed: Collection[str]) -> tuple[Segment, ...]:
    """The segments from the beginning of the film without a gap whose frames are there."""
    return tuple(takewhile(lambda segment: segment.key in framed, plan.segments))


def _plays(facts: Facts, playable: Collection[Segment]) -> Plays | None:
    """The film before the last change, until there is something newer to play than what it shows."""
    if facts.film is not None:
        return Plays.WHOLE
    before = facts.film_before
    if before is not None and all(segment.key in before.plan.by_key for segment in playable):
        return Plays.BEFORE
    return Plays.BEGINNING if playable else None


def _phase(facts: Facts) -> Phase:
    plan = facts.plan
    if facts.is_ending:
        return Phase.ENDING
    if facts.holder is None:
        if facts.is_starting:
            return Phase.STARTING
        if plan is None:
            return Phase.EMPTY
        return Phase.PAUSED if facts.film is None else Phase.FINISHED
    if plan is None or facts.film is not None:
        return Phase.STARTING  # it looks at what is there
    is_made = all(segment.key in facts.framed for segment in plan.segments)
    return Phase.JOINING if is_made else Phase.RENDERING


def _can_cancel(facts: Facts) -> bool:
    return facts.can_cancel and not facts.is_ending and (facts.is_starting or facts.holder is not None)


def _segment(segment: Segment, facts: Facts) -> SegmentView:
    num_done = facts.num_done.get(segment.key, 0)
    reason = facts.failed.get(segment.key, "")
    state = State.BEGUN if num_done else State.WAITING
    if segment.key in facts.committed:
        state, num_done, reason = State.MADE, segment.steps, ""
    elif reason and facts.holder is None:
        state = State.FAILED
    num_frames = segment.shown[1] - segment.shown[0]
    return SegmentView(segment.key, segment.name, state, num_done, segment.steps, num_frames, segment.take + 1, reason)


def _share(plan: Plan, facts: Facts) -> float:
    """By work: segments of several models and sizes take differently long."""
    done = sum(
        segment.flops * (1 if segment.key in facts.committed else facts.num_done.get(segment.key, 0) / segment.steps)
        for segment in plan.by_key.values()
    )
    return min(1.0, done / plan.flops)


def _parts(plan: Plan, committed: Collection[str]) -> tuple[str, ...]:
    """Whole shots and single segments of which a take is committed; a shot of one segment is named once."""
    parts: list[str] = []
    for shot in plan.shots:
        made = [segment for segment in shot.segments if segment.key in committed or segment.take]
        if made:
            parts.append(shot.id)
        if len(shot.segments) > 1:
            parts += [segment.name for segment in made]
    return tuple(parts)
