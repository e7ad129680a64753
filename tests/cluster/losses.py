"""`python -m tests.cluster.losses ADDRESS FOLDER`: what an executor on three nodes reports of what is killed.

Its replicas lose one of them to SIGKILL, then a node, then use no longer a node that is blocked.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.storyboards import TWO_CHAINS, write
from ursa_ray.cluster.executor import RayExecutor, RayOptions
from ursa_ray.exchange import Request, Step, WorkerOptions
from ursa_ray.executor import Failed
from ursa_ray.ledger import Run
from ursa_ray.prepare import prepare
from ursa_ray.schedule import Demand, Limits


def worker_and_raylet() -> tuple[int, int]:
    """The replica that makes a segment, and its parent."""
    found = subprocess.run(["ps", "-ewwo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    ((pid, ppid),) = [line.split()[:2] for line in found.stdout.splitlines() if "ray::Replica.run" in line]
    return int(pid), int(ppid)


def until(executor, kind):
    while True:
        happened = executor.next_event(5)
        if happened is not None and isinstance(happened[1], kind):
            return happened[1]


def wait_for_idle(executor, num):
    while executor.num_idle < num:
        executor.scale(Demand(2, 2))
        executor.next_event(5)


def main(address: str, folder: Path) -> None:
    plan = prepare(write(folder, TWO_CHAINS.replace("steps: 4", "steps: 900"))).plan
    options = WorkerOptions("tiny", plan.weights_sha256, Run.create(folder / "run").store.anywhere, device="cpu")
    request, reported, replicas = Request(plan.segments[0], plan.fps), {}, set()
    with RayExecutor(options, RayOptions(Limits(0, 2), address)) as executor:
        assert executor.num_nodes == 3
        for number, kind in enumerate(("replica", "raylet")):
            wait_for_idle(executor, 1)
            place = executor.submit(request)
            assert place.replica not in replicas
            replicas.add(place.replica)
            until(executor, Step)
            os.kill(worker_and_raylet()[number], signal.SIGKILL)
            reported[kind] = type(until(executor, Failed).error).__name__
        wait_for_idle(executor, 2)
        blocked = executor._pool.idle[0].place.node
        executor.block(blocked)
        reported["nodes"] = executor.num_nodes
        reported["on blocked"] = sum(replica.place.node == blocked for replica in executor._pool.idle)
    print(json.dumps(reported))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
