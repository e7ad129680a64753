"""What is measured, with the interval of 95 % that holds it: a share of a count, a mean, a ratio of two means."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

NUM_RESAMPLED = 2000


class Figure(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def value(self) -> float: ...

    @property
    def interval(self) -> tuple[float, float]: ...

    @property
    def counted(self) -> str:
        """What it was made of, in words."""
        ...


@dataclass(frozen=True)
class Rate:
    """How often something was right, of how often it could be."""

    name: str
    right: int
    total: int

    @property
    def value(self) -> float:
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.right, self.total)

    @property
    def counted(self) -> str:
        return f"{self.right} of {self.total}"


@dataclass(frozen=True)
class Mean:
    """Of independent values: films or chains, not the frames of one."""

    name: str
    values: tuple[float, ...]

    @property
    def value(self) -> float:
        return float(np.mean(self.values))

    @property
    def interval(self) -> tuple[float, float]:
        return _between(_resampled(self.values).mean(axis=1))

    @property
    def counted(self) -> str:
        return f"mean of {len(self.values)}"


@dataclass(frozen=True)
class Ratio:
    """Of two means over the same chains: what all chains share does not widen its interval."""

    name: str
    values: tuple[float, ...]
    others: tuple[float, ...]

    @property
    def value(self) -> float:
        return float(np.mean(self.values) / np.mean(self.others))

    @property
    def interval(self) -> tuple[float, float]:
        assert len(self.values) == len(self.others), self.name
        pairs = _resampled(np.stack([self.values, self.others], axis=1)).mean(axis=1)
        return _between(pairs[:, 0] / pairs[:, 1])

    @property
    def counted(self) -> str:
        return f"{len(self.values)} pairs"


def wilson_interval(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share, by default of 95 %, that holds near 0 and 1 too (Wilson 1927)."""
    share, shrunk = right / total, 1 + z * z / total
    middle = (share + z * z / (2 * total)) / shrunk
    half = z / shrunk * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def _resampled(values: tuple[float, ...] | np.ndarray) -> np.ndarray:
    """Bootstrap (Efron 1979): rows drawn with replacement, (NUM_RESAMPLED, n, ...), the same for the same n."""
    values = np.asarray(values)
    assert np.isfinite(values).all(), values
    return values[np.random.default_rng(0).integers(len(values), size=(NUM_RESAMPLED, len(values)))]


def _between(resampled: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    return low, high
