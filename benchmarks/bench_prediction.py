"""Is a render as long as the simulator says: a real director and run, and replicas that sleep.

    python benchmarks/bench_prediction.py --on ray --replicas 4 --seconds 4 --out benchmarks/results/DATE-schedule

What is predicted knows how long each segment sleeps and how long replicas take to start (threads: as told; Ray: as
measured in the same render); so what is measured is whether the simulator decides as the director does, and what the
director itself takes, with Ray or without.
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
from sleeping import Sleeper, ThreadExecutor, sleeping_replica

from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.director import Director
from ursa_ray.exchange import WorkerOptions
from ursa_ray.executor import Executor
from ursa_ray.ledger import Run
from ursa_ray.listener import Listener, Load
from ursa_ray.plan import Plan, Segment, plan_storyboard
from ursa_ray.schedule import Device, Dice, Fleet, Limits, Luck, Place, missing_jobs, simulate
from ursa_ray.storyboard import Storyboard

# Segments of each shot of the film, and the shot that it continues.
FILM = [(4, None), (3, 0), (2, 0), (6, None), (1, None), (5, None)]
FILM += [(2, 5), (1, 5), (7, None), (3, None), (2, 8), (4, 9)]
FRAMES, NEW_FRAMES = 17, 12  # of a segment of the built-in model


@dataclass(frozen=True)
class Compared:
    """Seconds from asking for the first replica to the last commit, and who was started when, in order."""

    startup_s: float
    predicted_s: float
    measured_s: float
    predicted_starts: list[str]
    starts: list[str]

    @property
    def error(self) -> float:
        return self.predicted_s / self.measured_s - 1


class Starts(Listener):
    """Who was started, in order, and how long it took until no replica was starting any more."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._began, self.startup_s = monotonic(), None

    def start(self, segment: Segment, place: Place) -> None:
        self.names.append(segment.name)

    def load(self, load: Load) -> None:
        if self.startup_s is None and self.names and not load.num_starting:
            self.startup_s = monotonic() - self._began


# An executor for this worker, with so many replicas that take so long to start and make a segment in so many seconds.
Build = Callable[[WorkerOptions, int, float, Callable[[Segment], float]], Executor]


def threads(
    worker: WorkerOptions, num: int, startup_s: float, seconds_of: Callable[[Segment], float]
) -> ThreadExecutor:
    return ThreadExecutor(Sleeper(worker, seconds_of), Limits(num, num), startup_s)


def actors(worker: WorkerOptions, num: int, startup_s: float, seconds_of: Callable[[Segment], float]) -> Executor:
    """They start in their own time."""
    from ursa_ray.cluster.private import keep_private

    keep_private()
    from ursa_ray.cluster.executor import RayExecutor, RayOptions

    return RayExecutor(worker, RayOptions(Limits(num, num)), sleeping_replica(seconds_of))


def compare(
    plan: Plan, num: int, seconds: float, startup_s: float | None, luck: Luck, build: Build = threads
) -> Compared:
    """`seconds` for a segment of mean cost, more or less as `luck` has it; without `startup_s` it is measured."""
    speed = plan.flops / plan.num_segments / seconds

    def seconds_of(segment: Segment) -> float:
        return segment.flops / speed * luck.slowness(segment.key, 0)

    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(str(Path(folder) / "run"))
        worker = WorkerOptions(plan.model, plan.weights_sha256, run.store.anywhere, "cpu")
        with run.locked(), build(worker, num, startup_s or 0.0, seconds_of) as executor:
            run.begin(plan)
            told = Starts()
            began = monotonic()
            Director(plan, run, executor, told).make_segments()
            took = monotonic() - began
    if startup_s is None:
        startup_s = told.startup_s
    assert startup_s is not None
    fleet = Fleet((Device("sleep", speed),) * num, startup_s, floor=num)
    simulated = simulate(missing_jobs(plan), fleet, luck)
    begun = sorted(simulated.spans, key=lambda span: (span.began, span.place.replica))
    return Compared(startup_s, simulated.makespan_s, took, [plan.by_key[span.key].name for span in begun], told.names)


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
    parser.add_argument("--on", choices=["ray", "threads"], default="threads")
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--startup", type=float, default=3.0)
    parser.add_argument("--noise", type=float, default=0.2)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    where = machine()
    startup_s, build = (asked.startup, threads) if asked.on == "threads" else (None, actors)
    found = compare(film(), asked.replicas, asked.seconds, startup_s, Dice(1, asked.noise), build)
    asked.out.mkdir(parents=True, exist_ok=True)
    result = {
        "machine": where,
        "replicas": f"{asked.replicas} {'actors of a Ray cluster' if asked.on == 'ray' else 'threads'} that sleep",
        "num_segments": len(found.starts),
        "seconds_a_segment": asked.seconds,
        "startup_s": found.startup_s,
        "noise": asked.noise,
        "predicted_s": found.predicted_s,
        "measured_s": found.measured_s,
        "error": found.error,
        "num_started_in_the_predicted_order": sum(map(eq, found.starts, found.predicted_starts)),
    }
    (asked.out / f"prediction-{asked.on}.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
