"""Segments on the replicas of a Ray cluster.

A replica gets one segment at a time and streams its progress. What a failure means is the director's to decide.
"""

import re
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from time import monotonic, sleep
from typing import Any, Self

import ray
from ray.exceptions import RayError

from ursa_ray.checkpoint.hub import TINY_NAME
from ursa_ray.cluster.connection import connected
from ursa_ray.cluster.pool import Pool, cause_of, is_alive, went_with_its_node
from ursa_ray.cluster.replica import Replica
from ursa_ray.errors import LostError, OptionError, OutputError, ReplicaError, UrsaRayError
from ursa_ray.exchange import Done, Request, Step, WorkerOptions
from ursa_ray.executor import NOT_THE_REPLICAS, Event, Failed, Framed
from ursa_ray.schedule import Demand, Limits, Place

# Interrupted, a driver takes what has arrived, and then waits for frames that are being written, for at most this long
# each: Ray leaves a job that it stops 3 s.
ARRIVED_WITHIN_S = 1.0


@dataclass(frozen=True)
class RayOptions:
    """How to have replicas.

    Attributes:
        limits: how many at once; without a ceiling as many as the GPUs of a cluster of our own are enough for, as many
            as can work on those of another, and the floor or one where there are none.
        address: None for a cluster of our own.
        insecure: also on a remote cluster that asks for no token.
        accelerators: kinds of GPU as Ray labels them, such as H100; any, if empty.

    Raises:
        OptionError: `address` is neither "auto" nor HOST:PORT.
    """

    limits: Limits = field(default_factory=Limits)
    address: str | None = None
    insecure: bool = False
    accelerators: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.address not in (None, "auto") and not re.fullmatch(r"[^/:]+:\d+", self.address or ""):
            raise OptionError(
                f"address is {self.address!r}, expected HOST:PORT of the head, or auto on a machine of the cluster. "
                "From elsewhere submit a job: ursa-ray submit STORYBOARD --address http://HEAD:8265 --run ..."
            )


