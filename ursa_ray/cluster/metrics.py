"""A render as metrics of its Ray cluster, which Prometheus scrapes from the head.

Ray puts `ray_` before every name, sends what was counted every 10 s and when the driver disconnects, and forgets a
driver's series about 20 s after that. What is recorded while there is no connection is dropped.
"""

from collections.abc import Mapping
from time import monotonic
from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from ursa_ray.listener import Listener, Load
from ursa_ray.plan import Plan, Segment
from ursa_ray.schedule import BlockNode, Place

# From the built-in model on a CPU to the largest on an old GPU.
SECONDS = [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0]

# Name, kind, labels beside `run`, meaning. Ray approximates the sum of a histogram: mean seconds are replica seconds
# over segments.
METRICS: tuple[tuple[str, type[Counter | Gauge | Histogram], tuple[str, ...], str], ...] = (
    ("ursa_segments_finished_total", Counter, ("device",), "Segments that were made and committed."),
    ("ursa_segment_seconds", Histogram, ("device",), "Wall time of making a segment."),
    ("ursa_steps_total", Counter, (), "Denoising steps by which segments got on."),
    ("ursa_attempts_failed_total", Counter, ("kind",), "Attempts at a segment that failed, by the kind of error."),
    ("ursa_segments_given_up_total", Counter, (), "Segments that are not tried again in this render."),
    ("ursa_segments_late_total", Counter, (), "Segments that took far longer than others like them."),
    ("ursa_segments_ready", Gauge, (), "The queue: segments that only lack a replica."),
    ("ursa_segments_left", Gauge, (), "Segments that are not committed yet."),
    ("ursa_replicas", Gauge, ("state",), "Replicas that are busy, idle or starting."),
    ("ursa_replica_seconds_total", Counter, ("state",), "Time that replicas were busy, idle or starting."),
    ("ursa_replicas_leaving_total", Counter, (), "Busy replicas whose node was about to be taken."),
    ("ursa_replicas_held_total", Counter, (), "Replicas that got no work, with their cards, for wrong answers."),
    ("ursa_nodes_blocked_total", Counter, (), "Nodes that got no more work."),
)


class Metrics(Listener):
    """`run` is the label of all series: the name of the run, not its whole URL."""

    def __init__(self, run: str):
        self._metrics = {name: _metric(name, kind, labels, about) for name, kind, labels, about in METRICS}
        for metric in self._metrics.values():
            metric.set_default_tags({"run": run})
        self._num_left = 0
        self._steps: dict[str, int] = {}
        self._load: Mapping[str, int] = {}
        self._spent = monotonic()

    def begin(self, plan: Plan, num_reused: int) -> None:
        self._num_left = plan.num_segments - num_reused

    def step(self, segment: Segment, done: int, total: int) -> None:
        """The first that an attempt tells of is one step, wherever it goes on from."""
        before = self._steps.get(segment.key, done - 1)
        self._count("ursa_steps_total", done - before)
        self._steps[segment.key] = max(before, done)  # two replicas may be at it

    def finish(self, segment: Segment, place: Place, seconds: float) -> None:
        if segment.key not in self._steps:
            return  # it was only decoded again
        self._count("ursa_steps_total", segment.steps - self._steps.pop(segment.key))
        self._num_left = max(0, self._num_left - 1)
        self._count("ursa_segments_finished_total", device=place.device)
        self._metrics["ursa_segment_seconds"].observe(seconds, {"device": place.device})
        self._set("ursa_segments_left", self._num_left)
        self._spend()

    def fail(self, segment: Segment, place: Place, error: Exception, again: bool) -> None:
        self._steps.pop(segment.key, None)
        self._count("ursa_attempts_failed_total", kind=type(error).__name__)
        self._count("ursa_segments_given_up_total", not again)

    def late(self, segment: Segment, place: Place, seconds: float) -> None:
        self._count("ursa_segments_late_total")

    def leave(self, place: Place) -> None:
        self._count("ursa_replicas_leaving_total")

    def hold(self, place: Place, reason: str) -> None:
        self._count("ursa_replicas_held_total")

    def block(self, blocked: BlockNode) -> None:
        self._count("ursa_nodes_blocked_total")

    def load(self, load: Load) -> None:
        self._spend()
        self._load = {"busy": load.num_running, "idle": load.num_idle, "starting": load.num_starting}
        for state, num in self._load.items():
            self._set("ursa_replicas", num, state=state)
        self._set("ursa_segments_ready", load.num_ready)
        self._set("ursa_segments_left", self._num_left)

    def _spend(self) -> None:
        """Count the time since this was done last."""
        now = monotonic()
        for state, num in self._load.items():
            self._count("ursa_replica_seconds_total", num * (now - self._spent), state=state)
        self._spent = now

    def _count(self, name: str, by: float = 1, **labels: str) -> None:
        if by > 0:  # nothing else can be counted
            self._metrics[name].inc(by, labels)

    def _set(self, name: str, value: float, **labels: str) -> None:
        self._metrics[name].set(value, labels)


def _metric(name: str, kind: type, labels: tuple[str, ...], about: str) -> Any:
    sizes = {"boundaries": SECONDS} if kind is Histogram else {}
    return kind(name, description=about, tag_keys=("run", *labels), **sizes)
