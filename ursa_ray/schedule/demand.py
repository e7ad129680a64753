"""How many replicas a render should have: as many as can work, and no longer than they can."""

from collections.abc import Sequence
from dataclasses import dataclass

# An idle replica is kept for so long if a fork may bring it work yet: about as long as a new one takes to come.
IDLE_S = 60.0


@dataclass(frozen=True)
class Demand:
    """Jobs that could be worked on side by side: `now`, and at most from here to the end."""

    now: int
    ever: int


@dataclass(frozen=True)
class Limits:
    """`floor` replicas are kept also while there is nothing to do for them, unless there never will be.

    At most `ceiling` are had at once; None for as many as can work. Those that are about to be lost do not count.
    """

    floor: int = 0
    ceiling: int | None = None

    def num_wanted(self, demand: Demand) -> int:
        return self._cap(max(demand.now, min(self.floor, demand.ever)))

    def num_useful(self, demand: Demand) -> int:
        return self._cap(demand.ever)

    def num_to_release(self, demand: Demand, num_alive: int, idle_s: Sequence[float]) -> int:
        """How many idle replicas to let go, of which each has been idle for so many seconds."""
        at_once = num_alive - self.num_useful(demand)
        tired = min(num_alive - self.num_wanted(demand), sum(seconds >= IDLE_S for seconds in idle_s))
        return min(len(idle_s), max(at_once, tired, 0))

    def _cap(self, number: int) -> int:
        return number if self.ceiling is None else min(number, self.ceiling)
