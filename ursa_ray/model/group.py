"""Tensors from device to device within one machine: NCCL between GPUs, gloo between CPUs.

The groups are torch's own objects, not its one default group of a process: a process can lead several crews, one after
the other or at once, and end one that has lost a member without ending itself.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ursa_ray.errors import ReplicaError

DIST: Any = dist  # its public names, of which it exports only some

LEADER = 0

# Members wait for each other for as long as the slower one takes for its part of a step.
TIMEOUT = timedelta(minutes=10)

# They meet when all have loaded their weights.
MEET_WITHIN = timedelta(minutes=1)

# What NCCL's groups do on errors, as torch reads it.
ON_ERRORS = "TORCH_NCCL_ASYNC_ERROR_HANDLING"


@dataclass(frozen=True)
class Group:
    """Members that have met.

    Raises:
        ReplicaError: of all that it does, one of them did not answer in time, or is gone.
    """

    rank: int
    size: int
    backend: Any

    @classmethod
    def join(cls, folder: Path, rank: int, size: int, device: torch.device) -> "Group":
        """Meet the others, who come to the same new, private folder; gloo needs it until then, NCCL to the end."""
        if device.type == "cuda":
            torch.cuda.set_device(device)
        here = [f"member {each}" for each in range(size)]
        with _answering(f"another of {size} devices"):
            store = DIST.FileStore(str(folder / "meeting"), size)
            # The leader is the first to give up, so that whoever has news by then is the one to blame.
            store.set_timeout(MEET_WITHIN if rank == LEADER else 2 * MEET_WITHIN)
            store.set(here[rank], "")
            store.wait(here)  # NCCL waits for ever for one that is gone, but connects only in its first operation
            group = cls(rank, size, (_nccl if device.type == "cuda" else _gloo)(store, rank, size))
        group.gather(torch.zeros(1, device=device))
        store.set_timeout(TIMEOUT)
        return group

    def gather(self, x: Tensor) -> Sequence[Tensor]:
        """What all members have, by rank; of one shape."""
        parts = x.new_empty(self.size * len(x), *x.shape[1:])
        with _answering(f"another of {self.size} devices"):
            self.backend._allgather_base(parts, x.contiguous()).wait()
        return parts.chunk(self.size)

    def tell(self, rank: int, x: Tensor) -> None:
        if x.numel():
            x = x.contiguous()
            with _answering(self._name(rank)):
                self.backend.send([x], rank, 0).wait(TIMEOUT)

    def hear(self, rank: int, like: Tensor, shape: Sequence[int]) -> Tensor:
        """What another tells this one: of this shape, else like `like`."""
        x = like.new_empty(shape)
        if x.numel():
            with _answering(self._name(rank)):
                self.backend.recv([x], rank, 0).wait(TIMEOUT)
        return x

    def abort(self) -> None:
        """End what waits for a member that is gone."""
        self.backend.abort()

    def _name(self, rank: int) -> str:
        return f"device {rank + 1} of {self.size}"


def _gloo(store: Any, rank: int, size: int) -> Any:
    options = DIST.ProcessGroupGloo._Options()
    # Else it listens at the address of the host's name, for everybody.
    options._devices = [DIST.ProcessGroupGloo.create_device(hostname="127.0.0.1")]
    options._timeout = store.timeout
    backend = DIST.ProcessGroupGloo(store, rank, size, options)
    backend.set_timeout(TIMEOUT)
    return backend


def _nccl(store: Any, rank: int, size: int) -> Any:
    """Its own watchdog takes a process down, with all that is not ours in it, when an operation fails or is aborted.

    So it is told not to, for this group alone, and the crew watches instead. It also does so, whatever it is told, some
    time after an operation is late, so that must be later than we give up.
    """
    options = DIST.ProcessGroupNCCL.Options()
    options._timeout = 6 * TIMEOUT
    before = os.environ.get(ON_ERRORS)
    os.environ[ON_ERRORS] = "0"  # read by the constructor
    try:
        return DIST.ProcessGroupNCCL(store, rank, size, options)
    finally:
        os.environ.pop(ON_ERRORS)
        if before is not None:
            os.environ[ON_ERRORS] = before


@contextmanager
def _answering(whom: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # torch's, begins with the place in its own source
        raise ReplicaError(f"{whom} did not answer: {str(error).rpartition('] ')[2]}.") from error
