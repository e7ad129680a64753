"""How near the schedule comes to what no schedule can beat, how quick the simulator is, and how quick a plan is made.

    python benchmarks/bench_schedule.py --out benchmarks/results/DATE-schedule

Makespans are compared with max(critical path, work / N), the goal's bound, and with a bound that is nearer to what can
be had: for segments of equal cost in whole segments, and else as `ursa_ray/schedule/bounds.py` says. Replicas are up
when the clock starts. In the tables with noise the seconds of a segment are lognormal with a standard deviation of
20 %, and 1 % of the replicas that there are, at least one, are lost at times drawn evenly from the bound and replaced
after 60 s; the bounds are those of the seconds that were drawn, which the schedule does not know.
"""

import argparse
import json
import math
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import median
from time import process_time

import boards
from checkout import commit

from ursa_ray.forecast import num_chains
from ursa_ray.plan.cost import H200_FLOPS_PER_S
from ursa_ray.schedule import Device, Dice, Fleet, Job, Luck, simulate
from ursa_ray.schedule.bounds import least_makespan, work_left
from ursa_ray.schedule.fleet import STARTUP_S

SHOTS = (20, 50, 100, 300, 1000, 3000, 10_000)
REPLICAS = (1, 2, 3, 4, 6, 7, 8, 12, 16, 24, 32, 48, 64, 100, 150, 250, 500, 1000)
NUM_SEEDS = {3000: 2, 10_000: 1}  # of the others 3
NOISE, LOST_SHARE = 0.2, 0.01


@dataclass(frozen=True)
class Kind:
    """Storyboards of a kind in `boards`, made with noise and losses or not."""

    title: str
    board: str
    is_noisy: bool = False

    @property
    def goal(self) -> float:
        return 1.05 if self.is_noisy else 1.02


KINDS = {
    "equal": Kind("Shots of 1 to 20 segments of equal cost, a third of them continued", "equal"),
    "mixed": Kind("As the first, a fifth of the shots cheaper", "mixed"),
    "cuts": Kind("Shots of 1 to 3 segments of equal cost, none continued", "cuts"),
    "noisy": Kind("A fifth of the shots cheaper, 20 % noise, 1 % of the replicas lost", "mixed", True),
    "noisy cuts": Kind("Shots of 1 to 3 segments, none continued, 20 % noise, 1 % of the replicas lost", "cuts", True),
}


@dataclass(frozen=True)
class Cell:
    """A render in seconds from when the first replicas are up; `ratio` to the goal's bound, `nearer` to the other."""

    kind: str
    num_shots: int
    num_replicas: int
    seed: int
    num_segments: int
    makespan_s: float
    critical_path_s: float
    work_s: float
    ratio: float
    nearer: float
    num_lost: int
    num_again: int
    simulated_in_s: float


@dataclass(frozen=True)
class Losing(Dice):
    """Dice, and replicas that are lost at given times after they were asked for."""

    lost_after_s: tuple[tuple[int, float], ...] = ()

    def lifetime_s(self, replica: int) -> float:
        return dict(self.lost_after_s).get(replica, math.inf)


def cells(shots: Iterable[int] = SHOTS, replicas: Iterable[int] = REPLICAS) -> Iterator[Cell]:
    for num_shots in shots:
        for kind in KINDS:
            for seed in range(NUM_SEEDS.get(num_shots, 3)):
                jobs = in_seconds(boards.jobs(num_shots, seed, KINDS[kind].board))
                for num in replicas:
                    yield cell(kind, num_shots, seed, jobs, num)


def in_seconds(jobs: list[Job]) -> list[Job]:
    return [replace(j, cost=j.cost / H200_FLOPS_PER_S, remaining=j.remaining / H200_FLOPS_PER_S) for j in jobs]


def cell(kind: str, num_shots: int, seed: int, jobs: list[Job], num: int) -> Cell:
    is_noisy = KINDS[kind].is_noisy
    dice = Dice(seed, noise=NOISE if is_noisy else 0.0)
    drawn = [replace(job, cost=job.cost * dice.slowness(job.key, 0)) for job in jobs]
    path, work = work_path(drawn), sum(job.cost for job in drawn)
    bound = max(path, work / num)
    luck = losing(seed, min(num, num_chains(jobs)), bound) if is_noisy else Luck()
    began = process_time()
    simulated = simulate(jobs, Fleet((Device("h200", 1.0),) * num, STARTUP_S, floor=num), luck)
    took = process_time() - began
    makespan = simulated.makespan_s - STARTUP_S
    nearer = whole(drawn, num) if len({job.cost for job in drawn}) == 1 else least_makespan(drawn, num)
    assert not simulated.given_up and makespan > nearer * (1 - 1e-9), (kind, num_shots, num, seed)
    return Cell(
        kind,
        num_shots,
        num,
        seed,
        len(jobs),
        makespan,
        path,
        work,
        makespan / bound,
        makespan / nearer,
        simulated.num_lost,
        simulated.num_again,
        took,
    )


