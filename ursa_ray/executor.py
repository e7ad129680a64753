"""Executors: replicas that make segments and report what becomes of them; here, one replica in this process."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from socket import gethostname
from typing import Protocol, Self

from ursa_ray.errors import InputError, UrsaRayError
from ursa_ray.model import choose_device
from ursa_ray.schedule import Place
from ursa_ray.work import Done, Request, Step, Worker, WorkerOptions


@dataclass(frozen=True)
class Failed:
    """An attempt failed; unless by an `InputError`, its replica is gone and a fresh one takes its place.

    The error says what it costs: a `LostError` nothing, any other an attempt.
    """

    key: str
    error: Exception


Event = Step | Done | Failed


class Executor(Protocol):
    """Replicas that make segments; a context that starts them and lets them go."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    @property
    def num_idle(self) -> int: ...

    @property
    def num_nodes(self) -> int:
        """Nodes that replicas can be on, without the blocked ones."""
        ...

    def submit(self, request: Request) -> Place:
        """Give a segment to an idle replica; which one."""
        ...

    def next_event(self) -> Event | None:
        """Wait for something to happen to what was submitted; None if it is only that a replica became idle."""
        ...

    def arrived(self) -> list[Done]:
        """Segments that are finished already, without waiting for any: the last that is asked of an executor."""
        ...

    def replace(self, place: Place) -> None:
        """Let go of a replica that made something wrong, with what it is making, and start a fresh one."""
        ...

    def block(self, node: str) -> None:
        """Use no replica on this node from now on; what runs there may end."""
        ...


class InProcessExecutor:
    """One replica in this process, loaded when the first segment is submitted and again after it has failed."""

    num_nodes = 1

    def __init__(self, options: WorkerOptions):
        choose_device(options.device)
        self._options = options
        self._worker: Worker | None = None
        self._num_workers = 0
        self._running: tuple[str, Iterator[Step | Done]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._running = self._worker = None

    @property
    def num_idle(self) -> int:
        return 1 if self._running is None else 0

    def submit(self, request: Request) -> Place:
        if self._worker is None:
            self._num_workers += 1
        self._running = (request.segment.key, self._run(request))
        return Place(f"process {os.getpid()}, model {self._num_workers}", gethostname())

    def next_event(self) -> Event:
        assert self._running is not None
        key, progress = self._running
        try:
            event = next(progress)
        except (UrsaRayError, RuntimeError, OSError, MemoryError) as error:  # torch: a full GPU is a RuntimeError
            event = Failed(key, error)
            if not isinstance(error, InputError):
                self._worker = None  # whatever it met may have left the device broken
        if not isinstance(event, Step):
            self._running = None
        return event

    def arrived(self) -> list[Done]:
        return []

    def replace(self, place: Place) -> None:
        self._running = self._worker = None

    def block(self, node: str) -> None:
        raise AssertionError(f"{node} is the only node")

    def _run(self, request: Request) -> Iterator[Step | Done]:
        if self._worker is None:
            self._worker = self._load()
        yield from self._worker.run(request)

    def _load(self) -> Worker:
        return Worker(self._options)