class RayExecutor:
    """`kind` is the class of the actors."""

    _pool: Pool

    def __init__(self, worker: WorkerOptions, options: RayOptions, kind: type = Replica):
        self._worker, self._options, self._kind = worker, options, kind
        self._stack = ExitStack()
        self._streams: dict[Any, tuple[str, Place]] = {}  # of events -> key, replica
        self._frames: dict[Any, tuple[str, Place]] = {}  # what says that they are written -> key, replica
        self._heard: deque[Any] = deque()  # streams, frames, and replicas that were starting, with news

    def __enter__(self) -> Self:
        options = self._options
        with ExitStack() as stack:
            num_cpus = (options.limits.ceiling or 1) * self._worker.num_devices
            stack.enter_context(connected(options.address, num_cpus, options.insecure))
            num_gpus = int(ray.cluster_resources().get("GPU", 0))
            is_unasked = options.address is not None and self._worker.device is None and not num_gpus
            if is_unasked and self._worker.model != TINY_NAME:
                raise OptionError(
                    f"the cluster at {options.address} has no GPU now. Give --device cuda to have a node with one "
                    "started, or --device cpu to do without."
                )
            worker = replace(self._worker, device=self._worker.device or ("cuda" if num_gpus else "cpu"))
            self._pool = Pool(worker, self._limits(worker, num_gpus), options.accelerators, self._kind)
            stack.callback(self._pool.kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._stack:
            if self._frames:
                ray.wait([*self._frames], num_returns=len(self._frames), timeout=ARRIVED_WITHIN_S)

    @property
    def num_idle(self) -> int:
        return len(self._pool.idle)

    @property
    def num_starting(self) -> int:
        return len(self._pool.starting)

    @property
    def num_nodes(self) -> int:
        return self._pool.num_nodes

    def scale(self, demand: Demand) -> None:
        self._pool.scale(demand)

    def submit(self, request: Request) -> Place:
        replica = self._pool.take()
        stream = replica.actor.run.options(num_returns="streaming").remote(request)
        self._streams[stream] = (request.segment.key, replica.place)
        return replica.place

    def next_event(self, timeout_s: float) -> tuple[Place, Event] | None:
        self._pool.notice_draining()
        if self._pool.events:
            return self._pool.events.popleft()
        if not self._heard:
            self._heard.extend(self._listen(timeout_s))
        while self._heard:
            source = self._heard.popleft()
            if source in self._streams:
                return self._progress(source)
            if source in self._frames:
                return self._framed(source)
            if source in self._pool.starting:  # else it was let go meanwhile
                self._pool.started(source)
                self._fail_distrusted()
                return None
        self._pool.require_replicas()
        return None

    def arrived(self) -> list[tuple[Place, Done]]:
        done: list[tuple[Place, Done]] = []
        until = monotonic() + ARRIVED_WITHIN_S
        while self._streams and monotonic() < until:
            happened, _ = ray.wait([*self._streams], num_returns=1, timeout=0)
            if not happened:
                break
            place, event = self._progress(happened[0])
            if isinstance(event, Done):
                done.append((place, event))
        return done

    def replace(self, place: Place) -> None:
        for stream in [stream for stream, (_, at) in self._streams.items() if at == place]:
            del self._streams[stream]
        self._pool.let_go(place)

    def block(self, node: str) -> None:
        self._pool.block(node)

    def _limits(self, worker: WorkerOptions, num_gpus: int) -> Limits:
        """A ceiling where none was given: our own cluster does not grow, another may."""
        limits = self._options.limits
        if limits.ceiling is not None:
            return limits
        if worker.device != "cuda":
            return replace(limits, ceiling=max(1, limits.floor))
        if self._options.address is not None:
            return limits
        return replace(limits, ceiling=num_gpus // worker.num_devices)

    def _listen(self, timeout_s: float) -> list[Any]:
        """All that have news, once one has: asking takes 0.75 ms of CPU with 1000 streams, however many have some."""
        sources = [*self._streams, *self._frames, *self._pool.starting]
        if not sources:
            sleep(timeout_s)
            return []
        if not ray.wait(sources, num_returns=1, timeout=timeout_s)[0]:
            return []
        return ray.wait(sources, num_returns=len(sources), timeout=0)[0]

    def _progress(self, stream: Any) -> tuple[Place, Event]:
        key, place = self._streams[stream]
        event = self._next(stream, key, place)
        if isinstance(event, Step):
            return place, event
        del self._streams[stream]
        if isinstance(event, Done) and not event.is_framed:
            self._frames[self._pool.busy[place].actor.framed.remote(key)] = (key, place)
            self._pool.writes(place)
        if isinstance(event, Failed) and not isinstance(event.error, NOT_THE_REPLICAS):
            # What it met may have left the replica or its GPU broken, and an unavailable one may still live.
            self._pool.let_go(place)
        else:
            self._pool.give_back(place)
        return place, event

    def _framed(self, frames: Any) -> tuple[Place, Framed]:
        key, place = self._frames.pop(frames)
        self._pool.has_written(place)
        try:
            ray.get(frames)
        except RayError as error:
            return place, Framed(key, cause_of(error))
        return place, Framed(key)

    def _fail_distrusted(self) -> None:
        """What replicas make of which it is now known that they are wrong; the next ones on their cards are held."""
        for key, place in list(self._streams.values()):
            distrust = self._pool.distrust(place)
            if distrust is not None:
                self.replace(place)
                self._pool.events.append((place, Failed(key, OutputError(distrust))))

    def _next(self, stream: Any, key: str, place: Place) -> Step | Done | Failed:
        try:
            event: object = ray.get(next(stream))
        except (RayError, StopIteration) as error:
            return Failed(key, self._blame(cause_of(error), place))
        if isinstance(event, Step | Done) and event.key == key:
            return event
        return Failed(key, OutputError(f"its replica sent {type(event).__name__}, which is nothing of it"))

    def _blame(self, cause: Exception, place: Place) -> Exception:
        """The failure as it counts: a replica that went with its node, or was cut off from us, did nothing wrong."""
        if isinstance(cause, UrsaRayError):
            return cause
        if went_with_its_node(cause) or not is_alive(place.node):
            return LostError(f"its replica was lost: {cause}")
        return ReplicaError(f"its replica failed: {cause}")
