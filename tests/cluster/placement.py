"""`python -m tests.cluster.placement ADDRESS BOARD RUN`: renders on GPUs of the kind H100 alone.

The GPUs are only said to be there, so its replicas compute on the CPU; a last line says on which nodes they were.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from ursa_ray.cluster.executor import RayExecutor, RayOptions
from ursa_ray.cluster.replica import Replica
from ursa_ray.exchange import WorkerOptions
from ursa_ray.ledger import Run
from ursa_ray.listener import Listener
from ursa_ray.prepare import prepare
from ursa_ray.render import render
from ursa_ray.schedule import Limits


class OnCpu(Replica):
    def __init__(self, options):
        super().__init__(replace(options, device="cpu"))


class Nodes(Listener):
    def __init__(self):
        self.ids = set()

    def start(self, segment, place):
        self.ids.add(place.node)


def main(address: str, board: Path, folder: str) -> None:
    plan, run, nodes = prepare(board).plan, Run.create(folder), Nodes()
    worker = WorkerOptions("tiny", plan.weights_sha256, run.store.anywhere, device="cuda")
    render(plan, run, RayExecutor(worker, RayOptions(Limits(0, 3), address, accelerators=("H100",)), OnCpu), nodes)
    print(json.dumps(sorted(nodes.ids)))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
