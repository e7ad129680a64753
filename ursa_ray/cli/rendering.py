"""`render`: from a storyboard to a film."""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ursa_ray.cli.app import app
from ursa_ray.cli.options import AsJson, Device, Retake, StoryboardPath, require_lasting, require_limits
from ursa_ray.cli.output import say, say_json, warn, write_notes_with
from ursa_ray.cli.planning import with_takes_of
from ursa_ray.errors import LedgerError, OptionError

if TYPE_CHECKING:
    from ursa_ray.console import Bars, Lines
    from ursa_ray.executor import Executor
    from ursa_ray.json_log import JsonLog
    from ursa_ray.ledger import Run
    from ursa_ray.listener import Listener
    from ursa_ray.plan import Plan
    from ursa_ray.schedule import Limits
    from ursa_ray.work import WorkerOptions

# Ray tells the driver of a job so.
IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"


class LogFormat(StrEnum):
    LINES = "lines"
    JSON = "json"


RUN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@app.command()
def render(
    storyboard: StoryboardPath,
    run: Annotated[
        str | None,
        typer.Option(help="Folder or s3://bucket/prefix of the render.", show_default="renders/<storyboard's name>"),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="At most so many models side by side; never more than there is work for.",
            show_default="one on each GPU, or one",
        ),
    ] = None,
    min_replicas: Annotated[
        int, typer.Option(min=0, help="Of a cluster's: keep so many also while there is nothing to do for them.")
    ] = 0,
    accelerator: Annotated[
        list[str] | None,
        typer.Option(
            help="Of a cluster's GPUs only this kind, as Ray labels it, such as H100. May be given several times.",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(envvar="RAY_ADDRESS", help="Ray cluster to render on.", show_default="this machine"),
    ] = None,
    device: Annotated[
        Device | None, typer.Option(help="What a replica runs on.", show_default="cuda where there is a GPU")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads of a replica on a CPU. Another number can give another film.")
    ] = 1,
    retake: Retake = None,
    insecure_cluster: Annotated[
        bool, typer.Option("--insecure-cluster", help="Render also on a remote Ray cluster that asks for no token.")
    ] = False,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            help="How standard error tells of the render: lines, or json with one object a line.",
            show_default="bars on a terminal, else lines",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the film, or go on making it: what is committed in the run is never generated again."""
    from ursa_ray.ledger import Run, open_store
    from ursa_ray.listener import Several
    from ursa_ray.model import check_weights
    from ursa_ray.prepare import prepare
    from ursa_ray.render import render as make
    from ursa_ray.schedule import Limits
    from ursa_ray.summary import render_summary
    from ursa_ray.work import WorkerOptions

    require_limits(min_replicas, replicas)
    url = run if run is not None else f"renders/{_run_name(storyboard)}"
    if IN_A_JOB in os.environ:
        require_lasting(url)
    log = _log(log_format, url)
    prepared = prepare(storyboard, fetch=True)
    found = Run.find(url)
    planned = with_takes_of(prepared.plan, found, retake)
    warn(prepared.warnings)
    worker = WorkerOptions(
        prepared.checkpoint.name,
        planned.weights_sha256,
        open_store(url).anywhere,
        None if device is None else device.value,
        threads,
    )
    executor = _executor(worker, Limits(min_replicas, replicas), tuple(accelerator or ()), address, insecure_cluster)
    check_weights(prepared.checkpoint)
    opened = found or Run.create(url)
    if not retake:
        warn(_replaced(opened, planned))
    with log as told:
        rendered = make(planned, opened, executor, Several(told, *_metrics(executor, url)), prepared.storyboard.text)
    say(f"{rendered.film}: {rendered.num_frames} frames, {planned.seconds:.1f} s")
    if as_json:
        say_json(render_summary(rendered))


def _run_name(storyboard: Path) -> str:
    """The storyboard's name, if a folder of that name is sure to be a new one in `renders`.

    Raises:
        OptionError: it may be another folder here or elsewhere ("..", or two names that differ in case alone).
    """
    if RUN_NAME.fullmatch(storyboard.stem) is None:
        raise OptionError(
            f"{storyboard}: {storyboard.stem!r} cannot name a run, expected 1 to 64 of a-z, 0-9, - and _, the "
            "first a letter or a digit. Rename the storyboard, or say with --run where to render."
        )
    return storyboard.stem


def _executor(
    worker: "WorkerOptions", limits: "Limits", accelerators: tuple[str, ...], address: str | None, insecure: bool
) -> "Executor":
    """One replica on this machine needs no cluster."""
    import torch

    from ursa_ray.executor import InProcessExecutor

    num_gpus = 0 if worker.device == "cpu" else torch.cuda.device_count()
    if address is None and max(limits.ceiling or num_gpus, limits.floor) <= 1:
        if accelerators:
            raise OptionError("--accelerator chooses among the GPUs of a cluster. Give its --address, or leave it out.")
        return InProcessExecutor(worker)
    from ursa_ray.cluster.private import keep_private

    if address is None:
        keep_private()
    from ursa_ray.cluster.executor import RayExecutor, RayOptions

    return RayExecutor(worker, RayOptions(limits, address, insecure, accelerators))


def _log(log_format: LogFormat | None, run: str) -> "Bars | Lines | JsonLog":
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


def _metrics(executor: "Executor", run: str) -> "list[Listener]":
    """Where there is a cluster that exports them."""
    from ursa_ray.executor import InProcessExecutor

    if isinstance(executor, InProcessExecutor):
        return []
    from ursa_ray.cluster.metrics import Metrics
    from ursa_ray.listener import Harmless

    return [Harmless(Metrics(run.rstrip("/").rpartition("/")[2]))]


def _replaced(run: "Run", plan: "Plan") -> list[str]:
    """A warning if this run's folder holds a film of something else, which the new one replaces."""
    try:
        before = run.plan()
    except LedgerError:
        return []  # its file is lost or damaged: if it is the same plan, it is written anew
    if before is None or {segment.key for segment in before.segments} & {segment.key for segment in plan.segments}:
        return []
    return [f"{run.url}: {before.title or 'another film'} was rendered here before; its film is replaced."]
