"""What no schedule can beat.

With replicas without end every job begins as soon as the one before it ends. Whatever of the work that render does
after a time t cannot be done before t by any other, so N replicas take at least t + (that work) / N, for every t; t = 0
gives work / N and the end gives the critical path. For jobs of one length, counted in whole jobs, the largest of these
is the shortest makespan that there is: Hu's theorem (1961) for forests, read backwards.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

from ursa_ray.schedule.jobs import Job


def least_makespan(jobs: Iterable[Job], num_replicas: int) -> float:
    """In units of the jobs' cost; a job comes later in `jobs` than the one it waits for."""
    return max((time + work / num_replicas for time, work in work_left(jobs)), default=0.0)


def least_replicas(jobs: Iterable[Job], makespan: float) -> int | None:
    """Fewer cannot do it within `makespan`; None if no number can."""
    left = list(work_left(jobs))
    if left and left[-1][0] > makespan:
        return None
    # A sum of parts may be a little more than the whole.
    return max((math.ceil(work / (makespan - time) * (1 - 1e-9)) for time, work in left if work), default=0)


def work_left(jobs: Iterable[Job]) -> Iterator[tuple[float, float]]:
    """Times at which jobs begin or end when none has to wait for a replica, and the work that is left then."""
    ends: dict[str, float] = {}
    changes: Counter[float] = Counter()
    for job in jobs:
        began = ends.get(job.after or "", 0.0)
        ends[job.key] = began + job.cost
        changes[began] += 1
        changes[ends[job.key]] -= 1
    times = sorted(changes)
    left, width = 0.0, 0
    backwards = []
    for end, begin in pairwise(reversed(times)):
        width -= changes[end]
        left += width * (end - begin)
        backwards.append((begin, left))
    yield from reversed(backwards)
    if times:
        yield times[-1], 0.0
