"""A render as it goes on, for machines: one JSON object a line on standard error."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Self

from ursa_ray.listener import Listener, Load, Waiting
from ursa_ray.plan import Plan, Segment
from ursa_ray.schedule import BlockNode, Place

# Of the steps of a segment as much is said, so that 1000 replicas say 100 lines a second.
STEP_EVERY_S = 10.0


class JsonLog(Listener):
    """Every line has `time` (ISO 8601, UTC), `level` (info, warning or error), `event` and `run`."""

    def __init__(self, run: str):
        self._run = run
        self._said: dict[str, float] = {}
        self._waiting = Waiting()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def note(self, level: str, words: str) -> None:
        """What a command says beside its render."""
        self._write("note", level, message=words)

    def begin(self, plan: Plan, num_reused: int) -> None:
        self._write("begin", num_segments=plan.num_segments, num_frames=plan.num_frames, num_reused=num_reused)

    def start(self, segment: Segment, place: Place) -> None:
        self._write("start", **_of(segment), **asdict(place))

    def compute(self, place: Place, how: str) -> None:
        self._write("compute", **asdict(place) | {"device": how})

    def step(self, segment: Segment, done: int, total: int) -> None:
        if monotonic() - self._said.get(segment.key, -STEP_EVERY_S) >= STEP_EVERY_S:
            self._said[segment.key] = monotonic()
            self._write("step", **_of(segment), done=done, total=total)

    def preview(self, segment: Segment, url: str) -> None:
        self._write("preview", **_of(segment), preview=url)

    def warn(self, segment: Segment, words: str) -> None:
        self._write("warn", "warning", **_of(segment), message=words)

    def finish(self, segment: Segment, place: Place, seconds: float) -> None:
        self._write("finish", **_of(segment), **asdict(place), seconds=round(seconds, 3))

    def fail(self, segment: Segment, place: Place, error: Exception, again: bool) -> None:
        said = {"kind": type(error).__name__, "error": str(error), "again": again}
        self._write("fail", "warning" if again else "error", **_of(segment), **asdict(place), **said)

    def late(self, segment: Segment, place: Place, seconds: float) -> None:
        self._write("late", "warning", **_of(segment), **asdict(place), seconds=round(seconds, 3))

    def leave(self, place: Place) -> None:
        self._write("leave", **asdict(place))

    def hold(self, place: Place, reason: str) -> None:
        self._write("hold", "warning", **asdict(place), reason=reason)

    def block(self, blocked: BlockNode) -> None:
        self._write("block", "warning", **asdict(blocked))

    def load(self, load: Load) -> None:
        if self._waiting.is_due(load):
            self._write("wait", num_starting=load.num_starting, num_framing=load.num_framing)

    def join(self, plan: Plan) -> None:
        self._write("join", num_frames=plan.num_frames)

    def _write(self, event: str, level: str = "info", **about: Any) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": level, "event": event, "run": self._run} | about
        print(json.dumps(line), file=sys.stderr, flush=True)  # noqa: T201


def _of(segment: Segment) -> dict[str, Any]:
    return {"shot": segment.shot, "segment": segment.index, "key": segment.key}
