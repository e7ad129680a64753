"""What replicas a simulated render can have, and what chance does to them."""

import math
from dataclasses import dataclass
from random import Random

# Until measured: a process, the weights from a local disk and two warm-up segments on a GPU.
STARTUP_S = 60.0


@dataclass(frozen=True)
class Device:
    """`speed` in units of the jobs' cost a second; `price_per_h` in any currency."""

    kind: str
    speed: float
    price_per_h: float = 0.0


@dataclass(frozen=True)
class Fleet:
    """Devices that can be had, for one replica each; those at the front are taken first.

    Attributes:
        startup_s: from asking for a replica until it can work.
        floor: replicas that are kept also while there is nothing to do for them, as in `Limits`.
        num_steps: a job that was lost goes on from the last of so many equal steps.
        notice_s: how long before its end a replica that is taken away is told so.
    """

    devices: tuple[Device, ...]
    startup_s: float = STARTUP_S
    floor: int = 0
    num_steps: int = 50
    notice_s: float = 0.0


class Luck:
    """What chance brings; this one brings nothing. Answers depend on the arguments alone, not on the order of calls."""

    def slowness(self, key: str, replica: int) -> float:
        """How many times as long as it should a job takes on a replica, counted from 0 as they were asked for."""
        return 1.0

    def lifetime_s(self, replica: int) -> float:
        """When a replica is taken away, counted from when it was asked for."""
        return math.inf

    def crashes_at(self, key: str, attempt: int) -> float | None:
        """The share of its work at which an attempt at a job crashes its replica, if it does."""
        return None


@dataclass(frozen=True)
class Dice(Luck):
    """Seeded luck.

    Attributes:
        noise: standard deviation of a job's time as a share of it; lognormal, of mean 1, the same on all replicas.
        losses_per_h: how often a replica is taken away.
        crash_share: of all attempts.
    """

    seed: int = 0
    noise: float = 0.0
    losses_per_h: float = 0.0
    crash_share: float = 0.0

    def slowness(self, key: str, replica: int) -> float:
        if not self.noise:
            return 1.0
        variance = math.log(1 + self.noise**2)
        return self._random("slow", key).lognormvariate(-variance / 2, math.sqrt(variance))

    def lifetime_s(self, replica: int) -> float:
        if not self.losses_per_h:
            return math.inf
        return self._random("lost", replica).expovariate(self.losses_per_h) * 3600

    def crashes_at(self, key: str, attempt: int) -> float | None:
        if not self.crash_share:
            return None
        random = self._random("crash", key, attempt)
        return random.random() if random.random() < self.crash_share else None

    def _random(self, *what: object) -> Random:
        return Random("/".join(map(str, (self.seed, *what))))
