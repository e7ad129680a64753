"""`submit`: a render as a job of a Ray cluster, followed from here."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ursa_ray.cli.app import app
from ursa_ray.cli.options import require_lasting, require_limits, require_preview_steps
from ursa_ray.cli.output import note, say, say_json, warn
from ursa_ray.errors import StopError
from ursa_ray.wording import count_of

if TYPE_CHECKING:
    from ursa_ray.cluster.jobs import Cluster


@app.command(context_settings={"ignore_unknown_options": True})
def submit(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="STORYBOARD [OPTIONS OF render]",
            help="As for render; --run is asked for: a folder that all nodes share, by its absolute path, or s3://bucket/prefix.",
            show_default=False,
        ),
    ],
    address: Annotated[
        str,
        typer.Option(
            envvar="RAY_API_SERVER_ADDRESS",
            metavar="URL",
            help="Dashboard of the cluster, such as http://HEAD:8265.",
            show_default=False,
        ),
    ],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Print the job's id and leave it alone.")] = False,
) -> None:
    """Render on a Ray cluster as a job, and follow its log.

    The storyboard is sent with its pictures and clips. It exits as the job does. Ctrl-C leaves the
    job alone; submitted again, a stopped one goes on.
    """
    from ursa_ray.plan import choose_takes, take_again
    from ursa_ray.prepare import prepare

    asked = _as_render(context, words)
    storyboard, run = Path(asked.params["storyboard"]), asked.params["run"]
    require_lasting(run)
    require_limits(asked.params["min_replicas"], asked.params["replicas"])
    prepared = prepare(storyboard)
    take_again(prepared.plan, {}, {}, asked.params["retake"] or ())  # are there such parts?
    choose_takes(prepared.plan, {}, asked.params["take"] or ())
    require_preview_steps(asked.params["preview"] or (), prepared.plan)

    from ursa_ray.cluster.jobs import Cluster, Submission

    submission = Submission(storyboard, prepared, run, list(_options(asked)))
    cluster = Cluster(address, asked.params["insecure_cluster"])
    job = cluster.submit(submission)
    warn(prepared.warnings)
    plan = prepared.plan
    note(f"job {job}: {count_of(plan.num_segments, 'segment')}, {count_of(plan.num_frames, 'frame')}, to {run}")
    if not no_wait:
        _follow(cluster, job)
    elif asked.params["as_json"]:
        say_json({"job": job, "address": cluster.address, "run": run})
    else:
        say(job)


def _as_render(context: typer.Context, words: list[str]) -> Any:
    """What `render` understands of the words; one that it does not know ends here, not on the cluster."""
    assert context.parent is not None
    commands: Any = context.parent.command
    return commands.get_command(context.parent, "render").make_context("submit", list(words), parent=context.parent)


def _options(asked: Any) -> Iterator[str]:
    """The options that were given, without those that are not the job's: the storyboard and the run."""
    for parameter in asked.command.params:
        is_given = asked.get_parameter_source(parameter.name).name == "COMMANDLINE"
        if is_given and parameter.name not in ("storyboard", "run"):
            value = asked.params[parameter.name]
            for one in value if parameter.multiple else [value]:
                yield from [parameter.opts[0]] if parameter.is_flag else [parameter.opts[0], str(one)]


def _follow(cluster: "Cluster", job: str) -> None:
    try:
        code = cluster.follow(job, _tell)
    except KeyboardInterrupt as interrupt:
        raise StopError(
            f"job {job} goes on.\n"
            f"  see it:  ray job logs --follow --address {cluster.address} {job}\n"
            f"  stop it: ray job stop --address {cluster.address} {job}"
        ) from interrupt
    raise typer.Exit(code)


def _tell(line: str) -> None:
    """A result to standard output, any other line of the log to standard error, also those of --log-format json."""
    try:
        found = json.loads(line) if line.startswith("{") else None
    except ValueError:
        found = None
    (note if found is None or "event" in found else say)(line)
