"""Tensors from device to device within one machine: NCCL between GPUs, gloo between CPUs.

The groups are torch's own objects, not its one default group of a process: a process can lead several crews, one after
the other or at once, and end one that has lost a member without ending itself.
"""

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

LEADER = 0

# Members wait for each other for as long as the slower one takes for its part of a step.
TIMEOUT = timedelta(minutes=10)

# They have loaded their weights before they meet.
MEET_WITHIN = timedelta(minutes=1)


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
        torch_groups: Any = dist  # its public names, of which it exports only some
        store = torch_groups.FileStore(str(folder / "meeting"), size)
        if device.type == "cuda":
            torch.cuda.set_device(device)
            options = torch_groups.ProcessGroupNCCL.Options()
            options._timeout = TIMEOUT
            return cls(rank, size, torch_groups.ProcessGroupNCCL(store, rank, size, options))
        gloo = torch_groups.ProcessGroupGloo
        options = gloo._Options()
        # Else it listens at the address of the host's name, for everybody.
        options._devices = [gloo.create_device(hostname="127.0.0.1")]
        options._timeout = MEET_WITHIN
        with _answering(f"another of {size} devices"):
            backend = gloo(store, rank, size, options)
        backend.set_timeout(TIMEOUT)
        group = cls(rank, size, backend)
        group.gather(torch.zeros(1))  # until all have met
        return group

    def gather(self, x: Tensor) -> list[Tensor]:
        """What all members have, by rank; of one shape."""
        x = x.contiguous()
        parts = [torch.empty_like(x) for _ in range(self.size)]
        with _answering(f"another of {self.size} devices"):
            self.backend.allgather([parts], [x]).wait()
        return parts

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


@contextmanager
def _answering(whom: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # torch's, begins with the place in its own source
        raise ReplicaError(f"{whom} did not answer: {str(error).rpartition('] ')[2]}.") from error
