"""Replicas that sleep instead of computing, for runs that are real in all else: director, ledger, files, clock."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from queue import Empty, Queue
from threading import Thread, Timer
from time import monotonic, sleep
from typing import Self

import numpy as np

from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.errors import UrsaRayError
from ursa_ray.exchange import Done, Request, Step, WorkerOptions
from ursa_ray.executor import Event, Failed
from ursa_ray.ledger import open_store
from ursa_ray.plan import Segment
from ursa_ray.returned import Expected
from ursa_ray.schedule import Demand, Limits, Place


class Sleeper:
    """As a `Worker`, but it sleeps for so many seconds, in steps; its codes are zeros and its frames a few bytes."""

    def __init__(self, options: WorkerOptions, seconds_of: Callable[[Segment], float]):
        self._expected = Expected.of(open_checkpoint(options.model))
        self._store = open_store(options.run)
        self._seconds_of = seconds_of

    def run(self, request: Request) -> Iterator[Step | Done]:
        segment, seconds = request.segment, self._seconds_of(request.segment)
        began = monotonic()
        for done in range(1, segment.steps + 1):
            sleep(max(0.0, began + seconds * done / segment.steps - monotonic()))
            if done < segment.steps:
                yield Step(segment.key, done, segment.steps)
        codes = np.zeros(self._expected.shape(segment), self._expected.dtype)
        sha256 = hashlib.sha256(segment.key.encode()).hexdigest()
        with self._store.writing("media") as folder:
            (folder / f"{sha256}.mkv").write_bytes(b"frames")
        yield Done(segment.key, codes, sha256, "sleep", "none", 1, monotonic() - began)


def sleeping_replica(seconds_of: Callable[[Segment], float]) -> type:
    """Of a Ray executor: an actor that sleeps."""
    import ray

    from ursa_ray.cluster.replica import Loaded, Replica

    # Its workers do not have this folder on their path.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

    class SleepingReplica(Replica):
        def load(self) -> Loaded:
            self._worker = Sleeper(self._options, seconds_of)
            return Loaded(ray.get_runtime_context().get_node_id(), "sleep", ("same", "same"))

    return SleepingReplica


@dataclass(frozen=True)
class _Ready:
    place: Place
    since: float = 0.0


class ThreadExecutor:
    """A thread for each replica: had, started and let go as on a cluster."""

    def __init__(self, sleeper: Sleeper, limits: Limits, startup_s: float):
        self._sleeper, self._limits, self._startup_s = sleeper, limits, startup_s
        self._happened: Queue[tuple[Place, Event | None]] = Queue()
        self._idle: list[_Ready] = []
        self._starting: dict[Place, Timer] = {}
        self._running: set[Place] = set()
        self._numbers = count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for timer in self._starting.values():
            timer.cancel()

    @property
    def num_idle(self) -> int:
        return len(self._idle)

    @property
    def num_starting(self) -> int:
        return len(self._starting)

    @property
    def num_nodes(self) -> int:
        return self._limits.ceiling or 1

    def scale(self, demand: Demand) -> None:
        num_alive = len(self._starting) + len(self._idle) + len(self._running)
        for _ in range(self._limits.num_wanted(demand) - num_alive):
            self._start()
        idle_s = [monotonic() - replica.since for replica in self._idle]
        for _ in range(self._limits.num_to_release(demand, num_alive, idle_s)):
            self._idle.pop(0)

    def submit(self, request: Request) -> Place:
        place = self._idle.pop().place
        self._running.add(place)
        Thread(target=self._work, args=(place, request), daemon=True).start()
        return place

    def next_event(self, timeout_s: float) -> tuple[Place, Event] | None:
        try:
            place, event = self._happened.get(timeout=timeout_s)
        except Empty:
            return None
        if event is None:
            del self._starting[place]
            self._idle.append(_Ready(place, monotonic()))
            return None
        if place not in self._running:
            return None  # it was let go
        if not isinstance(event, Step):
            self._running.remove(place)
        if isinstance(event, Done):
            self._idle.append(_Ready(place, monotonic()))
        return place, event

    def arrived(self) -> list[tuple[Place, Done]]:
        return []

    def replace(self, place: Place) -> None:
        self._running.discard(place)
        self._idle = [replica for replica in self._idle if replica.place != place]

    def block(self, node: str) -> None:
        """There is no other."""

    def _start(self) -> None:
        number = next(self._numbers)
        place = Place(f"replica {number}", f"node {number}", "sleep")
        self._starting[place] = Timer(self._startup_s, self._happened.put, [(place, None)])
        self._starting[place].daemon = True
        self._starting[place].start()

    def _work(self, place: Place, request: Request) -> None:
        try:
            for event in self._sleeper.run(request):
                self._happened.put((place, event))
        except (UrsaRayError, OSError) as error:
            self._happened.put((place, Failed(request.segment.key, error)))
