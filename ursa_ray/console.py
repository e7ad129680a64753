"""A render as it goes on: bars on a terminal, plain lines in a log."""

import sys
from datetime import UTC, datetime
from time import monotonic
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ursa_ray.listener import Listener, Load, Waiting
from ursa_ray.plan import Plan, Segment
from ursa_ray.schedule import BlockNode, Place
from ursa_ray.summary import format_time
from ursa_ray.wording import count_of

# Plain lines about the steps of a segment come at most this often.
LINE_EVERY_S = 10.0


class Words(Listener):
    """Says in a line each what is out of the ordinary."""

    def __init__(self) -> None:
        self._waiting = Waiting()

    def compute(self, place: Place, how: str) -> None:
        self._say(f"{_named(place)} computes on {how}")

    def preview(self, segment: Segment, url: str) -> None:
        self._say(f"{segment.name} preview: {url}")

    def warn(self, segment: Segment, words: str) -> None:
        self._say(f"{segment.name}: {words}")

    def fail(self, segment: Segment, place: Place, error: Exception, again: bool) -> None:
        self._say(f"{segment.name} failed, {'trying again' if again else 'given up'}: {error}")

    def late(self, segment: Segment, place: Place, seconds: float) -> None:
        self._say(f"{segment.name} takes far longer than others, {seconds:.0f} s by now, on {_named(place)}")

    def leave(self, place: Place) -> None:
        self._say(f"{_named(place)} is about to be taken; it gets nothing new")

    def hold(self, place: Place, reason: str) -> None:
        self._say(f"{_named(place)} gets no work: {reason}")

    def block(self, blocked: BlockNode) -> None:
        self._say(f"node {blocked.node} gets no more work: {blocked.reason}")

    def load(self, load: Load) -> None:
        if self._waiting.is_due(load):
            replica = f"a replica; {load.num_starting} asked for"
            frames = f"frames of {count_of(load.num_framing, 'committed segment')} to be written"
            self._say(f"waiting for {replica if load.num_starting else frames}")

    def join(self, plan: Plan) -> None:
        self._say(f"joining {count_of(plan.num_frames, 'frame')}")

    def _say(self, words: str) -> None:
        raise NotImplementedError


def listener() -> "Lines | Bars":
    """Bars if somebody is looking, else lines; both on standard error, so that standard output is the result's."""
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines()


class Lines(Words):
    """One line for what begins, ends or fails, and now and then for the steps in between, with its time in UTC."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def begin(self, plan: Plan, num_reused: int) -> None:
        self._pace = Pace(plan, num_reused)
        self._said = monotonic()
        reused = f", {num_reused} already committed" if num_reused else ""
        self._say(f"{count_of(plan.num_segments, 'segment')}, {count_of(plan.num_frames, 'frame')}{reused}")

    def start(self, segment: Segment, place: Place) -> None:
        self._say(f"{segment.name} begins")

    def step(self, segment: Segment, done: int, total: int) -> None:
        self._pace.step(segment, done, total)
        if monotonic() - self._said > LINE_EVERY_S:
            self._say(f"{segment.name} step {done} of {total}, {self._pace.left()}")

    def finish(self, segment: Segment, place: Place, seconds: float) -> None:
        self._pace.finish(segment)
        self._say(f"{segment.name} committed after {seconds:.1f} s, {self._pace.left()}")

    def _say(self, words: str) -> None:
        self._said = monotonic()
        print(f"{datetime.now(UTC):%H:%M:%S} {words}", file=sys.stderr, flush=True)  # noqa: T201


class Bars(Words):
    """A bar for the film and one for every shot that is being made."""

    def __init__(self, console: Console):
        super().__init__()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._shots: dict[str, TaskID] = {}
        self._steps: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def begin(self, plan: Plan, num_reused: int) -> None:
        self._of_shot = {shot.id: shot.segments for shot in plan.shots}
        total = sum(segment.steps for segment in plan.segments)
        reused = total * num_reused // plan.num_segments
        self._film = self._progress.add_task("film (steps)", total=total, completed=reused)

    def start(self, segment: Segment, place: Place) -> None:
        if segment.shot not in self._shots:
            of_shot = self._of_shot[segment.shot]
            total = sum(other.steps for other in of_shot)
            before = sum(other.steps for other in of_shot if other.index < segment.index)
            self._shots[segment.shot] = self._progress.add_task(segment.shot, total=total, completed=before)
        self._steps.setdefault(segment.key, 0)  # a second replica may be put to it

    def step(self, segment: Segment, done: int, total: int) -> None:
        advance = done - self._steps[segment.key]
        self._steps[segment.key] = done
        self._progress.advance(self._film, advance)
        self._progress.advance(self._shots[segment.shot], advance)

    def finish(self, segment: Segment, place: Place, seconds: float) -> None:
        of_shot = self._of_shot[segment.shot]
        if segment is of_shot[-1]:
            self._progress.update(self._shots[segment.shot], visible=False)

    def fail(self, segment: Segment, place: Place, error: Exception, again: bool) -> None:
        # What was counted of it is done again, or never.
        self._progress.advance(self._film, -self._steps[segment.key])
        self._progress.advance(self._shots[segment.shot], -self._steps[segment.key])
        self._steps[segment.key] = 0
        super().fail(segment, place, error, again)

    def _say(self, words: str) -> None:
        self._progress.console.print(words)


class Pace:
    """Time left, from the work that was done since the render began."""

    def __init__(self, plan: Plan, num_reused: int):
        self._began = monotonic()
        self._left = plan.flops * (1 - num_reused / max(plan.num_segments, 1))
        self._done = 0.0
        self._part: dict[str, float] = {}

    def step(self, segment: Segment, done: int, total: int) -> None:
        self._part[segment.key] = segment.flops * done / total

    def finish(self, segment: Segment) -> None:
        self._part.pop(segment.key, None)
        self._done += segment.flops

    def left(self) -> str:
        done = self._done + sum(self._part.values())
        if done <= 0:
            return "time left unknown"
        seconds = max(0.0, (self._left - done) * (monotonic() - self._began) / done)
        return f"{format_time(seconds)} left"


def _named(place: Place) -> str:
    """Ray's ids are long; their beginnings tell them apart."""
    return f"replica {place.replica[:12]} on node {place.node[:12]}"