def losing(seed: int, num: int, bound: float) -> Losing:
    random = Random(f"{seed}/{num}")
    lost = random.sample(range(num), max(1, round(num * LOST_SHARE)))
    return Losing(seed, NOISE, lost_after_s=tuple((n, STARTUP_S + random.uniform(0, bound)) for n in lost))


def work_path(jobs: list[Job]) -> float:
    return max(time for time, _ in work_left(jobs))


def whole(jobs: list[Job], num: int) -> float:
    """The shortest makespan of segments that all take equally long: see `bounds`."""
    each = jobs[0].cost
    return each * max(round(time / each) + math.ceil(work / each / num - 1e-6) for time, work in work_left(jobs))


def table(found: list[Cell], kind: str) -> list[str]:
    """The worst of the seeds for each number of shots and of replicas."""
    lines = [f"{'shots':>6} {'segments':>8}" + "".join(f"{num:>7}" for num in REPLICAS)]
    for num_shots in SHOTS:
        row = [each for each in found if (each.kind, each.num_shots) == (kind, num_shots)]
        worst = [max(each.ratio for each in row if each.num_replicas == num) for num in REPLICAS]
        lines.append(
            f"{num_shots:>6} {median(each.num_segments for each in row):>8.0f}"
            + "".join(f"{ratio:>7.4f}" for ratio in worst)
        )
    return lines


def misses(found: list[Cell], kind: str) -> list[str]:
    of_kind, goal = [each for each in found if each.kind == kind], KINDS[kind].goal
    missed = [each for each in of_kind if each.ratio > goal]
    best = sum(each.nearer <= 1 + 1e-9 for each in of_kind)
    of_nearer = [each.nearer for each in of_kind]
    lines = [
        f"{len(of_kind) - len(missed)} of {len(of_kind)} renders are within {goal}. {best} are as short as any can be; "
        f"the farthest from what is known of that takes {max(of_nearer):.4f} of it.",
        *(["Not within it, and the least that any schedule takes:"] if missed else []),
    ]
    lines += [
        f"  {each.num_shots} shots (seed {each.seed}, {each.num_segments} segments) on {each.num_replicas}: "
        f"{each.ratio:.4f}, at least {each.ratio / each.nearer:.4f}"
        for each in missed
    ]
    return lines


def planning() -> list[str]:
    lines = []
    for num_shots in (1000, 10_000, 100_000):
        board = boards.storyboard(num_shots)
        took, num_segments = [], 0
        for _ in range(3):
            began = process_time()
            planned = boards.plan(board)
            took.append(process_time() - began)
            num_segments = planned.num_segments
            del planned
        lines.append(
            f"{num_shots:>7,} shots, {num_segments:>8,} segments: {median(took):6.2f} s, "
            f"{median(took) / num_shots * 1e6:.0f} us a shot, {median(took) / num_segments * 1e6:.1f} us a segment"
        )
    return lines


def machine() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = names[0].partition(": ")[2] if names else platform.machine()
    return f"{len(names)} x {cpu}, Python {platform.python_version()}, commit {commit(Path(__file__).parent)}"


def text(found: list[Cell], plans: list[str], where: str) -> str:
    slowest = max(found, key=lambda each: each.simulated_in_s)
    parts = ["python benchmarks/bench_schedule.py --out DIR", where, ""]
    parts.append("Makespan / max(critical path, work / N), the worst of the seeds, by shots and number of replicas.")
    for kind in KINDS:
        parts += ["", KINDS[kind].title, "", *table(found, kind), "", *misses(found, kind)]
    parts += [
        "",
        f"Slowest simulation: {slowest.num_shots:,} shots, {slowest.num_segments:,} segments on "
        f"{slowest.num_replicas} replicas ({slowest.kind}) in {slowest.simulated_in_s:.1f} s of process time.",
        "",
        "Planning, process time, median of 3; the storyboard is checked by the schema but not read from YAML:",
        *plans,
    ]
    return "\n".join(parts) + "\n"


def rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    where, plans = machine(), planning()
    found = list(cells())
    columns = {name: [rounded(getattr(each, name)) for each in found] for name in Cell.__dataclass_fields__}
    (out / "cells.json").write_text(json.dumps(columns) + "\n")
    (out / "schedule.txt").write_text(text(found, plans, where))


if __name__ == "__main__":
    main()
