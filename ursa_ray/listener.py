"""What a render tells as it goes on."""

import logging
from dataclasses import dataclass
from time import monotonic
from typing import Any

from ursa_ray.plan import Plan, Segment
from ursa_ray.schedule import BlockNode, Place

logger = logging.getLogger(__name__)


# A replica of one's own loads in seconds; a cluster may have to start a machine first.
WAITING_EVERY_S = 30.0


@dataclass(frozen=True)
class Load:
    """Segments that only lack a replica and those that are being made; replicas that are idle and that are starting.

    `num_framing` segments are committed while their frames are still being written.
    """

    num_ready: int
    num_running: int
    num_idle: int
    num_starting: int
    num_framing: int = 0


class Listener:
    """What a render tells as it goes on; this one is deaf."""

    def begin(self, plan: Plan, num_reused: int) -> None: ...

    def start(self, segment: Segment, place: Place) -> None: ...

    def compute(self, place: Place, how: str) -> None:
        """A replica has made its first step: on what it computes, and in which way."""

    def step(self, segment: Segment, done: int, total: int) -> None: ...

    def preview(self, segment: Segment, url: str) -> None: ...

    def warn(self, segment: Segment, words: str) -> None: ...

    def finish(self, segment: Segment, place: Place, seconds: float) -> None: ...

    def framed(self, segment: Segment) -> None:
        """Its frames are in the run, which may be later than its codes."""

    def fail(self, segment: Segment, place: Place, error: Exception, again: bool) -> None: ...

    def late(self, segment: Segment, place: Place, seconds: float) -> None: ...

    def leave(self, place: Place) -> None: ...

    def hold(self, place: Place, reason: str) -> None: ...

    def block(self, blocked: BlockNode) -> None: ...

    def load(self, load: Load) -> None: ...

    def join(self, plan: Plan) -> None: ...


class Waiting:
    """Whether it is time again to say that nothing is made, for want of a replica or but for frames to be written."""

    def __init__(self) -> None:
        self._since: float | None = None

    def is_due(self, load: Load) -> bool:
        if load.num_running or not (load.num_starting or load.num_framing):
            self._since = None
            return False
        if self._since is None:
            self._since = monotonic()
        if monotonic() - self._since < WAITING_EVERY_S:
            return False
        self._since = monotonic()
        return True


class Several(Listener):
    """Tells each of them in turn."""

    def __init__(self, *listeners: Listener):
        self._listeners = listeners

    def __getattribute__(self, name: str) -> Any:
        """Not `__getattr__`: nobody asks it for what the class above has."""
        if name.startswith("_"):
            return super().__getattribute__(name)
        listening = [getattr(listener, name) for listener in self._listeners]

        def tell(*what: Any) -> None:
            for listen in listening:
                listen(*what)

        return tell


class Harmless(Several):
    """Tells listeners that a render can do without: none that fails ends it, and it is told no more."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return super().__getattribute__(name)
        tell = super().__getattribute__(name)

        def try_to_tell(*what: Any) -> None:
            try:
                tell(*what)
            except Exception as error:
                self._listeners = ()
                logger.warning("%s: %s; it is told no more.", name, error)

        return try_to_tell
