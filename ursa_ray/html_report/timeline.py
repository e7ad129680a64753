"""Which replica made which segment when, laid out in pixels; what is drawn is in the template."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ursa_ray.ledger import Commit
from ursa_ray.plan import Plan

WIDTH_PX, LEFT_PX, ROW_PX = 760, 190, 20
MAX_ROWS = 100
MAX_GAP_S = 20.0  # in which nobody works, as between a render and the one that goes on with it: more is left out
COLOURS = ("#4a7fb5", "#c77b3b", "#5d9a5d", "#a25da0", "#b5564f", "#4c9a9a", "#8d8a3d", "#7a6bb0")


@dataclass(frozen=True)
class Span:
    """What a replica did from `began` to `ended`; a failed attempt has no length."""

    replica: str
    name: str
    began: datetime
    ended: datetime
    colour: str
    failure: str | None = None


@dataclass(frozen=True)
class Bar:
    x: float
    width: float
    title: str
    colour: str
    is_failure: bool


@dataclass(frozen=True)
class Row:
    label: str
    y: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Timeline:
    """Attributes:
    breaks: where time is left out.
    num_hidden: replicas that are not drawn, those with the least to show.
    """

    rows: tuple[Row, ...]
    breaks: tuple[float, ...]
    seconds: float
    height: int
    num_hidden: int


def spans_of(plan: Plan, commits: dict[str, Commit], failed: Sequence[dict[str, Any]]) -> list[Span]:
    """What the ledger tells; segments that an older ursa-ray made say neither who nor when, and are left out."""
    shots = {shot.id: COLOURS[number % len(COLOURS)] for number, shot in enumerate(plan.shots)}
    spans = []
    for segment in plan.by_key.values():
        commit, colour = commits.get(segment.key), shots[segment.shot]
        if commit is not None:
            spans += _failures(segment.name, colour, commit.failed or [])
            if commit.finished is not None and commit.seconds is not None:
                ended = datetime.fromisoformat(commit.finished)
                began = ended - timedelta(seconds=commit.seconds)
                spans.append(Span(_replica(commit.node, commit.replica), segment.name, began, ended, colour))
    for given_up in failed:
        colour = shots.get(given_up["shot"], COLOURS[0])
        spans += _failures(given_up["segment"], colour, given_up["attempts"])
    return spans


def lay_out(spans: Sequence[Span]) -> Timeline | None:
    """None if nothing is known of who made what."""
    if not spans:
        return None
    clock = _Clock(spans)
    by_replica: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.began):
        by_replica.setdefault(span.replica, []).append(span)
    shown = sorted(by_replica, key=lambda replica: -len(by_replica[replica]))[:MAX_ROWS]
    rows = [
        Row(replica, ROW_PX * number, tuple(_bar(span, clock) for span in by_replica[replica]))
        for number, replica in enumerate(replica for replica in by_replica if replica in shown)
    ]
    num_hidden = len(by_replica) - len(rows)
    return Timeline(tuple(rows), tuple(clock.breaks), clock.seconds, ROW_PX * len(rows) + 24, num_hidden)


class _Clock:
    """Time as pixels, without the long gaps in which nobody works."""

    def __init__(self, spans: Sequence[Span]):
        ordered = sorted((span.began, span.ended) for span in spans)
        self._skips: list[tuple[datetime, float]] = []
        self._start = end = ordered[0][0]
        skipped = 0.0
        for began, ended in ordered:
            gap = (began - end).total_seconds()
            if gap > MAX_GAP_S:
                skipped += gap - MAX_GAP_S / 4
                self._skips.append((began, skipped))
            end = max(end, ended)
        self.seconds = (end - self._start).total_seconds() - skipped
        self.breaks = [self.x(began) - MAX_GAP_S / 8 * self._px_a_second for began, _ in self._skips]

    @property
    def _px_a_second(self) -> float:
        return (WIDTH_PX - LEFT_PX) / (self.seconds or 1.0)

    def x(self, when: datetime) -> float:
        skipped = max((skip for began, skip in self._skips if when >= began), default=0.0)
        return LEFT_PX + ((when - self._start).total_seconds() - skipped) * self._px_a_second


def _bar(span: Span, clock: _Clock) -> Bar:
    x, seconds = clock.x(span.began), (span.ended - span.began).total_seconds()
    if span.failure is not None:
        return Bar(x, 0.0, f"{span.name} failed at {span.ended:%H:%M:%S}: {span.failure}", span.colour, True)
    title = f"{span.name}: {seconds:.1f} s, finished {span.ended:%Y-%m-%d %H:%M:%S} UTC"
    return Bar(x, max(1.0, clock.x(span.ended) - x - 0.5), title, span.colour, False)


def _failures(name: str, colour: str, attempts: Iterable[dict[str, str]]) -> list[Span]:
    whens = [(attempt, datetime.fromisoformat(attempt["when"])) for attempt in attempts]
    return [
        Span(
            _replica(attempt["node"], attempt["replica"]),
            name,
            when,
            when,
            colour,
            f"{attempt['kind']}: {attempt['error']}"[:300],
        )
        for attempt, when in whens
    ]


def _replica(node: str | None, replica: str | None) -> str:
    return f"{node or '?'}: {replica or '?'}"
