"""One function of a model over many tasks, in this process or in several; the results do not depend on how many.

Every process has one thread: sums of several threads round differently, and so can give other codes.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from ursa_ray.model import Ursa

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Workers:
    """Attributes:
    model: a folder in the published layout, a hub id, or tiny.
    device: cuda where there is one, else cpu.
    """

    model: str
    device: str | None = None
    num_processes: int = 1

    def map(self, function: Callable[["Ursa", T], R], tasks: Iterable[T]) -> Iterator[R]:
        """`function(ursa, task)` for every task, in their order; with several processes both must be picklable.

        Raises:
            CheckpointError: the model is not to be had, or its files do not fit each other.
        """
        if self.num_processes == 1:
            yield from self._map_here(function, tasks)
            return
        pool = ProcessPoolExecutor(self.num_processes, mp_context=get_context("spawn"))
        try:
            yield from pool.map(partial(_in_worker, function, self.model, self.device), tasks)
        finally:
            pool.shutdown(cancel_futures=True)

    def _map_here(self, function: Callable[["Ursa", T], R], tasks: Iterable[T]) -> Iterator[R]:
        from ursa_ray.model import Ursa

        with _one_thread():
            ursa = Ursa.from_pretrained(self.model, self.device)
            for task in tasks:
                yield function(ursa, task)


def _in_worker(function: Callable[["Ursa", T], R], model: str, device: str | None, task: T) -> R:
    return function(_model_of_process(model, device), task)


@lru_cache(maxsize=1)
def _model_of_process(model: str, device: str | None) -> "Ursa":
    import torch

    from ursa_ray.model import Ursa

    torch.set_num_threads(1)
    return Ursa.from_pretrained(model, device)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
