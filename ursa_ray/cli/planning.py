"""`plan`: what a film would be, what of it a run has, and how long the rest would take."""

from typing import TYPE_CHECKING, Annotated

import typer

from ursa_ray.cli.app import app
from ursa_ray.cli.options import AsJson, Retake, StoryboardPath, Take
from ursa_ray.cli.output import say, say_json, warn
from ursa_ray.errors import OptionError

if TYPE_CHECKING:
    from ursa_ray.forecast import Question
    from ursa_ray.ledger import Run
    from ursa_ray.plan import Plan


@app.command()
def plan(
    storyboard: StoryboardPath,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Show also what this run has of it, what is new, and why.", show_default=False
        ),
    ] = None,
    retake: Retake = None,
    take: Take = None,
    gpus: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Predict how long it takes on so many GPUs.", show_default=False),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Say how many GPUs it takes to be done in 30m, or 2h 30min.", show_default=False
        ),
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(metavar="KIND", help="Kind of GPU: h200, h100, a100, l40s.", show_default="h200")
    ] = None,
    price: Annotated[
        float | None,
        typer.Option(min=0, metavar="NUMBER", help="Price of an hour of one GPU, in any currency.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a film would be, and what it takes; nothing is made.

    Shots, segments, frames and work; with --run what of it is made already, with --gpus or --deadline how long it
    takes.
    """
    from ursa_ray.forecast import predict
    from ursa_ray.ledger import Run
    from ursa_ray.outlook import prediction_summary, prediction_text
    from ursa_ray.plan import difference
    from ursa_ray.prepare import prepare
    from ursa_ray.summary import difference_summary, difference_text, plan_summary, plan_text

    asked = _question(gpus, deadline, gpu, price)
    prepared = prepare(storyboard)
    found = None if run is None else Run.find(run)
    planned = with_takes_of(prepared.plan, found, retake, take)
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


def with_takes_of(plan: "Plan", run: "Run | None", retake: list[str] | None, take: list[str] | None) -> "Plan":
    """The plan with the takes of a run, with what shall be taken again, and with the takes that are chosen."""
    from ursa_ray.plan import choose_takes, take_again, with_takes

    if retake and (run is None or run.plan_sha256 is None):
        raise OptionError(
            "--retake: nothing is rendered yet that could be made again. Give the --run that it is in, or leave it out."
        )
    if run is None:
        return with_takes(plan, choose_takes(plan, {}, take or ()))
    for part in retake or ():
        if take_again(plan, run.takes, run.shown_takes, [part]) == run.takes:
            warn([f"--retake {part}: its take is in no finished film yet, so this goes on with that one."])
    again = take_again(plan, run.takes, run.shown_takes, retake or ())
    return with_takes(plan, choose_takes(plan, again, take or ()))


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
    return Question(Gpu((gpu or "h200").lower(), price), gpus, deadline_s)
