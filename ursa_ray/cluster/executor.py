"""Segments on the replicas of a Ray cluster.

A replica is an actor with one GPU, or one CPU where there are none. It gets one segment at a time and streams its
progress; Ray neither restarts it nor repeats a call: what a failure means is the director's to decide.
"""

import re
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Self

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from ursa_ray.cluster.connection import connected
from ursa_ray.errors import InputError, LostError, OptionError, OutputError, ReplicaError, UrsaRayError
from ursa_ray.executor import Event, Failed
from ursa_ray.schedule import Place
from ursa_ray.work import Done, Request, Step, Worker, WorkerOptions

# A cluster may first have to start a node; one without room after this long has none.
START_TIMEOUT_S = 600

# Replicas in a row that cannot start before the render stops.
MAX_DEAD_AT_START = 3


# Interrupted, a driver takes what has arrived for at most this long.
ARRIVED_WITHIN_S = 1.0


class Replica:
    """A worker behind an actor."""

    def __init__(self, options: WorkerOptions):
        self._options = options

    def load(self) -> str:
        """Not in the constructor: what goes wrong here comes back as it is, not as the death of an actor.

        Returns the id of the node.
        """
        self._worker = Worker(self._options)
        return ray.get_runtime_context().get_node_id()

    def run(self, request: Request) -> Iterator[Step | Done]:
        yield from self._worker.run(request)


