"""The positions of a sequence, shared out among the members of a crew.

Every member works on as many positions as the others, so that what they send each other has one shape. Where that does
not come out even (33,601 positions on 2 devices) the last shards begin early; what is computed twice counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor


@dataclass(frozen=True)
class Shards:
    num_positions: int
    size: int

    @property
    def length(self) -> int:
        """Positions of every shard."""
        return -(-self.num_positions // self.size)

    def of(self, rank: int) -> slice:
        start = min(rank * self.length, self.num_positions - self.length)
        return slice(start, start + self.length)

    def owned(self, rank: int, positions: Int64[Tensor, " rows"]) -> Int64[Tensor, " owned"]:
        """Which of some positions a member answers for: indices into them. Every position has one owner."""
        return (positions // self.length == rank).nonzero().squeeze(1)

    def join(self, parts: Sequence[Tensor], dim: int) -> Tensor:
        """All positions along an axis from the shards of all members, in the order of their ranks."""
        return torch.cat([self._without_repeated(rank, part, dim) for rank, part in enumerate(parts)], dim)

    def _without_repeated(self, rank: int, part: Tensor, dim: int) -> Tensor:
        repeated = min(rank * self.length, self.num_positions) - self.of(rank).start
        return part.narrow(dim, repeated, self.length - repeated)
