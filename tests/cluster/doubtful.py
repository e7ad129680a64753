"""`python -m tests.cluster.doubtful BOARD RUN KIND`: renders with three replicas, of which one is not like the others.

The first that starts is `wrong`, which answers otherwise and makes other segments, or `unsteady`, which answers
differently each time.
"""

import sys
from pathlib import Path

from ursa_ray.cluster.private import keep_private


def main(board: Path, folder: str, kind: str) -> None:
    keep_private()  # before Ray is imported

    from tests.cluster.wrong_replicas import Unsteady, Wrong
    from ursa_ray.cluster.executor import RayExecutor, RayOptions
    from ursa_ray.console import Lines
    from ursa_ray.exchange import WorkerOptions
    from ursa_ray.ledger import Run
    from ursa_ray.prepare import prepare
    from ursa_ray.render import render
    from ursa_ray.schedule import Limits

    plan, run = prepare(board).plan, Run.create(folder)
    worker = WorkerOptions("tiny", plan.weights_sha256, run.store.anywhere, device="cpu")
    kinds = {"wrong": Wrong, "unsteady": Unsteady}
    render(plan, run, RayExecutor(worker, RayOptions(Limits(0, 3)), kinds[kind]), Lines())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
