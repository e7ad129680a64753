"""Executors: replicas that make segments and report what becomes of them; here, one replica in this process."""

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from socket import gethostname
from time import sleep
from traceback import clear_frames
from typing import Protocol, Self

from ursa_ray.errors import InputError, StoreError, UrsaRayError
from ursa_ray.exchange import Done, Request, Step, WorkerOptions
from ursa_ray.schedule import Demand, Place
from ursa_ray.work import Worker, require_device

# Nothing that the replica did, which works on: what was given to it, and where it is to write.
NOT_THE_REPLICAS = InputError | StoreError

# Frames that are being written when a render ends early are waited for so long; interrupted, it has 8 s.
WRITTEN_WITHIN_S = 5.0


@dataclass(frozen=True)
class Failed:
    """An attempt failed; unless by what is `NOT_THE_REPLICAS`, its replica is gone.

    The error says what it costs: a `LostError` nothing, any other an attempt.
    """

    key: str
    error: Exception


@dataclass(frozen=True)
class Leaving:
    """The replica's node is about to be taken; it works on, but gets nothing new."""


@dataclass(frozen=True)
class Held:
    """A replica is kept from all work, and so is the card that it holds."""

    reason: str


@dataclass(frozen=True)
class Framed:
    """The frames of a segment that was `Done` without them are in the run, or will not come because of an `error`."""

    key: str
    error: Exception | None = None


Event = Step | Done | Failed | Framed | Leaving | Held


class Executor(Protocol):
    """Replicas that make segments; a context that starts them and lets them go."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    @property
    def num_idle(self) -> int: ...

    @property
    def num_starting(self) -> int: ...

    @property
    def num_nodes(self) -> int:
        """Nodes that replicas can be on, without the blocked ones."""
        ...

    def scale(self, demand: Demand) -> None:
        """Have as many replicas as this calls for: ask for those that lack, let idle ones go."""
        ...

    def submit(self, request: Request) -> Place:
        """Give a segment to an idle replica; which one."""
        ...

    def next_event(self, timeout_s: float) -> tuple[Place, Event] | None:
        """Wait for something to happen, and to which replica; None if it is only that one became idle, or nothing."""
        ...

    def arrived(self) -> list[tuple[Place, Done]]:
        """Segments that are finished already, without waiting for any: the last that is asked of an executor."""
        ...

    def replace(self, place: Place) -> None:
        """Let go of a replica, with what it is making; if it is still called for, a fresh one takes its place."""
        ...

    def block(self, node: str) -> None:
        """Use no replica on this node from now on; what runs there may end."""
        ...


class InProcessExecutor:
    """One replica in this process, loaded when the first segment is submitted and again after it has failed."""

    num_nodes = 1
    num_starting = 0

    def __init__(self, options: WorkerOptions):
        require_device(options)
        self._options = options
        self._worker: Worker | None = None
        self._num_workers = 0
        self._place: Place | None = None
        self._running: tuple[Place, str, Iterator[Step | Done]] | None = None
        self._writing: dict[Future[object], tuple[Place, str]] = {}  # frames that are still to come

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._let_go()
        wait(self._writing, WRITTEN_WITHIN_S)

    @property
    def num_idle(self) -> int:
        return 1 if self._running is None else 0

    def scale(self, demand: Demand) -> None:
        """One it is."""

    def submit(self, request: Request) -> Place:
        if self._worker is None:
            self._num_workers += 1
        place = Place(f"process {os.getpid()}, model {self._num_workers}", gethostname())
        self._place, self._running = place, (place, request.segment.key, self._run(request))
        return place

    def next_event(self, timeout_s: float) -> tuple[Place, Event] | None:
        framed = self._framed(timeout_s if self._running is None else 0.0)
        if framed is not None or self._running is None:
            return framed
        place, key, progress = self._running
        try:
            event = next(progress)
        except (UrsaRayError, RuntimeError, OSError, MemoryError) as error:  # torch: a full GPU is a RuntimeError
            _clear_frames(error)
            event = Failed(key, error)
            if not isinstance(error, NOT_THE_REPLICAS):
                self._let_go()  # whatever it met may have left the device broken
        if isinstance(event, Done) and not event.is_framed and self._worker is not None:
            self._writing[self._worker.framed(key)] = place, key
        if not isinstance(event, Step):
            self._running = None
        return place, event

    def arrived(self) -> list[tuple[Place, Done]]:
        return []

    def replace(self, place: Place) -> None:
        if place == self._place:
            self._let_go()

    def block(self, node: str) -> None:
        raise AssertionError(f"{node} is the only node")

    def _run(self, request: Request) -> Iterator[Step | Done]:
        if self._worker is None:
            self._worker = self._load()
        yield from self._worker.run(request)

    def _framed(self, timeout_s: float) -> tuple[Place, Framed] | None:
        """Wait for frames of which it is known what became of them."""
        if not self._writing:
            sleep(timeout_s)
            return None
        wait(self._writing, timeout_s, FIRST_COMPLETED)
        written = next((writing for writing in self._writing if writing.done()), None)
        if written is None:
            return None
        place, key = self._writing.pop(written)
        error = written.exception()
        assert error is None or isinstance(error, Exception), error
        return place, Framed(key, error)

    def _let_go(self) -> None:
        if self._worker is not None:
            self._worker.close()
        self._running = self._worker = None

    def _load(self) -> Worker:
        return Worker(self._options)


def _clear_frames(error: BaseException | None) -> None:
    """Errors are kept to the end of a render, and with their tracebacks the model and all it was computing."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
