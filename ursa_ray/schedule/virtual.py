"""Replicas in virtual time: they start, work, crash and are taken away, and only a clock moves.

They are had and let go as a Ray executor has and lets go of them. Each is on a node of its own.
"""

import heapq
import math
from dataclasses import dataclass
from enum import Enum

from ursa_ray.schedule.demand import Demand, Limits
from ursa_ray.schedule.failures import Place
from ursa_ray.schedule.fleet import Fleet, Luck
from ursa_ray.schedule.jobs import Job


class Happened(Enum):
    READY = "ready"
    DONE = "done"
    CRASHED = "crashed"
    LEAVING = "leaving"
    LOST = "lost"


@dataclass(frozen=True)
class Event:
    """What happened to a replica that works; `got_on` if it made a step of the job that it is no longer at."""

    place: Place
    happened: Happened
    got_on: bool = False


@dataclass(frozen=True)
class Span:
    """A replica's work on a job, in seconds from the beginning; `is_done` if it was finished."""

    place: Place
    key: str
    began: float
    ended: float
    is_done: bool


@dataclass
class _Work:
    """On a job of which `share` was done before, and which takes this replica `seconds` as a whole."""

    key: str
    began: float
    share: float
    seconds: float
    until: float = math.inf

    def share_at(self, now: float, num_steps: int) -> float:
        """What of the job is done and saved: whole steps."""
        done = self.share + (min(now, self.until) - self.began) / self.seconds if self.seconds else 1.0
        return math.floor(done * num_steps + 1e-9) / num_steps


@dataclass(eq=False)
class _Replica:
    number: int
    place: Place
    slot: int
    since: float
    idle_since: float = 0.0
    is_leaving: bool = False
    work: _Work | None = None


class VirtualReplicas:
    """`now` is the time; `gpu_s`, `cost`, `busy_s`, `spans` and `num_at_once`, at most, are what was used up to it."""

    def __init__(self, jobs: dict[str, Job], fleet: Fleet, luck: Luck):
        self._jobs, self._fleet, self._luck = jobs, fleet, luck
        self._limits = Limits(fleet.floor, len(fleet.devices))
        self._free = list(range(len(fleet.devices)))
        self._alive: dict[Place, _Replica] = {}
        self._starting: dict[Place, _Replica] = {}
        self._idle: list[_Replica] = []
        self._num_leaving = self._num_asked_for = self._num_events = 0
        self._events: list[tuple[float, int, Happened, Place]] = []
        self._last: dict[str, tuple[int, _Work]] = {}  # of each job: how many attempts, and the last
        self.now = self.gpu_s = self.cost = self.busy_s = 0.0
        self.num_lost = self.num_at_once = 0
        self.spans: list[Span] = []

    @property
    def num_idle(self) -> int:
        return len(self._idle)

    def scale(self, demand: Demand) -> None:
        num_staying = len(self._alive) - self._num_leaving
        num_lacking = self._limits.num_wanted(demand) - num_staying
        for _ in range(min(num_lacking, len(self._free))):
            self._start()
        for replica in list(reversed(self._starting.values()))[: max(0, -num_lacking)]:
            self._end(replica)
        if self._idle:
            idle_s = [self.now - replica.idle_since for replica in self._idle]
            num_staying = len(self._alive) - self._num_leaving
            for _ in range(self._limits.num_to_release(demand, num_staying, idle_s)):
                self._end(self._idle[0])

    def submit(self, key: str) -> Place:
        replica = self._idle.pop()
        num_before, last = self._last.get(key, (0, None))
        share = 0.0 if last is None else last.share_at(self.now, self._fleet.num_steps)
        slowness = self._luck.slowness(key, replica.number)
        seconds = self._jobs[key].cost / self._fleet.devices[replica.slot].speed * slowness
        replica.work = _Work(key, self.now, share, seconds)
        self._last[key] = num_before + 1, replica.work
        crash = self._luck.crashes_at(key, num_before)
        happened, part = (Happened.DONE, 1.0) if crash is None else (Happened.CRASHED, crash)
        self._tell(self.now + part * (1 - share) * seconds, happened, replica.place)
        return replica.place

    def next_event(self, timeout_s: float) -> Event | None:
        """Let time pass until something happens to a replica that works, or to any other: None."""
        until = self.now + timeout_s
        while self._events and self._events[0][0] <= until:
            self.now, _, happened, place = heapq.heappop(self._events)
            replica = self._alive.get(place)
            if replica is not None:
                return self._take(replica, happened)
        assert until < math.inf, "nothing will ever happen"
        self.now = until
        return None

    def replace(self, place: Place) -> None:
        self._end(self._alive[place])

    def end(self) -> None:
        """Let all go."""
        for replica in list(self._alive.values()):
            self._end(replica)

    def _take(self, replica: _Replica, happened: Happened) -> Event | None:
        work = replica.work
        match happened:
            case Happened.READY:
                del self._starting[replica.place]
                self._keep(replica)
            case Happened.DONE:
                self._stop(replica, is_done=True)
                self._keep(replica)
            case Happened.LEAVING if work is not None:
                replica.is_leaving = True
                self._num_leaving += 1
            case _:
                self.num_lost += happened is not Happened.CRASHED
                self._end(replica)
        if work is None:
            return None
        return Event(replica.place, happened, work.share_at(self.now, self._fleet.num_steps) > work.share)

    def _start(self) -> None:
        number, slot = self._num_asked_for, heapq.heappop(self._free)
        self._num_asked_for += 1
        place = Place(f"replica {number}", f"node {number}", self._fleet.devices[slot].kind)
        self._alive[place] = self._starting[place] = _Replica(number, place, slot, self.now)
        self.num_at_once = max(self.num_at_once, len(self._alive))
        self._tell(self.now + self._fleet.startup_s, Happened.READY, place)
        taken_at = self.now + self._luck.lifetime_s(number)
        if taken_at < math.inf:
            self._tell(taken_at, Happened.LOST, place)
            if self._fleet.notice_s:
                self._tell(max(self.now, taken_at - self._fleet.notice_s), Happened.LEAVING, place)

    def _keep(self, replica: _Replica) -> None:
        if replica.is_leaving:
            self._end(replica)
        else:
            replica.idle_since = self.now
            self._idle.append(replica)

    def _stop(self, replica: _Replica, is_done: bool) -> None:
        work, replica.work = replica.work, None
        if work is not None:
            work.until = self.now
            self.busy_s += self.now - work.began
            self.spans.append(Span(replica.place, work.key, work.began, self.now, is_done))

    def _end(self, replica: _Replica) -> None:
        self._stop(replica, is_done=False)
        del self._alive[replica.place]
        self._starting.pop(replica.place, None)
        if replica in self._idle:
            self._idle.remove(replica)
        self._num_leaving -= replica.is_leaving
        heapq.heappush(self._free, replica.slot)
        self.gpu_s += self.now - replica.since
        self.cost += (self.now - replica.since) / 3600 * self._fleet.devices[replica.slot].price_per_h

    def _tell(self, time: float, happened: Happened, place: Place) -> None:
        self._num_events += 1
        heapq.heappush(self._events, (time, self._num_events, happened, place))
