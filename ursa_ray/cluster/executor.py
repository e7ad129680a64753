"""Segments on the replicas of a Ray cluster.

A replica is an actor with one GPU, or one CPU where there are none. It gets one segment at a time and streams its
progress; Ray neither restarts it nor repeats a call: what a failure means is the director's to decide.
"""

import re
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Self

import ray
from ray.exceptions import RayError, RayTaskError

from ursa_ray.cluster.connection import connected
from ursa_ray.errors import InputError, OptionError, ReplicaError, UrsaRayError
from ursa_ray.render import Event, Failed
from ursa_ray.work import Done, Request, Step, Worker, WorkerOptions

# A cluster may first have to start a node; one without room after this long has none.
START_TIMEOUT_S = 600

# Replicas in a row that cannot start before the render stops.
MAX_DEAD_AT_START = 3


class Replica:
    """A worker behind an actor."""

    def __init__(self, options: WorkerOptions):
        self._options = options

    def load(self) -> None:
        """Not in the constructor: what goes wrong here comes back as it is, not as the death of an actor."""
        self._worker = Worker(self._options)

    def run(self, request: Request) -> Iterator[Step | Done]:
        yield from self._worker.run(request)


@dataclass(frozen=True)
class RayOptions:
    """How to have replicas.

    Attributes:
        num_replicas: None for one on each GPU of the cluster, or one.
        address: None for a cluster of our own.
        insecure: also on a remote cluster that asks for no token.

    Raises:
        OptionError: `address` is neither "auto" nor HOST:PORT.
    """

    num_replicas: int | None = None
    address: str | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if self.address not in (None, "auto") and not re.fullmatch(r"[^/:]+:\d+", self.address or ""):
            raise OptionError(
                f"address is {self.address!r}, expected HOST:PORT of the head, or auto on a machine of the cluster. "
                "From elsewhere submit a job: ray job submit -- python jobs/render.py ..."
            )


class RayExecutor:
    def __init__(self, worker: WorkerOptions, options: RayOptions):
        self._worker, self._options = worker, options
        self._stack = ExitStack()
        self._idle: deque[Any] = deque()
        self._starting: dict[Any, Any] = {}  # result of load() -> replica
        self._running: dict[Any, tuple[str, Any]] = {}  # stream of events -> key, replica
        self._num_dead_at_start = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(
                connected(self._options.address, self._options.num_replicas or 1, self._options.insecure)
            )
            num_gpus = int(ray.cluster_resources().get("GPU", 0))
            self._worker = replace(self._worker, device=self._worker.device or ("cuda" if num_gpus else "cpu"))
            on_each_gpu = num_gpus if self._worker.device == "cuda" else 0
            stack.callback(self._kill_replicas)
            for _ in range(self._options.num_replicas or on_each_gpu or 1):
                self._start_replica()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def num_idle(self) -> int:
        return len(self._idle)

    def submit(self, request: Request) -> None:
        replica = self._idle.popleft()
        stream = replica.run.options(num_returns="streaming").remote(request)
        self._running[stream] = (request.segment.key, replica)

    def next_event(self) -> Event | None:
        """What happened next to what was submitted; None if a replica has become ready."""
        happened, _ = ray.wait(
            [*self._running, *self._starting],
            num_returns=1,
            timeout=None if self._running else START_TIMEOUT_S,
        )
        if not happened:
            raise ReplicaError(
                f"no replica could start within {START_TIMEOUT_S} s: the cluster has {ray.cluster_resources()}. "
                "Ask for fewer --replicas or add nodes."
            )
        (source,) = happened
        return self._progress(source) if source in self._running else self._started(source)

    def _progress(self, stream: Any) -> Event:
        key, replica = self._running[stream]
        try:
            event: Event = ray.get(next(stream))  # pyright: ignore[reportAssignmentType]
        except RayError as error:
            del self._running[stream]
            if isinstance(cause := _cause(error), UrsaRayError):
                self._idle.append(replica)
                return Failed(key, cause)
            # Whatever else it met may have left the replica or its GPU broken, and an unavailable one may still live.
            ray.kill(replica)
            self._start_replica()
            return Failed(key, ReplicaError(f"its replica failed: {cause}"))
        if not isinstance(event, Step):
            del self._running[stream]
            self._idle.append(replica)
        return event

    def _started(self, ready: Any) -> None:
        replica = self._starting.pop(ready)
        try:
            ray.get(ready)
        except RayError as error:
            cause = _cause(error)
            if isinstance(cause, InputError):
                raise cause from error
            self._num_dead_at_start += 1
            if self._num_dead_at_start >= MAX_DEAD_AT_START:
                raise ReplicaError(f"{self._num_dead_at_start} replicas in a row could not start: {cause}") from error
            ray.kill(replica)
            self._start_replica()
        else:
            self._num_dead_at_start = 0
            self._idle.append(replica)

    def _start_replica(self) -> None:
        resources = {"num_gpus": 1} if self._worker.device == "cuda" else {"num_cpus": 1}
        actor: Any = ray.remote(Replica)
        replica = actor.options(max_restarts=0, max_task_retries=0, **resources).remote(self._worker)
        self._starting[replica.load.remote()] = replica

    def _kill_replicas(self) -> None:
        for replica in (
            *self._idle,
            *self._starting.values(),
            *(replica for _, replica in self._running.values()),
        ):
            ray.kill(replica)


def _cause(error: RayError) -> Exception:
    """What was raised in the replica, or what Ray has to say of its end."""
    return error.cause if isinstance(error, RayTaskError) and isinstance(error.cause, Exception) else error
