"""`python -m tests.cluster.writing BOARD RUN KIND`: renders with one replica that writes frames as no good one does.

`hanging` hangs in the run's first write, which is given 4 s; `slow` takes half a second for each.
"""

import sys
import time
from pathlib import Path

from ursa_ray.cluster.private import keep_private
from ursa_ray.exchange import WorkerOptions

MAX_WRITING_S, SLOW_S = 4.0, 0.5


def main(board: Path, folder: str, kind: str) -> None:
    keep_private()  # before Ray is imported

    from ursa_ray import director, work, writer
    from ursa_ray.cluster.executor import RayExecutor, RayOptions
    from ursa_ray.cluster.replica import Replica
    from ursa_ray.console import Lines
    from ursa_ray.interrupt import INTERRUPTED, Interruptible
    from ursa_ray.ledger import Run
    from ursa_ray.prepare import prepare
    from ursa_ray.render import render
    from ursa_ray.schedule import Limits, schedule

    class Slow(Replica):
        def load(self):
            self.write = work.write_mezzanine
            work.write_mezzanine = self.write_otherwise
            return super().load()

        def write_otherwise(self, *arguments):
            time.sleep(SLOW_S)
            return self.write(*arguments)

    class Hanging(Slow):
        def load(self):
            writer.MAX_WRITING_S = MAX_WRITING_S
            return super().load()

        def write_otherwise(self, *arguments):
            try:
                Path(self._options.run, "..", "hung").touch(exist_ok=False)
            except FileExistsError:
                return self.write(*arguments)
            time.sleep(3600)

    plan, run = prepare(board).plan, Run.create(folder)
    worker = WorkerOptions("tiny", plan.weights_sha256, run.store.anywhere, device="cpu")
    if kind == "hanging":
        director.MAX_WRITING_S = schedule.MAX_WRITING_S = MAX_WRITING_S
    executor = RayExecutor(worker, RayOptions(Limits(0, 1)), {"hanging": Hanging, "slow": Slow}[kind])
    with Interruptible():
        try:
            render(plan, run, executor, Lines())
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
