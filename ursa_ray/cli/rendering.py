"""`render`: from a storyboard to a film."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ursa_ray.cli.app import app
from ursa_ray.cli.options import (
    AsJson,
    LogFormatChoice,
    Retake,
    StoryboardPath,
    Take,
)
from ursa_ray.cli.output import say, say_json, warn
from ursa_ray.cli.planning import with_takes_of
from ursa_ray.cli.replicas import Replicas, log_for, metrics_of, require_lasting_in_a_job, takes_replicas
from ursa_ray.errors import LedgerError, OptionError
from ursa_ray.wording import count_of

if TYPE_CHECKING:
    from ursa_ray.ledger import Run
    from ursa_ray.plan import Plan

RUN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@app.command()
@takes_replicas
def render(
    storyboard: StoryboardPath,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Folder or s3://bucket/prefix of the render.",
            show_default="renders/<storyboard's name>",
        ),
    ] = None,
    retake: Retake = None,
    take: Take = None,
    *,
    replicas: Replicas,
    log_format: LogFormatChoice = None,
    as_json: AsJson = False,
) -> None:
    """Make the film, or go on making it.

    What is committed in the run is never generated again.
    """
    from ursa_ray.ledger import Run
    from ursa_ray.listener import Several
    from ursa_ray.model import check_weights
    from ursa_ray.prepare import prepare
    from ursa_ray.render import render as make
    from ursa_ray.summary import render_summary

    url = run if run is not None else f"renders/{_run_name(storyboard)}"
    require_lasting_in_a_job(url)
    log = log_for(log_format, url)
    prepared = prepare(storyboard, fetch=True)
    found = Run.find(url)
    planned = with_takes_of(prepared.plan, found, retake, take)
    warn(prepared.warnings)
    executor = replicas.executor(planned, url)
    check_weights(prepared.checkpoint)
    opened = found or Run.create(url)
    if not retake and not take:
        warn(_replaced(opened, planned))
    with log as told:
        told_all = Several(told, *metrics_of(executor, url))
        rendered = make(planned, opened, executor, told_all, prepared.storyboard.text)
    say(f"{rendered.film}: {count_of(rendered.num_frames, 'frame')}, {planned.seconds:.1f} s")
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


def _replaced(run: "Run", plan: "Plan") -> list[str]:
    """A warning if this run's folder holds a film of something else, which the new one replaces."""
    try:
        before = run.plan()
    except LedgerError:
        return []  # its file is lost or damaged: if it is the same plan, it is written anew
    if before is None or {segment.key for segment in before.segments} & {segment.key for segment in plan.segments}:
        return []
    return [f"{run.url}: {before.title or 'another film'} was rendered here before; its film is replaced."]
