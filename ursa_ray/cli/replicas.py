"""What makes things: replicas as a command asks for them, and who is told how they get on."""

import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Any

from ursa_ray.cli.options import (
    ADDRESS,
    Accelerators,
    Address,
    AttentionChoice,
    Compile,
    DeviceChoice,
    DevicesPerReplica,
    DrawsChoice,
    DtypeChoice,
    InsecureCluster,
    LeastReplicas,
    LogFormat,
    MostReplicas,
    ParallelChoice,
    PreviewSteps,
    Threads,
    require_lasting,
    require_limits,
    require_preview_steps,
)
from ursa_ray.cli.output import note, write_notes_with
from ursa_ray.errors import OptionError

if TYPE_CHECKING:
    from ursa_ray.console import Bars, Lines
    from ursa_ray.exchange import WorkerOptions
    from ursa_ray.executor import Executor
    from ursa_ray.json_log import JsonLog
    from ursa_ray.listener import Listener
    from ursa_ray.plan import Plan

# Ray tells the driver of a job so.
IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"


@dataclass(frozen=True)
class Replicas:
    """The options about them; each field is one of the command line.

    Raises:
        OptionError: they contradict each other.
    """

    replicas: MostReplicas = None
    min_replicas: LeastReplicas = 0
    accelerator: Accelerators = None
    address: Address = None
    device: DeviceChoice = None
    threads: Threads = 1
    devices_per_replica: DevicesPerReplica = 1
    parallel: ParallelChoice = None
    dtype: DtypeChoice = None
    attention: AttentionChoice = None
    draws: DrawsChoice = None
    compile: Compile = False
    preview: PreviewSteps = None
    insecure_cluster: InsecureCluster = False

    def __post_init__(self) -> None:
        require_limits(self.min_replicas, self.replicas)

    def executor(self, plan: "Plan", run: str) -> "Executor":
        """They, for a plan and the run that it is rendered in; one replica on this machine needs no cluster.

        Raises:
            OptionError: there can be none such, or none for this plan.
        """
        import torch

        from ursa_ray.executor import InProcessExecutor
        from ursa_ray.schedule import Limits
        from ursa_ray.work import require_devices

        if self.address is not None and self.address == os.environ.get(ADDRESS):
            note(f"{ADDRESS} is set: this is made on the Ray cluster at {self.address}")
        worker = self._worker(plan, run)
        if self.address is None:
            require_devices(worker)
        num_gpus = 0 if worker.device == "cpu" else torch.cuda.device_count()
        num_replicas = max(self.replicas or num_gpus // worker.num_devices, self.min_replicas)
        if self.address is None and num_replicas <= 1:
            if self.accelerator:
                raise OptionError(
                    "--accelerator chooses among the GPUs of a cluster. Give its --address, or leave it out."
                )
            return InProcessExecutor(worker)
        from ursa_ray.cluster.private import keep_private

        if self.address is None:
            keep_private()
        from ursa_ray.cluster.executor import RayExecutor, RayOptions

        limits = Limits(self.min_replicas, self.replicas)
        options = RayOptions(limits, self.address, self.insecure_cluster, tuple(self.accelerator or ()))
        return RayExecutor(worker, options)

    def words(self) -> Iterator[str]:
        """Those that were given, as a command line has them."""
        for option in fields(self):
            name, value = f"--{option.name.replace('_', '-')}", getattr(self, option.name)
            if value is True:
                yield name
            elif value != option.default:
                yield from (f"{name}={each}" for each in (value if isinstance(value, list) else [value]))

    def _worker(self, plan: "Plan", run: str) -> "WorkerOptions":
        from ursa_ray.exchange import WorkerOptions
        from ursa_ray.ledger import open_store

        require_preview_steps(self.preview or (), plan)
        return WorkerOptions(
            plan.model,
            plan.weights_sha256,
            open_store(run).anywhere,
            device=_value(self.device),
            num_threads=self.threads,
            num_devices=self.devices_per_replica,
            parallel=_value(self.parallel),
            dtype=_value(self.dtype),
            attention=_value(self.attention),
            draws=_value(self.draws),
            compile=self.compile or None,
            preview_steps=tuple(self.preview or ()),
        )


def _value(choice: StrEnum | None) -> Any:
    """Of a choice the word itself, as those want it who do not know the command line."""
    return None if choice is None else choice.value


def takes_replicas(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Replicas`, in the place of its parameter `replicas`, which takes them all."""
    options = [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
        for each in fields(Replicas)
    ]
    own = inspect.signature(command).parameters

    @wraps(command)
    def called(**given: Any) -> None:
        asked = Replicas(**{option.name: given.pop(option.name) for option in options})
        command(**given, replicas=asked)

    names = list(own)
    place = names.index("replicas")
    kept = [own[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in names]
    signature = inspect.Signature([*kept[:place], *options, *kept[place + 1 :]])
    called.__signature__ = signature  # pyright: ignore[reportAttributeAccessIssue] - where inspect looks first
    return called


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
