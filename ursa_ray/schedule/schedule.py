"""Which job next: chains in order, shots side by side, the longest remaining chain first.

Starting the longest chain first keeps replicas busy to the end: what is left at the end is short.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ursa_ray.schedule.failures import GiveUp, Retry, after_failure


@dataclass(frozen=True)
class Job:
    """`remaining` is the cost of the longest chain that starts here, in any unit that all jobs share."""

    key: str
    after: str | None
    remaining: float


class Schedule:
    """The state of a render, moved on by `next`, `finish` and `fail`.

    A job waits for the one that it comes `after`, if that is among the jobs; otherwise it is ready.
    """

    def __init__(self, jobs: Iterable[Job]):
        self._jobs = {job.key: job for job in jobs}
        self._order = {key: number for number, key in enumerate(self._jobs)}
        self._children: defaultdict[str, list[Job]] = defaultdict(list)
        self._ready: list[tuple[float, int, str]] = []
        self._attempts: defaultdict[str, int] = defaultdict(int)
        self.running: set[str] = set()
        self.failures: dict[str, str] = {}
        for job in self._jobs.values():
            if job.after in self._jobs:
                self._children[job.after].append(job)
            else:
                self._push(job)

    @property
    def num_ready(self) -> int:
        return len(self._ready)

    @property
    def is_over(self) -> bool:
        """Nothing runs and nothing can: the rest, if any, waits for what failed."""
        return not self.running and not self._ready

    def next(self) -> str | None:
        """Take the ready job with the longest remaining chain; ties go to the one that was given first."""
        if not self._ready:
            return None
        *_, key = heapq.heappop(self._ready)
        self.running.add(key)
        return key

    def finish(self, key: str) -> None:
        self.running.remove(key)
        for child in self._children.pop(key, ()):
            self._push(child)

    def fail(self, key: str, error: Exception) -> Retry | GiveUp:
        """Take a failed attempt into account; a given-up job takes all that comes after it along."""
        self.running.remove(key)
        self._attempts[key] += 1
        action = after_failure(self._attempts[key], error)
        if isinstance(action, GiveUp):
            self.failures[key] = action.reason
        else:
            self._push(self._jobs[key])
        return action

    def _push(self, job: Job) -> None:
        heapq.heappush(self._ready, (-job.remaining, self._order[job.key], job.key))
