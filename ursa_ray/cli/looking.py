"""`explain`: what is behind a film."""

from typing import Annotated

import typer

from ursa_ray.cli.app import app
from ursa_ray.cli.options import AsJson
from ursa_ray.cli.output import say, say_json


@app.command()
def explain(
    film: Annotated[
        str,
        typer.Argument(
            metavar="FILM|RUN[@TIME]",
            help="A film, also an exported one, or a run; a time such as @12.5s, @1m5s, or a frame such as @#150.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Say which segment, prompt, seed and settings are behind an instant of a film, from the film alone."""
    from ursa_ray.explain import explain as look_up
    from ursa_ray.explained import explained_summary, explained_text

    explained = look_up(film)
    say(explained_text(explained))
    if as_json:
        say_json(explained_summary(explained))
