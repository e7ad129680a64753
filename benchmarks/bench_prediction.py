"""Is a render as long as the simulator says: a real director and run, and replicas that sleep.

    python benchmarks/bench_prediction.py --replicas 4 --seconds 2 --out benchmarks/results/DATE-schedule

What is predicted knows how long each segment sleeps and how long a replica takes to start; so what is measured is
whether the simulator decides as the director does, and what the director itself takes.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import eq
from pathlib import Path
from time import monotonic

from bench_schedule import machine
from sleeping import Sleeper, ThreadExecutor

from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.director import Director
from ursa_ray.executor import Executor
from ursa_ray.forecast import missing_jobs
from ursa_ray.ledger import Run
from ursa_ray.listener import Listener
from ursa_ray.plan import Plan, Segment, plan_storyboard
from ursa_ray.schedule import Device, Dice, Fleet, Limits, Luck, Place, simulate
from ursa_ray.storyboard import Storyboard
from ursa_ray.work import WorkerOptions

# Segments of each shot of the film, and the shot that it continues.
FILM = [(4, None), (3, 0), (2, 0), (6, None), (1, None), (5, None)]
FILM += [(2, 5), (1, 5), (7, None), (3, None), (2, 8), (4, 9)]
FRAMES, NEW_FRAMES = 17, 12  # of a segment of the built-in model


@dataclass(frozen=True)
class Compared:
    """Seconds from asking for the first replica to the last commit, and who was started when, in order."""

    predicted_s: float
    measured_s: float
    predicted_starts: list[str]
    starts: list[str]

    @property
    def error(self) -> float:
        return self.predicted_s / self.measured_s - 1


class Starts(Listener):
    def __init__(self) -> None:
        self.names: list[str] = []

    def start(self, segment: Segment, place: Place) -> None:
        self.names.append(segment.name)


# An executor for this worker, with so many replicas that take so long to start and make a segment in so many seconds.
Build = Callable[[WorkerOptions, int, float, Callable[[Segment], float]], Executor]


def threads(
    worker: WorkerOptions, num: int, startup_s: float, seconds_of: Callable[[Segment], float]
) -> ThreadExecutor:
    return ThreadExecutor(Sleeper(worker, seconds_of), Limits(num, num), startup_s)


def compare(plan: Plan, num: int, seconds: float, startup_s: float, luck: Luck, build: Build = threads) -> Compared:
    """`seconds` for a segment of mean cost, more or less as `luck` has it."""
    speed = plan.flops / plan.num_segments / seconds
    fleet = Fleet((Device("sleep", speed),) * num, startup_s, floor=num)
    simulated = simulate(missing_jobs(plan), fleet, luck)
    begun = sorted(simulated.spans, key=lambda span: (span.began, span.place.replica))

    def seconds_of(segment: Segment) -> float:
        return segment.flops / speed * luck.slowness(segment.key, 0)

    with tempfile.TemporaryDirectory() as folder:
        run, told = Run.create(str(Path(folder) / "run")), Starts()
        worker = WorkerOptions(plan.model, plan.weights_sha256, run.store.anywhere, "cpu")
        with run.locked():
            run.begin(plan)
            began = monotonic()
            with build(worker, num, startup_s, seconds_of) as executor:
                Director(plan, run, executor, told).make_segments()
            took = monotonic() - began
    return Compared(simulated.makespan_s, took, [plan.by_key[span.key].name for span in begun], told.names)


def film(chains: Sequence[tuple[int, int | None]] = FILM, steps: int = 10) -> Plan:
    """Of the built-in model, so that no weights are needed; `chains` are as FILM."""
    shots = []
    for number, (num_segments, parent) in enumerate(chains):
        frames = NEW_FRAMES * num_segments + (FRAMES - NEW_FRAMES if parent is None else 0)
        shot = {"id": f"s{number}", "prompt": "a red square falls", "frames": frames}
        shots.append(shot if parent is None else shot | {"continue": f"s{parent}"})
    raw = {"version": 1, "model": "tiny", "defaults": {"steps": steps}, "shots": tuple(shots)}
    plan = plan_storyboard(Storyboard.model_validate(raw), open_checkpoint("tiny"), {})
    assert plan.num_segments == sum(num for num, _ in chains), plan.num_segments
    return plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--startup", type=float, default=3.0)
    parser.add_argument("--noise", type=float, default=0.2)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    where = machine()
    found = compare(film(), asked.replicas, asked.seconds, asked.startup, Dice(1, asked.noise))
    asked.out.mkdir(parents=True, exist_ok=True)
    result = {
        "machine": where,
        "replicas": f"{asked.replicas} threads that sleep",
        "num_segments": len(found.starts),
        "seconds_a_segment": asked.seconds,
        "startup_s": asked.startup,
        "noise": asked.noise,
        "predicted_s": found.predicted_s,
        "measured_s": found.measured_s,
        "error": found.error,
        "num_started_in_the_predicted_order": sum(map(eq, found.starts, found.predicted_starts)),
    }
    (asked.out / "prediction.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
