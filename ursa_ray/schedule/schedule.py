"""Which job next: chains in order, shots side by side, the longest remaining chain first.

Starting the longest chain first keeps replicas busy to the end: what is left at the end is short.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ursa_ray.errors import OutputError
from ursa_ray.schedule.demand import Demand
from ursa_ray.schedule.failures import (
    MAX_REFUSED,
    Action,
    BlockNode,
    Failure,
    GiveUp,
    Place,
    Requeue,
    after_failure,
    node_to_block,
)
from ursa_ray.schedule.jobs import Job
from ursa_ray.schedule.stragglers import LOOK_EVERY_S, Pace
from ursa_ray.writer import MAX_WRITING_S


@dataclass(frozen=True)
class Attempt:
    """A replica's work on a job since `began`."""

    key: str
    began: float


class Schedule:
    """The state of a render, moved on by what happens to it; `now` is in seconds of any clock that all calls share.

    A job waits for the one that it comes `after`, if that is among the jobs; otherwise it is ready. `running` are the
    attempts by replica, two of a job at most. `failures` are the jobs that were given up and why, `attempts` all that
    failed of each job, `in_vain` replicas that work on what another has finished. `framing` are finished jobs whose
    frames are still with the replica that made them, and since when.
    """

    def __init__(self, jobs: Iterable[Job]):
        self._jobs = {job.key: job for job in jobs}
        self._order = {key: number for number, key in enumerate(self._jobs)}
        self._children: defaultdict[str, list[Job]] = defaultdict(list)
        self._ready: list[tuple[float, int, str]] = []
        self._waiting: list[tuple[float, str]] = []
        self._num_running: Counter[str] = Counter()
        self._num_lost: Counter[str] = Counter()
        self._num_settled: Counter[str] = Counter()  # failures before the job was finished and its frames were lost
        self._pace = Pace()
        self._to_be_doubled: dict[str, None] = {}
        self._late: set[Place] = set()
        self._first_step: dict[Place, int] = {}
        self._blocked: set[str] = set()
        self._num_refused: Counter[str] = Counter()  # by node, since it last was not
        self.running: dict[Place, Attempt] = {}
        self.in_vain: list[Place] = []
        self.framing: dict[str, tuple[Place, float]] = {}
        self.failures: dict[str, str] = {}
        self.attempts: defaultdict[str, list[Failure]] = defaultdict(list)
        for job in self._jobs.values():
            if job.after in self._jobs:
                self._children[job.after].append(job)
            else:
                self._push(job)
        self._num_leaves = sum(key not in self._children for key in self._jobs)

    @property
    def is_over(self) -> bool:
        """Nothing runs, comes or can: the rest, if any, waits for what failed."""
        return not self.running and not self._ready and not self._waiting and not self.framing

    @property
    def num_ready(self) -> int:
        """Jobs that only lack a replica."""
        return len(self._ready)

    @property
    def demand(self) -> Demand:
        """Chains that go on now, and all that are to come: in a forest no more can ever do so side by side.

        What a late replica makes is made beside it: the others may have been let go, and the film waits for it.
        """
        now = len(self._ready) + len(self._waiting) + len(self._num_running)
        return Demand(now + len(self._late), self._num_leaves + len(self._late))

    @property
    def wakes_at(self) -> float | None:
        """When the first of the jobs that wait for better times is ready."""
        return self._waiting[0][0] if self._waiting else None

    def patience_s(self, num_idle: int, now: float) -> float:
        """How long to wait for something to happen: to the next look for late ones, or to what an idle one can do."""
        if self.wakes_at is None or not num_idle:
            return LOOK_EVERY_S
        return min(LOOK_EVERY_S, max(0.0, self.wakes_at - now))

    def next(self, now: float) -> str | None:
        """Take a job for an idle replica: the ready one with the longest remaining chain, ties as they were given.

        Where none is ready, one whose replica is late or about to be lost is tried on this replica too: it costs
        nothing.
        """
        while self._waiting and self._waiting[0][0] <= now:
            self._push(self._jobs[heapq.heappop(self._waiting)[1]])
        if self._ready:
            return heapq.heappop(self._ready)[-1]
        if not self._to_be_doubled:
            return None
        key = next(iter(self._to_be_doubled))
        del self._to_be_doubled[key]
        return key

    def start(self, key: str, place: Place, now: float) -> None:
        """The job that was taken is with this replica."""
        self.running[place] = Attempt(key, now)
        self._num_running[key] += 1

    def step(self, place: Place, num_done: int) -> None:
        """A running job gets on: what it lost before no longer counts. Its first step tells where it began."""
        self._num_lost.pop(self.running[place].key, None)
        self._first_step.setdefault(place, num_done)

    def finish(self, place: Place, now: float) -> None:
        is_whole = self._first_step.get(place, 1) == 1  # one that was gone on with does not tell how long they take
        attempt = self._stop(place)
        if is_whole:
            self._pace.add(place.device, now - attempt.began, self._jobs[attempt.key].cost)
        self._drop_others(attempt.key)
        children = self._children.pop(attempt.key, ())
        self._num_leaves -= not children
        for child in children:
            self._push(child)

    def await_frames(self, key: str, place: Place, now: float) -> None:
        """A job is finished but for its frames, which nothing but the film waits for."""
        self.framing[key] = place, now

    def frames_overdue(self, now: float) -> list[tuple[str, Place]]:
        """Finished jobs whose frames have not come for so long that they may never do."""
        return [(key, place) for key, (place, since) in self.framing.items() if now - since > MAX_WRITING_S]

    def lose_frames(self, key: str) -> None:
        """They are made again from what is finished, by any replica that has nothing better to do.

        That is another job, which is not to blame for what making the segment cost.
        """
        del self.framing[key]
        self._num_settled[key] = len(self.attempts[key])
        self._jobs[key] = Job(key, after=None, remaining=0.0)
        self._num_leaves += 1
        self._push(self._jobs[key])

    def fail(self, place: Place, error: Exception, now: float, when: str = "") -> Action:
        """Take a failed attempt into account; a given-up job takes all that comes after it along."""
        key = self._stop(place).key
        failure = Failure(key, error, place, when)
        self.attempts[key].append(failure)
        self._num_lost[key] = self._num_lost[key] + 1 if failure.is_blameless else 0
        action = after_failure(self.attempts[key][self._num_settled[key] :], self._num_lost[key])
        if isinstance(action, GiveUp) or isinstance(error, OutputError):
            self._drop_others(key)  # they may have gone on from what is wrong
        if isinstance(action, GiveUp):
            self.failures[key] = action.reason
            self._num_leaves -= self._num_leaves_after(key)
        elif key not in self._num_running:
            self._put_back(key, now, action.wait_s if isinstance(action, Requeue) else 0.0)
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

    def refuse(self, node: str) -> bool:
        """Whether frames could not be written from `node` for so long that it is in vain to try again; said once."""
        self._num_refused[node] += 1
        return self._num_refused[node] == MAX_REFUSED

    def accept(self, node: str) -> None:
        """Frames were written from there."""
        del self._num_refused[node]

    def late(self, now: float) -> list[Place]:
        """Replicas whose job has come to take far longer than its peers; each is named once."""
        late = [place for place, attempt in self.running.items() if self._is_late(place, attempt, now)]
        self._late.update(late)
        for place in late:
            self._double(place)
        return late

    def leave(self, place: Place) -> None:
        """A replica is about to be lost; its job may be tried on another meanwhile."""
        if place in self.running:
            self._double(place)

    def _is_late(self, place: Place, attempt: Attempt, now: float) -> bool:
        limit_s = self._pace.limit_s(place.device, self._jobs[attempt.key].cost)
        return limit_s is not None and now - attempt.began > limit_s and place not in self._late

    def _double(self, place: Place) -> None:
        key = self.running[place].key
        if self._num_running[key] == 1:
            self._to_be_doubled[key] = None

    def _stop(self, place: Place) -> Attempt:
        attempt = self.running.pop(place)
        self._late.discard(place)
        self._first_step.pop(place, None)
        self._num_running[attempt.key] -= 1
        if not self._num_running[attempt.key]:
            del self._num_running[attempt.key]
            self._to_be_doubled.pop(attempt.key, None)
        return attempt

    def _put_back(self, key: str, now: float, wait_s: float) -> None:
        if wait_s:
            heapq.heappush(self._waiting, (now + wait_s, key))
        else:
            self._push(self._jobs[key])

    def _drop_others(self, key: str) -> None:
        if key not in self._num_running:
            return
        for place in [place for place, attempt in self.running.items() if attempt.key == key]:
            self._stop(place)
            self.in_vain.append(place)

    def _num_leaves_after(self, key: str) -> int:
        num, left = 0, [key]
        while left:
            children = self._children.get(left.pop(), ())
            left += [child.key for child in children]
            num += not children
        return num

    def _push(self, job: Job) -> None:
        heapq.heappush(self._ready, (-job.remaining, self._order[job.key], job.key))
