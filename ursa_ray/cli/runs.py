"""`status`, `export` and `fsck`: about a run that is there."""

from dataclasses import asdict
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from ursa_ray.cli.app import app
from ursa_ray.cli.options import AsJson, Device, RunUrl, parse_size
from ursa_ray.cli.output import say, say_json, warn
from ursa_ray.errors import LedgerError, OptionError


class Retime(StrEnum):
    NEAREST = "nearest"
    SPEED = "speed"


@app.command()
def status(run: RunUrl, as_json: AsJson = False) -> None:
    """Show how far a render is, also while it works.

    It reads the run alone, so it may be asked from any machine.
    """
    from ursa_ray.ledger import Run
    from ursa_ray.summary import run_summary, run_text, underway_text
    from ursa_ray.underway import underway

    opened = Run.open(run)
    summary, now = run_summary(opened), underway(opened)
    say("\n".join(filter(None, [run_text(summary), underway_text(now)])))
    if as_json:
        say_json(summary | asdict(now))


@app.command()
def export(
    run: RunUrl,
    out: Annotated[
        Path, typer.Option(metavar="FILE|FOLDER", help="Where to; .mp4, .mov, .mkv, .gif and .webp say which codec.")
    ],
    codec: Annotated[
        str | None,
        typer.Option(
            metavar="CODEC",
            help="h264, hevc, prores, ffv1 (without loss), png (a folder of frames), gif or webp.",
            show_default="by the suffix of --out; png without one",
        ),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=51,
            help="Quality of h264 and hevc, 0 is best; at 0, h264 is without loss, which few players show.",
            show_default="the storyboard's; 20 for hevc",
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Width and height in pixels.", show_default="the film's")
    ] = None,
    fps: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Frames a second; another rate needs --retime.", show_default="the film's"),
    ] = None,
    retime: Annotated[
        Retime | None,
        typer.Option(
            help="How to get to another rate: nearest keeps the duration, frames come again or fall away; speed keeps "
            "the frames, which play faster or slower."
        ),
    ] = None,
    device: Annotated[
        Device | None,
        typer.Option(
            help="What to decode on where frames are gone and codes are left.", show_default="cuda where there is a GPU"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    no_provenance: Annotated[
        bool, typer.Option("--no-provenance", help="Write no prompts, seeds and hashes into the file.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a finished film again, as another kind of file.

    In another codec, size or frame rate, from the frames that the run has kept.
    """
    from ursa_ray.export import ExportOptions
    from ursa_ray.export import export as make
    from ursa_ray.media import choose_codec
    from ursa_ray.progress import counted
    from ursa_ray.summary import export_summary, export_text

    exported = make(
        ExportOptions(
            run,
            out,
            choose_codec(out, codec),
            crf=crf,
            size=None if size is None else parse_size(size),
            fps=None if fps is None else _frame_rate(fps),
            retime=None if retime is None else retime.value,
            device=None if device is None else device.value,
            overwrite=overwrite,
            provenance=not no_provenance,
        ),
        counted,
    )
    if exported.differing_segments:
        warn([f"segments whose frames, decoded here, are not those of the film: {exported.differing_segments}"])
    say(export_text(exported))
    if as_json:
        say_json(export_summary(exported))


@app.command()
def fsck(
    run: RunUrl,
    invalidate: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Pass over damaged entry N of the log: what it held is rendered again."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find what is damaged in a run, and say what to do.

    Everything in it is read. The exit code is 4 if something is damaged that a render would not mend.
    """
    from ursa_ray.fsck import examine
    from ursa_ray.ledger import open_store
    from ursa_ray.ledger.damage import invalidate as pass_over

    store = open_store(run)
    if invalidate is not None:
        pass_over(store, invalidate)
    findings = []
    for finding in examine(store):
        findings.append(finding)
        say(f"{run}/{finding.file}: {finding.problem} {finding.fix}")
    if not findings:
        say(f"{run}: everything is whole")
    if as_json:
        say_json({"run": run, "findings": [asdict(finding) for finding in findings]})
    if not all(finding.mended_by_render for finding in findings):
        raise typer.Exit(LedgerError.exit_code)


def _frame_rate(text: str) -> Fraction:
    from ursa_ray.storyboard.durations import parse_frame_rate

    try:
        return parse_frame_rate(Fraction(text))
    except (ValueError, ZeroDivisionError) as error:
        raise OptionError(
            f"--fps is {text!r}, expected a number from 1 to 240 such as 24, 23.976 or 24000/1001."
        ) from error
