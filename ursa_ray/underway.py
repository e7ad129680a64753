"""What a render is at right now, as its run tells: from any machine, and without disturbing it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from ursa_ray.ledger import Run, preview_name
from ursa_ray.plan import Plan, Segment

# In a bucket every segment that is begun is a question of 20 ms.
NUM_QUESTIONS = 16


@dataclass(frozen=True)
class Begun:
    """A segment that is not committed yet, after how many steps it was last saved, and the URL of its preview."""

    segment: str
    num_done: int
    num_steps: int
    preview: str | None = None


@dataclass(frozen=True)
class Underway:
    """Who renders, since when, and how far.

    Attributes:
        rendered_by: None if nobody does; then segments stay begun until somebody does.
        begun: in the order of the film. One whose first step is not done yet is not among them.
        seconds_left: for the segments; None if nobody renders, or nothing is committed yet to tell it from.
    """

    rendered_by: str | None = None
    begun: tuple[Begun, ...] = ()
    seconds_left: float | None = None


def underway(run: Run) -> Underway:
    """Look at a run.

    Raises:
        LedgerError: its plan is damaged.
        OSError: its place refuses.
    """
    plan, holder = run.plan(), run.store.holder()
    if plan is None:
        return Underway(holder)
    num_done = _num_done(run, plan)
    previewed = set(run.store.names("previews"))
    begun = tuple(_begun(run, plan.by_key[key], num, previewed) for key, num in num_done.items())
    return Underway(holder, begun, None if holder is None else _seconds_left(run, plan, num_done))


def _begun(run: Run, segment: Segment, num_done: int, previewed: set[str]) -> Begun:
    name = preview_name(segment.key)
    there = name.rpartition("/")[2] in previewed
    return Begun(segment.name, num_done, segment.steps, run.where(name) if there else None)


def _num_done(run: Run, plan: Plan) -> dict[str, int]:
    saved = set(run.store.names("steps"))
    keys = [key for key in plan.by_key if key in saved and key not in run.segments]
    with ThreadPoolExecutor(NUM_QUESTIONS) as asking:
        return {key: num for key, num in zip(keys, asking.map(run.steps.num_done, keys), strict=True) if num}


def _seconds_left(run: Run, plan: Plan, num_done: dict[str, int]) -> float | None:
    """With as many side by side as are begun, each as fast as those before; a chain cannot be shared."""
    speed = _flops_per_s([(plan.by_key[key], run.segments[key].seconds) for key in plan.by_key if key in run.segments])
    if speed is None or not num_done:
        return None
    missing = [segment for segment in plan.by_key.values() if segment.key not in run.segments]
    spared = {s.key: s.flops * num_done.get(s.key, 0) / s.steps for s in missing}
    work = sum(segment.flops - spared[segment.key] for segment in missing)
    longest = max(plan.chain[segment.key][1] - spared[segment.key] for segment in missing)
    return max(work / len(num_done), longest) / speed


def _flops_per_s(made: Sequence[tuple[Segment, float | None]]) -> float | None:
    speeds = [segment.flops / seconds for segment, seconds in made if seconds]
    return median(speeds) if speeds else None
