"""`studio`: films in the browser."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from ursa_ray.cli.app import app
from ursa_ray.cli.output import note, say
from ursa_ray.cli.replicas import Replicas, takes_replicas
from ursa_ray.errors import OptionError


@app.command()
@takes_replicas
def studio(
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Address to serve on; one that other machines reach needs a --password-file."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 7860,
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the runs.")] = Path("renders"),
    storyboards: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the storyboards that a film may begin as.")
    ] = Path("storyboards"),
    open_: Annotated[
        str | None,
        typer.Option(
            "--open", metavar="RUN", help="A run elsewhere, a folder or s3://bucket/prefix.", show_default=False
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File whose first line is the password that the page asks for.", show_default=False
        ),
    ] = None,
    max_upload_mb: Annotated[int, typer.Option(min=1, help="No larger file is taken.")] = 200,
    browse: Annotated[bool, typer.Option("--browse", help="Open a browser window.")] = False,
    *,
    replicas: Replicas,
) -> None:
    """Plan, render, watch and retake films in the browser.

    It needs the extra ursa-ray[studio]. Options about replicas are those of all renders that it begins.
    """
    from ursa_ray.studio import StudioOptions, serve

    password = None if password_file is None else _password(password_file)
    options = StudioOptions(host, port, password, runs, storyboards, open_, max_upload_mb, tuple(replicas.words()))
    _require_gradio()

    def tell(address: str) -> None:
        say(f"The studio is at {address} - Ctrl-C ends it; renders go on without it.")
        if not options.is_local:
            note("The password and all else travel unencrypted: put a proxy with TLS before it, or use an ssh tunnel.")
        if browse:
            webbrowser.open(address)

    serve(options, tell)


def _require_gradio() -> None:
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise OptionError("The studio needs Gradio, which is missing. pip install 'ursa-ray[studio]'")


def _password(path: Path) -> str:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"--password-file {path}: cannot be read: {error}") from error
    if not lines or not lines[0].strip():
        raise OptionError(f"--password-file {path}: its first line is empty, expected a password.")
    return lines[0].strip()
