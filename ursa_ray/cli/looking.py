"""`explain`, `measure` and `report`: about a film."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ursa_ray.cli.app import app
from ursa_ray.cli.options import AsJson, RunUrl
from ursa_ray.cli.output import note, say, say_json


@app.command()
def explain(
    film: Annotated[
        str,
        typer.Argument(
            metavar="FILM|RUN[@TIME]",
            help="A film, also an exported one, a single image, or a run; a time such as @12.5s, @1m5s, or a frame "
            "such as @#150.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Say what a film, or an instant of it, is made of.

    Segment, prompt, seed and settings, from the film alone, or from its run.
    """
    from ursa_ray.explain import explain as look_up
    from ursa_ray.explained import explained_summary, explained_text

    explained = look_up(film)
    say(explained_text(explained))
    if as_json:
        say_json(explained_summary(explained))


@app.command()
def measure(
    film: Annotated[str, typer.Argument(metavar="FILM|RUN", help="A video, or the run of a finished render.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write frames.parquet, segments.parquet, measures.txt and measures.svg there."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure seam jump, flicker, motion and drift of a film.

    It takes no model.
    """
    from ursa_ray.files import require_folder
    from ursa_ray.measured import measure as look_at
    from ursa_ray.measured import measured_summary, measured_text, write_measures
    from ursa_ray.progress import counted

    if out is not None:
        require_folder(out)
    measured = look_at(film, counted)
    say(measured_text(measured))
    if out is not None:
        note(f"written: {', '.join(map(str, write_measures(measured, out)))}")
    if as_json:
        say_json(measured_summary(measured))


@app.command()
def report(
    run: RunUrl,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to.", show_default="RUN.html, beside the run's folder"),
    ] = None,
    no_film: Annotated[bool, typer.Option("--no-film", help="Leave the film out.")] = False,
    no_measures: Annotated[
        bool, typer.Option("--no-measures", help="Measure nothing, which takes a while for a long film.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write one HTML file about the run of a film.

    With the film, contact sheet, timeline, measures of every segment, and how to make it again.
    """
    from ursa_ray.html_report import ReportOptions, write_report
    from ursa_ray.progress import counted

    written = write_report(ReportOptions(run, out, not no_film, not no_measures), counted)
    say(f"{written.path}: {written.size_bytes / 1e6:.1f} MB{'' if written.is_finished else ', of a run not finished'}")
    if as_json:
        say_json(asdict(written))
