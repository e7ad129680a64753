"""Which attempts take far longer than their peers: finished ones of other jobs on the same kind of device."""

from bisect import insort
from collections import defaultdict

# An attempt is late from twice what its peers took, and from so many peers on that their median says something.
LATE_FACTOR = 2.0
MIN_PEERS = 3

# On top, for what does not grow with the work: frames that condition it, decoding, files.
SLACK_S = 10.0

# They are looked for so often: no event tells of them.
LOOK_EVERY_S = 5.0


class Pace:
    """Seconds for a unit of work, by kind of device."""

    def __init__(self) -> None:
        self._finished: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, device: str, seconds: float, cost: float) -> None:
        if cost > 0:
            insort(self._finished[device], seconds / cost)

    def limit_s(self, device: str, cost: float) -> float | None:
        """How long an attempt may take before it is late; None where too few have finished to tell."""
        peers = self._finished[device]
        if len(peers) < MIN_PEERS or cost <= 0:
            return None
        middle = len(peers) // 2
        median = (peers[middle] + peers[~middle]) / 2  # sorted: every running attempt asks, however many have finished
        return LATE_FACTOR * median * cost + SLACK_S
