"""A render in virtual time: the decisions of the real schedule and limits, with replicas that only let time pass.

The loop is the director's: have as many replicas as are called for, give the idle ones what there is, take what
happens, one thing at a time, and look for late ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ursa_ray.errors import LostError, ReplicaError
from ursa_ray.schedule.fleet import Fleet, Luck
from ursa_ray.schedule.jobs import Job
from ursa_ray.schedule.schedule import Schedule
from ursa_ray.schedule.stragglers import LOOK_EVERY_S
from ursa_ray.schedule.virtual import Event, Happened, Span, VirtualReplicas

ERRORS = {Happened.CRASHED: ReplicaError("its replica crashed"), Happened.LOST: LostError("its replica was lost")}


@dataclass(frozen=True)
class Simulated:
    """How a render went.

    Attributes:
        makespan_s: from the beginning to the last job.
        gpu_s: that replicas were there, from when they were asked for.
        busy_s: of these, working.
        cost: of them, in the currency of the fleet's prices.
        num_at_once: replicas that there were, at most.
        num_lost: of them, taken away.
        num_again: attempts that came to nothing.
        given_up: jobs that failed, and why; what comes after them was not made either.
        spans: who worked on what, in the order in which it ended.
    """

    makespan_s: float
    gpu_s: float
    busy_s: float
    cost: float
    num_at_once: int
    num_lost: int
    num_again: int
    given_up: dict[str, str]
    spans: tuple[Span, ...]

    @property
    def busy_share(self) -> float:
        return self.busy_s / self.gpu_s if self.gpu_s else 0.0


def simulate(jobs: Iterable[Job], fleet: Fleet, luck: Luck | None = None) -> Simulated:
    """Make all jobs on a fleet that has a device at least; the same arguments give the same result."""
    return _Simulation(list(jobs), fleet, luck or Luck()).run()


class _Simulation:
    def __init__(self, jobs: list[Job], fleet: Fleet, luck: Luck):
        assert fleet.devices, fleet
        self._schedule = Schedule(jobs)
        self._replicas = VirtualReplicas({job.key: job for job in jobs}, fleet, luck)
        self._looked = 0.0

    def run(self) -> Simulated:
        replicas, schedule = self._replicas, self._schedule
        while not schedule.is_over:
            self._dispatch()
            event = replicas.next_event(schedule.patience_s(replicas.num_idle, replicas.now))
            if event is not None:
                self._take(event)
            self._look_for_late_ones()
        replicas.end()
        num_again = sum(not span.is_done for span in replicas.spans)
        return Simulated(
            makespan_s=replicas.now,
            gpu_s=replicas.gpu_s,
            busy_s=replicas.busy_s,
            cost=replicas.cost,
            num_at_once=replicas.num_at_once,
            num_lost=replicas.num_lost,
            num_again=num_again,
            given_up=schedule.failures,
            spans=tuple(replicas.spans),
        )

    def _dispatch(self) -> None:
        replicas, schedule = self._replicas, self._schedule
        replicas.scale(schedule.demand)
        while replicas.num_idle and (key := schedule.next(replicas.now)) is not None:
            schedule.start(key, replicas.submit(key), replicas.now)

    def _take(self, event: Event) -> None:
        schedule, now = self._schedule, self._replicas.now
        match event.happened:
            case Happened.DONE:
                schedule.finish(event.place, now)
            case Happened.LEAVING:
                schedule.leave(event.place)
            case _:
                if event.got_on:
                    schedule.step(event.place, 1)
                schedule.fail(event.place, ERRORS[event.happened], now)
        while schedule.in_vain:
            self._replicas.replace(schedule.in_vain.pop())

    def _look_for_late_ones(self) -> None:
        if self._replicas.now - self._looked >= LOOK_EVERY_S:
            self._looked = self._replicas.now
            self._schedule.late(self._looked)
