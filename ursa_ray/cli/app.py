"""The application that commands register with, and how it ends."""

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

from ursa_ray import __version__
from ursa_ray.cli.output import complain, hear_warnings, say, write_notes_with
from ursa_ray.errors import StopError, UrsaRayError
from ursa_ray.interrupt import INTERRUPTED, Interruptible

EXIT_CODES = (
    "Exit codes: 0 done; 1 something of ours went wrong; 2 bad input; "
    "3 some shots failed or the run cannot be written, the rest is committed; 4 the run is damaged; "
    "5 the film could not be encoded; 6 no replica could be had; 7 another render works on the run; "
    "130 interrupted (Ctrl-C or SIGTERM), what is committed is safe."
)

GO_ON = {
    "render": "; what is committed is safe, render again to go on",
    "image": "; what is committed is safe, give the same command to go on",
    "video": "; what is committed is safe, give the same command to go on",
    "evaluate": "; what is committed is safe, give the same command to go on",
}

REMEDIES = {
    errno.ENOSPC: "Make room there, then give the same command again.",
    errno.EDQUOT: "Make room there, then give the same command again.",
    errno.EACCES: "Change who may use it, or give another place.",
    errno.EPERM: "Change who may use it, or give another place.",
    errno.EROFS: "Give another place: this one can only be read.",
    errno.EMFILE: "Allow more open files (ulimit -n), then give the same command again.",
}
OTHERWISE = "Mend that, or give another place, then give the same command again."

app = typer.Typer(
    help="Turn a storyboard into a long film with the text-to-video model URSA.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain: rich takes `ursa-ray[s3]` for an order of its own, and shows flags as <bool>
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        say(__version__)
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit the process with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    write_notes_with()
    hear_warnings()
    with Interruptible() as interrupted:
        try:
            app(arguments)
        except BaseException as leaving:
            code = leaving.code if isinstance(leaving, SystemExit) else None
            needs_no_word = isinstance(leaving, StopError) or (isinstance(leaving, SystemExit) and not code)
            # Whatever error it is by now: ffmpeg and Ray may have heard of it too.
            if code == INTERRUPTED or (interrupted.happened and not needs_no_word):
                _tell_if_heard(f"interrupted{GO_ON.get(arguments[0], '') if arguments else ''}")
                # An interrupt within an `exec`, of which imports have many, is what `python -m` dies of whatever its
                # exit code, unless another has gone well since.
                exec("")
                sys.exit(INTERRUPTED)
            _leave(leaving)


def _tell_if_heard(problem: str) -> None:
    """Say it; where nobody reads any more what is said, the exit code must still tell."""
    try:
        complain(problem)
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for standard in (1, 2):  # Python writes what is left once more as it ends, and would end with 120
            os.dup2(nowhere, standard)


def _leave(leaving: BaseException) -> NoReturn:
    match leaving:
        case UrsaRayError():
            complain(str(leaving))
            sys.exit(leaving.exit_code)
        case OSError():
            complain(_refusal(leaving))
            sys.exit(UrsaRayError.exit_code)
    raise leaving


def _refusal(error: OSError) -> str:
    """Which file the machine refuses, why, and what to do."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}. {REMEDIES.get(error.errno or 0, OTHERWISE)}"
