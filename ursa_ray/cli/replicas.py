"""What makes things: replicas as a command asks for them, and who is told how they get on."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ursa_ray.cli.options import Device, LogFormat, require_lasting, require_limits
from ursa_ray.cli.output import write_notes_with
from ursa_ray.errors import OptionError

if TYPE_CHECKING:
    from ursa_ray.console import Bars, Lines
    from ursa_ray.executor import Executor
    from ursa_ray.json_log import JsonLog
    from ursa_ray.listener import Listener
    from ursa_ray.plan import Plan

# Ray tells the driver of a job so.
IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"


@dataclass(frozen=True)
class Replicas:
    """The options about them, by the names of the command line.

    Raises:
        OptionError: they contradict each other.
    """

    most: int | None
    least: int
    accelerators: tuple[str, ...]
    address: str | None
    device: Device | None
    threads: int
    insecure: bool

    def __post_init__(self) -> None:
        require_limits(self.least, self.most)

    def executor(self, plan: "Plan", run: str) -> "Executor":
        """They, for a plan and the run that it is rendered in; one replica on this machine needs no cluster."""
        import torch

        from ursa_ray.executor import InProcessExecutor
        from ursa_ray.ledger import open_store
        from ursa_ray.schedule import Limits
        from ursa_ray.work import WorkerOptions

        device = None if self.device is None else self.device.value
        worker = WorkerOptions(plan.model, plan.weights_sha256, open_store(run).anywhere, device, self.threads)
        num_gpus = 0 if device == "cpu" else torch.cuda.device_count()
        if self.address is None and max(self.most or num_gpus, self.least) <= 1:
            if self.accelerators:
                raise OptionError(
                    "--accelerator chooses among the GPUs of a cluster. Give its --address, or leave it out."
                )
            return InProcessExecutor(worker)
        from ursa_ray.cluster.private import keep_private

        if self.address is None:
            keep_private()
        from ursa_ray.cluster.executor import RayExecutor, RayOptions

        limits = Limits(self.least, self.most)
        return RayExecutor(worker, RayOptions(limits, self.address, self.insecure, self.accelerators))


def require_lasting_in_a_job(place: str, option: str = "--run") -> None:
    if IN_A_JOB in os.environ:
        require_lasting(place, option)


def log_for(log_format: LogFormat | None, run: str) -> "Bars | Lines | JsonLog":
    from ursa_ray.console import Lines, listener
    from ursa_ray.json_log import JsonLog

    match log_format:
        case None:
            return listener()
        case LogFormat.LINES:
            return Lines()
        case LogFormat.JSON:
            log = JsonLog(run)
            write_notes_with(log.note)
            return log


def metrics_of(executor: "Executor", run: str) -> "list[Listener]":
    """Where there is a cluster that exports them."""
    from ursa_ray.executor import InProcessExecutor

    if isinstance(executor, InProcessExecutor):
        return []
    from ursa_ray.cluster.metrics import Metrics
    from ursa_ray.listener import Harmless

    return [Harmless(Metrics(run.rstrip("/").rpartition("/")[2]))]
