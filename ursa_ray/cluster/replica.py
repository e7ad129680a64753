"""A worker behind an actor, on GPUs or CPUs of its own, mostly one."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

import ray

from ursa_ray.exchange import Done, Request, Step, WorkerOptions
from ursa_ray.work import Worker

# A driver spends 0.2 ms of CPU on a message and 3 on the rest: of a segment of a minute this is a quarter.
STEP_EVERY_S = 10.0

# A known segment is made twice: a card that is broken seldom goes wrong in the same way again.
NUM_WARM_UPS = 2


# Calls that wait for frames do not wait for the segment that is being made.
FRAMES = "frames"


@dataclass(frozen=True)
class Loaded:
    """A replica that is ready to work: its node's id, its kind of device, and its answers to the known segment."""

    node: str
    device: str
    answers: tuple[str, ...]


class Replica:
    def __init__(self, options: WorkerOptions):
        self._options = options

    def load(self) -> Loaded:
        """Not in the constructor: what goes wrong here comes back as it is, not as the death of an actor."""
        self._worker = worker = Worker(self._options)
        answers = tuple(worker.warm_up() for _ in range(NUM_WARM_UPS))
        return Loaded(ray.get_runtime_context().get_node_id(), worker.device_kind, answers)

    @ray.method(concurrency_group=FRAMES)
    def framed(self, key: str) -> None:
        """Return once the frames of a segment that was `Done` are written, also while the next one is made."""
        self._worker.framed(key).result()

    def run(self, request: Request) -> Iterator[Step | Done]:
        """Its first step, then steps not too often and those with something to tell, then that it is done."""
        told = -STEP_EVERY_S
        for event in self._worker.run(request):
            if isinstance(event, Done) or event.has_preview or event.warning or monotonic() - told >= STEP_EVERY_S:
                told = monotonic()
                yield event
