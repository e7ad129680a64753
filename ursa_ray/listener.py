"""What a render tells as it goes on."""

from dataclasses import dataclass

from ursa_ray.plan import Plan, Segment
from ursa_ray.schedule import BlockNode, Place


@dataclass(frozen=True)
class Load:
    """Segments that only lack a replica and those that are being made; replicas that are idle and that are starting."""

    num_ready: int
    num_running: int
    num_idle: int
    num_starting: int


class Listener:
    """What a render tells as it goes on; this one is deaf."""

    def begin(self, plan: Plan, num_reused: int) -> None: ...

    def start(self, segment: Segment, place: Place) -> None: ...

    def step(self, segment: Segment, done: int, total: int) -> None: ...

    def finish(self, segment: Segment, place: Place, seconds: float) -> None: ...

    def fail(self, segment: Segment, place: Place, error: Exception, again: bool) -> None: ...

    def late(self, segment: Segment, place: Place, seconds: float) -> None: ...

    def leave(self, place: Place) -> None: ...

    def hold(self, place: Place, reason: str) -> None: ...

    def block(self, blocked: BlockNode) -> None: ...

    def load(self, load: Load) -> None: ...

    def join(self, plan: Plan) -> None: ...
