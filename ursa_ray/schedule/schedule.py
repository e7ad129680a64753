"""Which job next: chains in order, shots side by side, the longest remaining chain first.

Starting the longest chain first keeps replicas busy to the end: what is left at the end is short.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ursa_ray.schedule.failures import Action, BlockNode, Failure, GiveUp, after_failure, node_to_block


@dataclass(frozen=True)
class Job:
    """`remaining` is the cost of the longest chain that starts here, in any unit that all jobs share."""

    key: str
    after: str | None
    remaining: float


class Schedule:
    """The state of a render, moved on by `next`, `step`, `finish` and `fail`.

    A job waits for the one that it comes `after`, if that is among the jobs; otherwise it is ready. `failures` are
    the jobs that were given up and why, `attempts` all that failed of each job.
    """

    def __init__(self, jobs: Iterable[Job]):
        self._jobs = {job.key: job for job in jobs}
        self._order = {key: number for number, key in enumerate(self._jobs)}
        self._children: defaultdict[str, list[Job]] = defaultdict(list)
        self._ready: list[tuple[float, int, str]] = []
        self._num_lost: Counter[str] = Counter()
        self._blocked: set[str] = set()
        self.running: set[str] = set()
        self.failures: dict[str, str] = {}
        self.attempts: defaultdict[str, list[Failure]] = defaultdict(list)
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

    def step(self, key: str) -> None:
        """A running job gets on: what it lost before no longer counts."""
        self._num_lost.pop(key, None)

    def fail(self, failure: Failure) -> Action:
        """Take a failed attempt into account; a given-up job takes all that comes after it along."""
        key = failure.key
        self.running.remove(key)
        self.attempts[key].append(failure)
        self._num_lost[key] = self._num_lost[key] + 1 if failure.is_blameless else 0
        action = after_failure(self.attempts[key], self._num_lost[key])
        if isinstance(action, GiveUp):
            self.failures[key] = action.reason
        else:
            self._push(self._jobs[key])
        return action

    def block(self, node: str, num_nodes: int) -> BlockNode | None:
        """Decide whether `node`, one of `num_nodes` that are in use, is not to be used any more; say so once."""
        if node in self._blocked:
            return None
        failures = [failure for attempts in self.attempts.values() for failure in attempts]
        action = node_to_block(failures, node, num_nodes)
        if action is not None:
            self._blocked.add(node)
        return action

    def _push(self, job: Job) -> None:
        heapq.heappush(self._ready, (-job.remaining, self._order[job.key], job.key))
