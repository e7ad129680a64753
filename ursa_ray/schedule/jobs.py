"""What is to be done: jobs, and those that a plan comes to."""

from collections.abc import Collection
from dataclasses import dataclass

from ursa_ray.plan import Plan


@dataclass(frozen=True)
class Job:
    """`cost` of the job, and `remaining` of the longest chain that starts here, in any unit that all jobs share."""

    key: str
    after: str | None
    remaining: float
    cost: float = 0.0


def missing_jobs(plan: Plan, committed: Collection[str] = ()) -> list[Job]:
    """A job for each segment that is not committed, parents first; costs in FLOPs."""
    return [
        Job(key, None if segment.parent in committed else segment.parent, plan.chain[key][1], segment.flops)
        for key, segment in plan.by_key.items()
        if key not in committed
    ]