@dataclass(frozen=True)
class Ready:
    """A replica that has loaded its model."""

    actor: Any
    place: Place


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
        self._idle: deque[Ready] = deque()
        self._starting: dict[Any, Any] = {}  # result of load() -> actor
        self._running: dict[Any, tuple[str, Ready]] = {}  # stream of events -> key, replica
        self._blocked: set[str] = set()
        self._num_dead_at_start = 0
        self._start_by = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(
                connected(self._options.address, self._options.num_replicas or 1, self._options.insecure)
            )
            num_gpus = int(ray.cluster_resources().get("GPU", 0))
            self._worker = replace(self._worker, device=self._worker.device or ("cuda" if num_gpus else "cpu"))
            on_each_gpu = num_gpus if self._worker.device == "cuda" else 0
            stack.callback(self._kill_replicas)
            self._start_by = monotonic() + START_TIMEOUT_S
            for _ in range(self._options.num_replicas or on_each_gpu or 1):
                self._start_replica()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def num_idle(self) -> int:
        return len(self._idle)

    @property
    def num_nodes(self) -> int:
        kind = "GPU" if self._worker.device == "cuda" else "CPU"
        return sum(node["Resources"].get(kind, 0) > 0 for node in ray.nodes() if self._is_good(node))

    def submit(self, request: Request) -> Place:
        replica = self._idle.popleft()
        stream = replica.actor.run.options(num_returns="streaming").remote(request)
        self._running[stream] = (request.segment.key, replica)
        return replica.place

    def next_event(self) -> Event | None:
        """What happened next to what was submitted; None if a replica has become ready."""
        timeout = None if self._running else max(0.0, self._start_by - monotonic())
        happened, _ = ray.wait([*self._running, *self._starting], num_returns=1, timeout=timeout)
        if not happened:
            raise ReplicaError(
                f"no replica could start within {START_TIMEOUT_S} s: the cluster has {ray.cluster_resources()}. "
                "Ask for fewer --replicas or add nodes."
            )
        (source,) = happened
        return self._progress(source) if source in self._running else self._started(source)

    def arrived(self) -> list[Done]:
        done: list[Done] = []
        until = monotonic() + ARRIVED_WITHIN_S
        while self._running and monotonic() < until:
            happened, _ = ray.wait([*self._running], num_returns=1, timeout=0)
            if not happened:
                break
            event = self._progress(happened[0])
            if isinstance(event, Done):
                done.append(event)
        return done

    def replace(self, place: Place) -> None:
        streams = [stream for stream, (_, replica) in self._running.items() if replica.place == place]
        for replica in [replica for replica in self._idle if replica.place == place]:
            self._idle.remove(replica)
            self._replace(replica)
        for stream in streams:
            self._replace(self._running.pop(stream)[1])

    def block(self, node: str) -> None:
        self._blocked.add(node)
        for replica in [replica for replica in self._idle if replica.place.node == node]:
            self.replace(replica.place)

    def _progress(self, stream: Any) -> Event:
        key, replica = self._running[stream]
        try:
            event: object = ray.get(next(stream))
        except (RayError, StopIteration) as error:
            event = Failed(key, self._blame(_cause(error), replica))
        else:
            if not isinstance(event, Step | Done) or event.key != key:
                event = Failed(key, OutputError(f"its replica sent {type(event).__name__}, which is nothing of it"))
        if isinstance(event, Step):
            return event
        del self._running[stream]
        if isinstance(event, Failed) and not isinstance(event.error, InputError):
            # What it met may have left the replica or its GPU broken, and an unavailable one may still live.
            self._replace(replica)
        else:
            self._keep(replica)
        return event

    def _blame(self, cause: Exception, replica: Ready) -> Exception:
        """The failure as it counts: a replica that went with its node, or was cut off from us, did nothing wrong."""
        if isinstance(cause, UrsaRayError):
            return cause
        if _went_with_its_node(cause) or not _is_alive(replica.place.node):
            return LostError(f"its replica was lost: {cause}")
        return ReplicaError(f"its replica failed: {cause}")

    def _started(self, loading: Any) -> None:
        actor = self._starting.pop(loading)
        try:
            node: str = ray.get(loading)
        except RayError as error:
            cause = _cause(error)
            if isinstance(cause, InputError):
                raise cause from error
            ray.kill(actor)
            self._require_hope(cause)
            self._start_replica()
        else:
            self._num_dead_at_start = 0
            self._start_by = monotonic() + START_TIMEOUT_S
            self._keep(Ready(actor, Place(actor._actor_id.hex(), node)))

    def _require_hope(self, cause: Exception) -> None:
        """Let some replicas die at their start, more of them with their nodes; but not for ever."""
        self._num_dead_at_start += not _went_with_its_node(cause)
        is_late = not self._running and not self._idle and monotonic() > self._start_by
        if self._num_dead_at_start >= MAX_DEAD_AT_START or is_late:
            raise ReplicaError(f"{self._num_dead_at_start} replicas in a row could not start: {cause}") from cause

    def _keep(self, replica: Ready) -> None:
        if replica.place.node in self._blocked:
            self._replace(replica)
        else:
            self._idle.append(replica)

    def _replace(self, replica: Ready) -> None:
        ray.kill(replica.actor)
        if not self._running:
            self._start_by = monotonic() + START_TIMEOUT_S
        self._start_replica()

    def _start_replica(self) -> None:
        needs: dict[str, Any] = {"num_gpus": 1} if self._worker.device == "cuda" else {"num_cpus": 1}
        if self._blocked:
            needs["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self._blocked))})"}
        actor: Any = ray.remote(Replica)
        actor = actor.options(max_restarts=0, max_task_retries=0, **needs).remote(self._worker)
        self._starting[actor.load.remote()] = actor

    def _is_good(self, node: dict[str, Any]) -> bool:
        return node["Alive"] and node["NodeID"] not in self._blocked

    def _kill_replicas(self) -> None:
        ready = (*self._idle, *(replica for _, replica in self._running.values()))
        for actor in (*self._starting.values(), *(replica.actor for replica in ready)):
            ray.kill(actor)


def _cause(error: Exception) -> Exception:
    """What was raised in the replica, or what Ray has to say of its end."""
    return error.cause if isinstance(error, RayTaskError) and isinstance(error.cause, Exception) else error


def _went_with_its_node(error: Exception) -> bool:
    """What Ray itself says; of a node that is drained it says so, of one that is gone in words alone."""
    if isinstance(error, RayActorError) and error.preempted:
        return True
    return isinstance(error, ActorUnavailableError) or "node has died" in str(error)


def _is_alive(node_id: str) -> bool:
    return any(node["Alive"] for node in ray.nodes() if node["NodeID"] == node_id)
