"""Shares of a count, with the intervals that hold them."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """How often something was right, of how often it could be."""

    name: str
    right: int
    total: int

    @property
    def share(self) -> float:
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.right, self.total)


def wilson_interval(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share, by default of 95 %, that holds near 0 and 1 too (Wilson 1927)."""
    share, shrunk = right / total, 1 + z * z / total
    middle = (share + z * z / (2 * total)) / shrunk
    half = z / shrunk * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)
