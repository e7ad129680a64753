"""`python -m tests.cluster.doubtful BOARD RUN KIND`: renders with three replicas, of which one is not like the others.

The first that starts is `wrong`, which answers otherwise and makes other segments, or `unsteady`, which answers
differently each time.
"""

import sys
from dataclasses import replace
from pathlib import Path

from ursa_ray.cluster.private import keep_private

keep_private()

from ursa_ray.cluster.executor import RayExecutor, RayOptions  # noqa: E402
from ursa_ray.cluster.replica import Replica  # noqa: E402
from ursa_ray.console import Lines  # noqa: E402
from ursa_ray.ledger import Run  # noqa: E402
from ursa_ray.prepare import prepare  # noqa: E402
from ursa_ray.render import render  # noqa: E402
from ursa_ray.schedule import Limits  # noqa: E402
from ursa_ray.work import Done, WorkerOptions  # noqa: E402


class Wrong(Replica):
    """Only one of a run is: the one that could make the file that says so."""

    def load(self):
        loaded = super().load()
        try:
            Path(self._options.run, "..", "doubtful").touch(exist_ok=False)
        except FileExistsError:
            self._is_wrong = False
            return loaded
        self._is_wrong = True
        return replace(loaded, answers=self.answers(loaded.answers))

    def answers(self, answers):
        return tuple("0" * 64 for _ in answers)

    def run(self, request):
        for event in super().run(request):
            yield replace(event, codes=event.codes ^ 1) if self._is_wrong and isinstance(event, Done) else event


class Unsteady(Wrong):
    def answers(self, answers):
        return (answers[0], *("0" * 64 for _ in answers[1:]))


def main(board: Path, folder: str, kind: type) -> None:
    plan, run = prepare(board).plan, Run.create(folder)
    worker = WorkerOptions("tiny", plan.weights_sha256, run.store.anywhere, device="cpu")
    render(plan, run, RayExecutor(worker, RayOptions(Limits(0, 3)), kind), Lines())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], {"wrong": Wrong, "unsteady": Unsteady}[sys.argv[3]])
