"""What a segment costs the driver of a cluster: CPU time and bytes received, with replicas that compute nothing.

    python benchmarks/bench_driver.py --shots 2000 --commits 1000 --replicas 4 --steps 6 --out FILE

Real are the director, its executor, Ray, and the run with its ledger on this disk. The replicas hand back random codes
of the shape that the released model of 512x320 has, and an empty file for the frames. All shots are ready at once, so
that at least `shots - commits` segments are pending throughout; the first 100 commits are not counted.
A replica tells of its first step and then of one every 10 s: 6 for a segment of a minute.

CPU time is of the whole process, Ray's threads included, and of the thread that decides; it is counted from commit to
commit. In the end it is measured what it takes to find out which of 1000 replicas has news, whenever one or more have.
"""

import argparse
import hashlib
import json
import os
import pickle
import platform
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter, process_time, sleep, thread_time
from typing import Any

import numpy as np

from ursa_ray.cluster.private import keep_private

keep_private()

import ray  # noqa: E402

from ursa_ray.cluster.executor import RayExecutor, RayOptions  # noqa: E402
from ursa_ray.cluster.replica import Loaded  # noqa: E402
from ursa_ray.director import Director  # noqa: E402
from ursa_ray.exchange import Done, Request, Step  # noqa: E402
from ursa_ray.ledger import Run, open_store  # noqa: E402
from ursa_ray.listener import Listener  # noqa: E402
from ursa_ray.plan import Plan, Segment  # noqa: E402
from ursa_ray.prepare import prepare  # noqa: E402
from ursa_ray.schedule import Limits, Place  # noqa: E402
from ursa_ray.work import WorkerOptions  # noqa: E402

MODEL = "BAAI/URSA-1.7B-FSQ320"
CODES_SHAPE, NUM_CODES = (13, 40, 64), 64_000
NUM_NOT_COUNTED = 100


class Idler:
    """A replica that makes nothing."""

    def __init__(self, options: WorkerOptions):
        self._store, self._num_steps = open_store(options.run), int(os.environ["BENCH_STEPS"])

    def load(self) -> Loaded:
        return Loaded(ray.get_runtime_context().get_node_id(), "none", ("", ""))

    def run(self, request: Request) -> Iterator[Step | Done]:
        key = request.segment.key
        for done in range(self._num_steps):
            yield Step(key, done, request.segment.steps)
        rng = np.random.default_rng(int(key[:8], 16))
        codes = rng.integers(NUM_CODES, size=CODES_SHAPE, dtype=np.uint16)
        sha256 = hashlib.sha256(key.encode()).hexdigest()
        with self._store.writing("media") as folder:
            (folder / f"{sha256}.mkv").touch()
        yield Done(key, codes, sha256, "none", "none", 1, 1.0)


class Enough(Exception):  # noqa: N818
    pass


class Meter(Listener):
    """CPU seconds (of the process, of this thread) and wall seconds at every commit; ends after `num_commits`."""

    def __init__(self, num_commits: int):
        self.num_commits, self.marks = num_commits, list[tuple[float, float, float]]()

    def finish(self, segment: Segment, place: Place, seconds: float) -> None:
        self.marks.append((process_time(), thread_time(), perf_counter()))
        if len(self.marks) == self.num_commits:
            raise Enough

    def ms_per_segment(self, start: int, stop: int) -> dict[str, float]:
        spent = np.subtract(self.marks[stop - 1], self.marks[start - 1]) / (stop - start) * 1000
        return dict(zip(("process", "thread", "wall"), spent.round(3).tolist(), strict=True))


class Spent:
    """CPU seconds of this thread in some functions."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def time(self, owner: Any, name: str) -> None:
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            began = thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[name] += thread_time() - began

        setattr(owner, name, timed)


def plan_of(folder: Path, num_shots: int) -> Plan:
    shots = [f"  - {{id: s{n}, prompt: take {n}, frames: 49}}" for n in range(num_shots)]
    board = folder / "film.yaml"
    board.write_text("\n".join(["version: 1", f"model: {MODEL}", "shots:", *shots, ""]))
    return prepare(board).plan


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    plan, run, meter, spent = (
        plan_of(folder, options.shots),
        Run.create(folder / "run"),
        Meter(options.commits),
        Spent(),
    )
    worker = WorkerOptions(MODEL, plan.weights_sha256, run.store.anywhere, device="cpu")
    with run.locked(), RayExecutor(worker, RayOptions(Limits(0, options.replicas)), Idler) as executor:
        run.begin(plan)
        director = Director(plan, run, executor, meter)
        for name in ("scale", "submit", "next_event"):
            spent.time(executor, name)
        spent.time(run, "commit")
        began = thread_time()
        with suppress(Enough):
            director.make_segments()
        spent.seconds["all"] = thread_time() - began
        done = Done("", np.zeros(CODES_SHAPE, np.uint16), 64 * "0", "none", "none", 1, 1.0)
        result = {
            "ms_per_segment": meter.ms_per_segment(NUM_NOT_COUNTED, options.commits),
            "first_half": meter.ms_per_segment(NUM_NOT_COUNTED, options.commits // 2),
            "second_half": meter.ms_per_segment(options.commits // 2, options.commits),
            "thread_ms_by_function": {n: round(s / options.commits * 1000, 3) for n, s in spent.seconds.most_common()},
            "num_pending": plan.num_segments - options.commits,
            "bytes_of_a_finished_segment": len(pickle.dumps(done, protocol=5)),
            "bytes_of_a_step": len(pickle.dumps(Step(64 * "0", 1, 50), protocol=5)),
            "ms_to_listen_to_1000_replicas": ms_to_listen(1000),
        }
    return result


@ray.remote(num_cpus=0)
class Talker:
    def talk(self, num: int) -> Iterator[int]:
        yield from (number for number in range(num))  # Ray takes generators alone

    def be_silent(self) -> Iterator[int]:
        sleep(3600)
        yield 0


def ms_to_listen(num_streams: int) -> float:
    """CPU milliseconds of this thread to ask so many streams for news."""
    silent = [Talker.remote() for _ in range(4)]
    streams = [silent[n % 4].be_silent.options(num_returns="streaming").remote() for n in range(num_streams)]
    talking = Talker.remote().talk.options(num_returns="streaming").remote(200)
    next(talking)
    began = thread_time()
    for _ in range(100):
        ray.wait([*streams, talking], num_returns=1, timeout=10)
        ray.get(next(talking))
    return round((thread_time() - began) * 10, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (
        ("shots", 2000),
        ("commits", 1000),
        ("replicas", 4),
        ("steps", 6),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ["BENCH_STEPS"] = str(options.steps)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options)
    about = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "ray": ray.__version__,
    }
    text = json.dumps(about | {"options": {k: v for k, v in vars(options).items() if k != "out"}} | result, indent=1)
    if options.out is not None:
        options.out.write_text(text + "\n")
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
