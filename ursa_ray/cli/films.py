"""`plan` and `render`: from a storyboard to a film."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ursa_ray.cli.app import app
from ursa_ray.cli.options import AsJson, Device, StoryboardPath
from ursa_ray.cli.output import say, say_json, warn
from ursa_ray.errors import LedgerError, OptionError

if TYPE_CHECKING:
    from ursa_ray.executor import Executor
    from ursa_ray.forecast import Question
    from ursa_ray.ledger import Run
    from ursa_ray.plan import Plan
    from ursa_ray.work import WorkerOptions

RUN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

Retake = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SHOT[:SEGMENT]",
        help="Make a part again with another seed: a shot, or one segment of it, counted from 0, "
        "and what is conditioned on it. May be given several times.",
        show_default=False,
    ),
]


@app.command()
def plan(
    storyboard: StoryboardPath,
    run: Annotated[
        str | None, typer.Option(help="Show also what this run has of it, what is new, and why.", show_default=False)
    ] = None,
    retake: Retake = None,
    gpus: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Predict how long it takes on so many GPUs.", show_default=False),
    ] = None,
    deadline: Annotated[
        str | None, typer.Option(help="Say how many GPUs it takes: 30m, 2h 30min.", show_default=False)
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="Kind of GPU: h200, h100, a100, l40s.", show_default="h200")] = None,
    price: Annotated[
        float | None, typer.Option(min=0, help="Of an hour of one GPU, in any currency.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the shots, segments, frames and work of a film without making it, and how long that would take."""
    from ursa_ray.forecast import predict
    from ursa_ray.ledger import Run
    from ursa_ray.outlook import prediction_summary, prediction_text
    from ursa_ray.plan import difference
    from ursa_ray.prepare import prepare
    from ursa_ray.summary import difference_summary, difference_text, plan_summary, plan_text

    asked = _question(gpus, deadline, gpu, price)
    prepared = prepare(storyboard)
    found = None if run is None else Run.find(run)
    planned = _with_takes(prepared.plan, found, retake)
    warn(prepared.warnings)
    say(plan_text(planned))
    summary = plan_summary(planned)
    if run is not None:
        if prepared.checkpoint.folder is None:
            warn([f"{planned.model} is not on this machine: without its weights nothing is known to be kept."])
        before, committed = (None, set()) if found is None else (found.plan(), found.segments.keys())
        new = difference(planned, before, committed)
        say(difference_text(run, found is not None, new))
        summary["difference"] = difference_summary(run, found is not None, new)
    if asked is not None:
        predicted = predict(planned, () if found is None else found.segments.keys(), asked)
        say(prediction_text(predicted))
        summary["prediction"] = prediction_summary(predicted)
    if as_json:
        say_json(summary)


@app.command()
def render(
    storyboard: StoryboardPath,
    run: Annotated[
        str | None,
        typer.Option(help="Folder or s3://bucket/prefix of the render.", show_default="renders/<storyboard's name>"),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(min=1, help="Models that work side by side.", show_default="one on each GPU, or one"),
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
    as_json: AsJson = False,
) -> None:
    """Make the film, or go on making it: what is committed in the run is never generated again."""
    from ursa_ray.console import listener
    from ursa_ray.ledger import Run, open_store
    from ursa_ray.model import check_weights
    from ursa_ray.prepare import prepare
    from ursa_ray.render import render as make
    from ursa_ray.summary import render_summary
    from ursa_ray.work import WorkerOptions

    url = run if run is not None else f"renders/{_run_name(storyboard)}"
    prepared = prepare(storyboard, fetch=True)
    found = Run.find(url)
    planned = _with_takes(prepared.plan, found, retake)
    warn(prepared.warnings)
    worker = WorkerOptions(
        prepared.checkpoint.name,
        planned.weights_sha256,
        open_store(url).anywhere,
        None if device is None else device.value,
        threads,
    )
    executor = _executor(worker, replicas, address, insecure_cluster)
    check_weights(prepared.checkpoint)
    opened = found or Run.create(url)
    if not retake:
        warn(_replaced(opened, planned))
    with listener() as told:
        rendered = make(planned, opened, executor, told)
    say(f"{rendered.film}: {rendered.num_frames} frames, {planned.seconds:.1f} s")
    if as_json:
        say_json(render_summary(rendered))


def _question(gpus: int | None, deadline: str | None, gpu: str | None, price: float | None) -> "Question | None":
    from ursa_ray.forecast import Gpu, Question
    from ursa_ray.storyboard.durations import parse_time_limit

    if gpus is None and deadline is None:
        if gpu is not None or price is not None:
            raise OptionError("--gpu and --price say what is used; give also --gpus, how many of it, or a --deadline.")
        return None
    try:
        deadline_s = None if deadline is None else float(parse_time_limit(deadline))
    except ValueError as error:
        raise OptionError(f"--deadline {deadline}: {error}.") from None
    return Question(Gpu(gpu or "h200", price), gpus, deadline_s)


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


def _executor(worker: "WorkerOptions", replicas: int | None, address: str | None, insecure: bool) -> "Executor":
    """One replica on this machine needs no cluster."""
    import torch

    from ursa_ray.executor import InProcessExecutor

    num_gpus = 0 if worker.device == "cpu" else torch.cuda.device_count()
    if address is None and (replicas or num_gpus) <= 1:
        return InProcessExecutor(worker)
    from ursa_ray.cluster.private import keep_private

    if address is None:
        keep_private()
    from ursa_ray.cluster.executor import RayExecutor, RayOptions

    return RayExecutor(worker, RayOptions(replicas, address, insecure))


def _with_takes(plan: "Plan", run: "Run | None", retake: list[str] | None) -> "Plan":
    """The plan with what was taken again in a run, and with what shall be."""
    from ursa_ray.plan import take_again, with_takes

    if retake and (run is None or run.plan_sha256 is None):
        raise OptionError(
            "--retake: nothing is rendered yet that could be made again. Give the --run that it is in, or leave it out."
        )
    return with_takes(plan, take_again(plan, {} if run is None else run.takes, retake or ()))


def _replaced(run: "Run", plan: "Plan") -> list[str]:
    """A warning if this run's folder holds a film of something else, which the new one replaces."""
    try:
        before = run.plan()
    except LedgerError:
        return []  # its file is lost or damaged: if it is the same plan, it is written anew
    if before is None or {segment.key for segment in before.segments} & {segment.key for segment in plan.segments}:
        return []
    return [f"{run.url}: {before.title or 'another film'} was rendered here before; its film is replaced."]
