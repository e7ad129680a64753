"""How long a render will take on some GPUs, what decides that, and how many GPUs meet a deadline.

The schedule is simulated, not estimated; what is assumed are the speed of a GPU and the start of a replica
(docs/decisions/0011-forecasts.md).
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

from ursa_ray.errors import OptionError
from ursa_ray.plan import Plan
from ursa_ray.plan.cost import GPU_FLOPS_PER_S
from ursa_ray.schedule import Device, Fleet, Job, missing_jobs, simulate
from ursa_ray.schedule.bounds import least_replicas
from ursa_ray.schedule.fleet import STARTUP_S


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU, what an hour of it costs if that is known, and how long a replica takes to start on one."""

    kind: str
    price_per_h: float | None = None
    startup_s: float = STARTUP_S

    def __post_init__(self) -> None:
        if self.price_per_h is not None and not math.isfinite(self.price_per_h):
            raise OptionError(f"--price {self.price_per_h}: expected a number.")
        if self.kind not in GPU_FLOPS_PER_S:
            known = ", ".join(sorted(GPU_FLOPS_PER_S))
            raise OptionError(f"--gpu {self.kind}: is not known, expected one of {known}.")

    @property
    def flops_per_s(self) -> float:
        return GPU_FLOPS_PER_S[self.kind]

    def fleet(self, num: int) -> Fleet:
        """As `render --replicas` has them: never more than there is work for."""
        return Fleet((Device(self.kind, self.flops_per_s, self.price_per_h or 0.0),) * num, self.startup_s)


@dataclass(frozen=True)
class Question:
    """How long on so many GPUs, or how many for a deadline, or both."""

    gpu: Gpu
    num_gpus: int | None = None
    deadline_s: float | None = None


@dataclass(frozen=True)
class Forecast:
    """`wall_s` with the start of the replicas; `gpu_s` and `cost` of all GPUs, `busy_share` of that at work.

    Of `num_gpus` at most `num_used` were used at once: more make no difference.
    """

    num_gpus: int
    num_used: int
    wall_s: float
    gpu_s: float
    busy_share: float
    cost: float | None


@dataclass(frozen=True)
class CriticalPath:
    """The chain that takes longest: (shot, segments of it) in order, and the seconds of all on one GPU."""

    shots: tuple[tuple[str, int], ...]
    seconds: float

    @property
    def num_segments(self) -> int:
        return sum(num for _, num in self.shots)

    @property
    def middle(self) -> str | None:
        """The shot that begins nearest to the middle, where a cut helps most; None if there is only one."""
        begins = list(accumulate((num for _, num in self.shots), initial=0))[1:-1]
        if not begins:
            return None
        nearest = min(range(len(begins)), key=lambda i: abs(2 * begins[i] - self.num_segments))
        return self.shots[nearest + 1][0]


@dataclass(frozen=True)
class Prediction:
    """The answer: `on` the GPUs that were asked about; the fewest `within` the deadline; else what `quickest` takes."""

    question: Question
    path: CriticalPath
    on: Forecast | None = None
    within: Forecast | None = None
    quickest: Forecast | None = None


def predict(plan: Plan, committed: Collection[str], question: Question) -> Prediction:
    """What making the rest of a plan takes; it writes nothing."""
    gpu, jobs = question.gpu, missing_jobs(plan, committed)
    on = within = quickest = None
    if question.num_gpus is not None:
        on = forecast(jobs, gpu, question.num_gpus)
    if question.deadline_s is not None:
        quickest = forecast(jobs, gpu, max(1, num_chains(jobs)))
        within = fewest(jobs, gpu, question.deadline_s, quickest)
        quickest = quickest if within else fewest(jobs, gpu, quickest.wall_s, quickest)
    return Prediction(question, critical_path(plan, jobs, gpu), on, within, quickest)


def critical_path(plan: Plan, jobs: Sequence[Job], gpu: Gpu) -> CriticalPath:
    longest: dict[str | None, Job] = {}
    for job in jobs:
        if job.after not in longest or job.remaining > longest[job.after].remaining:
            longest[job.after] = job
    job, path = longest.get(None), []
    while job is not None:
        path.append(job)
        job = longest.get(job.key)
    shots = groupby(plan.by_key[job.key].shot for job in path)
    seconds = sum(job.cost for job in path) / gpu.flops_per_s
    return CriticalPath(tuple((shot, len(list(segments))) for shot, segments in shots), seconds)


def forecast(jobs: Sequence[Job], gpu: Gpu, num_gpus: int) -> Forecast:
    simulated = simulate(jobs, gpu.fleet(num_gpus))
    cost = None if gpu.price_per_h is None else simulated.cost
    return Forecast(num_gpus, simulated.num_at_once, simulated.makespan_s, simulated.gpu_s, simulated.busy_share, cost)


def num_chains(jobs: Sequence[Job]) -> int:
    """More replicas than this have never anything to do."""
    return len(jobs) - len({job.after for job in jobs if job.after is not None})


def fewest(jobs: Sequence[Job], gpu: Gpu, deadline_s: float, quickest: Forecast) -> Forecast | None:
    """With the least number of GPUs that meets the deadline; None if the `quickest` is too late.

    One after the other is tried: a GPU more may, seldom, make a render take longer.
    """
    if quickest.wall_s > deadline_s * (1 + 1e-9):
        return None
    least = least_replicas(jobs, (deadline_s - gpu.startup_s) * gpu.flops_per_s) or 1
    tried = (forecast(jobs, gpu, num) for num in range(least, quickest.num_used))
    used = replace(quickest, num_gpus=quickest.num_used)
    return next((found for found in tried if found.wall_s <= deadline_s * (1 + 1e-9)), used)
