"""The command line: `ursa-ray plan | render | status | export | fsck | doctor | tokenize`."""

import json
import re
import sys
from dataclasses import asdict
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ursa_ray import __version__
from ursa_ray.errors import LedgerError, OptionError, UrsaRayError
from ursa_ray.interrupt import INTERRUPTED, Interruptible

if TYPE_CHECKING:  # commands import what they need themselves: `plan` answers before torch would be loaded
    from ursa_ray.ledger import Run
    from ursa_ray.plan import Plan
    from ursa_ray.render import Executor
    from ursa_ray.training.config import Shards
    from ursa_ray.work import WorkerOptions

RUN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class Device(StrEnum):
    CPU = "cpu"
    CUDA = "cuda"


class Retime(StrEnum):
    NEAREST = "nearest"
    SPEED = "speed"


EXIT_CODES = (
    "Exit codes: 0 done; 1 something of ours went wrong; 2 bad input; "
    "3 some shots failed, the rest is committed; 4 the run is damaged; "
    "5 the film could not be encoded; 6 no replica could be had; 7 another render works on the run; "
    "130 interrupted (Ctrl-C or SIGTERM), what is committed is safe."
)

app = typer.Typer(
    help="Turn a storyboard into a long film with the text-to-video model URSA.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StoryboardPath = Annotated[Path, typer.Argument(metavar="STORYBOARD", help="YAML file that says what to film.")]
Retake = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SHOT[:SEGMENT]",
        help="Make a part again with another seed: a shot, or one segment of it, counted from 0, "
        "and what is conditioned on it. May be given several times.",
        show_default=False,
    ),
]
RunUrl = Annotated[str, typer.Argument(metavar="RUN", help="Folder or s3://bucket/prefix of a render.")]
AsJson = Annotated[bool, typer.Option("--json", help="End standard output with one line that holds one JSON object.")]


@app.command()
def plan(
    storyboard: StoryboardPath,
    run: Annotated[
        str | None, typer.Option(help="Show also what this run has of it, what is new, and why.", show_default=False)
    ] = None,
    retake: Retake = None,
    as_json: AsJson = False,
) -> None:
    """Show the shots, segments, frames and work of a film without making it."""
    from ursa_ray.ledger import Run
    from ursa_ray.plan import difference
    from ursa_ray.prepare import prepare
    from ursa_ray.summary import difference_summary, difference_text, plan_summary, plan_text

    prepared = prepare(storyboard)
    found = None if run is None else Run.find(run)
    planned = _with_takes(prepared.plan, found, retake)
    _warn(prepared.warnings)
    _print(plan_text(planned))
    summary = plan_summary(planned)
    if run is not None:
        if prepared.checkpoint.folder is None:
            _warn([f"{planned.model} is not on this machine: without its weights nothing is known to be kept."])
        before, committed = (None, set()) if found is None else (found.plan(), found.segments.keys())
        new = difference(planned, before, committed)
        _print(difference_text(run, found is not None, new))
        summary["difference"] = difference_summary(run, found is not None, new)
    if as_json:
        _print_json(summary)


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
    _warn(prepared.warnings)
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
        _warn(_replaced(opened, planned))
    with listener() as told:
        rendered = make(planned, opened, executor, told)
    _print(f"{rendered.film}: {rendered.num_frames} frames, {planned.seconds:.1f} s")
    if as_json:
        _print_json(render_summary(rendered))


@app.command()
def status(run: RunUrl, as_json: AsJson = False) -> None:
    """Show how far a render is, from its ledger alone: also while it runs, and from another machine."""
    from ursa_ray.ledger import Run
    from ursa_ray.summary import run_summary, run_text

    summary = run_summary(Run.open(run))
    _print(run_text(summary))
    if as_json:
        _print_json(summary)


@app.command()
def export(
    run: RunUrl,
    out: Annotated[Path, typer.Option(metavar="FILE|FOLDER", help="Where to; .mp4, .mov, .mkv, .gif, .webp say how.")],
    codec: Annotated[
        str | None,
        typer.Option(
            help="h264, hevc, prores, ffv1 (without loss), png (a folder of frames), gif or webp.",
            show_default="by the suffix of --out; png without one",
        ),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(
            min=0, max=51, help="Quality of h264 and hevc, 0 is best.", show_default="the storyboard's; 20 for hevc"
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Pixels.", show_default="the film's")] = None,
    fps: Annotated[
        str | None, typer.Option(help="Frames a second; another rate needs --retime.", show_default="the film's")
    ] = None,
    retime: Annotated[
        Retime | None,
        typer.Option(help="nearest keeps the duration, frames come again or fall away; speed keeps the frames."),
    ] = None,
    device: Annotated[
        Device | None,
        typer.Option(help="What codes are decoded on where frames are gone.", show_default="cuda where there is a GPU"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the film of a finished render again, from its frames: in another codec, size or frame rate."""
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
            crf,
            None if size is None else _size(size),
            None if fps is None else _frame_rate(fps),
            None if retime is None else retime.value,
            None if device is None else device.value,
            overwrite,
        ),
        counted,
    )
    if exported.differing_segments:
        _warn([f"segments whose frames, decoded here, are not those of the film: {exported.differing_segments}"])
    _print(export_text(exported))
    if as_json:
        _print_json(export_summary(exported))


@app.command()
def fsck(
    run: RunUrl,
    invalidate: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Pass over damaged entry N of the log: what it held is rendered again."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read everything in a run and say what is damaged and what to do; exit with 4 if a render would not mend it."""
    from ursa_ray.fsck import examine
    from ursa_ray.ledger import open_store
    from ursa_ray.ledger.damage import invalidate as pass_over

    store = open_store(run)
    if invalidate is not None:
        pass_over(store, invalidate)
    findings = []
    for finding in examine(store):
        findings.append(finding)
        _print(f"{run}/{finding.file}: {finding.problem} {finding.fix}")
    if not findings:
        _print(f"{run}: everything is whole")
    if as_json:
        _print_json({"run": run, "findings": [asdict(finding) for finding in findings]})
    if not all(finding.mended_by_render for finding in findings):
        raise typer.Exit(LedgerError.exit_code)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Show what this machine has and lacks for rendering."""
    from ursa_ray.doctor import examine

    findings = examine()
    for finding in findings:
        _print(f"{'ok  ' if finding.ok else 'LACK'}  {finding.name}: {finding.found}")
    if as_json:
        _print_json({finding.name: {"ok": finding.ok, "found": finding.found} for finding in findings})
    if not all(finding.ok for finding in findings):
        raise typer.Exit(UrsaRayError.exit_code)


@app.command()
def tokenize(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the shards; those that are there are kept.")],
    model: Annotated[str, typer.Option(help="A folder, a hub id, or tiny.")] = "tiny",
    clips: Annotated[
        Path | None,
        typer.Option(help="Folder of CLIP.mp4 and CLIP.txt, a caption on each line.", show_default="the drawn world"),
    ] = None,
    num_clips: Annotated[
        int | None, typer.Option(min=1, help="Of the drawn world: how many.", show_default="40000")
    ] = None,
    per_shard: Annotated[
        int | None, typer.Option(min=1, help="Of the drawn world: clips in a file.", show_default="2000")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawn world: decides the clips.")] = 0,
    width: Annotated[int | None, typer.Option(min=1, show_default="the model's")] = None,
    height: Annotated[int | None, typer.Option(min=1, show_default="the model's")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Of a window.", show_default="the model's")] = None,
    fps: Annotated[int | None, typer.Option(min=1, show_default="the model's")] = None,
    device: Annotated[Device | None, typer.Option(show_default="cuda where there is a GPU")] = None,
    as_json: AsJson = False,
) -> None:
    """Make training data: Parquet shards of a model's tokens and captions, from your clips or the drawn world."""
    from ursa_ray.checkpoint import open_checkpoint
    from ursa_ray.model import choose_device
    from ursa_ray.training.config import Model, Shards
    from ursa_ray.training.shards import count_examples
    from ursa_ray.training.tokenize import tokenize_with

    chosen = choose_device(None if device is None else device.value)
    checkpoint = open_checkpoint(model, fetch=True)
    defaults = checkpoint.defaults
    sizes = Model(
        width=width or defaults.width or Model().width,
        height=height or defaults.height or Model().height,
        frames=frames or defaults.frames,
        fps=fps or round(defaults.fps),
    )
    if clips is not None and (num_clips is not None or per_shard is not None):
        raise OptionError("--num-clips and --per-shard are of the drawn world, --clips has a shard for every clip.")
    shards = Shards(source=clips) if clips is not None else _world_shards(num_clips, per_shard)
    num_made = tokenize_with(checkpoint, shards, sizes, seed, chosen, out, _note)
    num_shards, num_examples = count_examples(out)
    _print(f"{out}: {num_examples} clips in {num_shards} shards, {num_made} of them new")
    if as_json:
        _print_json({"folder": out, "num_shards": num_shards, "num_new_shards": num_made, "num_clips": num_examples})


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        _print(__version__)
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit the process with its code."""
    with Interruptible() as interrupted:
        try:
            app(arguments)
        except BaseException as leaving:
            code = leaving.code if isinstance(leaving, SystemExit) else None
            is_done = isinstance(leaving, SystemExit) and not code
            # Whatever error it is by now: ffmpeg and Ray may have heard of it too.
            if code == INTERRUPTED or (interrupted.happened and not is_done):
                _complain("interrupted; what is committed is safe, render again to go on")
                sys.exit(INTERRUPTED)
            _leave(leaving)


def _leave(leaving: BaseException) -> NoReturn:
    match leaving:
        case UrsaRayError():
            _complain(str(leaving))
            sys.exit(leaving.exit_code)
        case OSError():  # a full disk, a folder that must not be written
            _complain(str(leaving))
            sys.exit(UrsaRayError.exit_code)
    raise leaving


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


def _world_shards(num_clips: int | None, per_shard: int | None) -> "Shards":
    from ursa_ray.training.config import Shards

    given = {"clips": num_clips, "per_shard": per_shard}
    return Shards.model_validate({name: value for name, value in given.items() if value is not None})


def _executor(worker: "WorkerOptions", replicas: int | None, address: str | None, insecure: bool) -> "Executor":
    """One replica on this machine needs no cluster."""
    import torch

    from ursa_ray.render import InProcessExecutor

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


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise OptionError(f"--size is {text!r}, expected width and height such as 1024x640.")
    return int(match[1]), int(match[2])


def _frame_rate(text: str) -> Fraction:
    from ursa_ray.storyboard.durations import parse_frame_rate

    try:
        return parse_frame_rate(Fraction(text))
    except (ValueError, ZeroDivisionError) as error:
        raise OptionError(
            f"--fps is {text!r}, expected a number from 1 to 240 such as 24, 23.976 or 24000/1001."
        ) from error


def _replaced(run: "Run", plan: "Plan") -> list[str]:
    """A warning if this run's folder holds a film of something else, which the new one replaces."""
    try:
        before = run.plan()
    except LedgerError:
        return []  # its file is lost or damaged: if it is the same plan, it is written anew
    if before is None or {segment.key for segment in before.segments} & {segment.key for segment in plan.segments}:
        return []
    return [f"{run.url}: {before.title or 'another film'} was rendered here before; its film is replaced."]


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)  # noqa: T201


def _note(words: str) -> None:
    print(words, file=sys.stderr, flush=True)  # noqa: T201


def _complain(problem: str) -> None:
    print(f"ursa-ray: {problem}", file=sys.stderr)  # noqa: T201


def _print(text: str) -> None:
    print(text)  # noqa: T201


def _print_json(content: dict[str, Any]) -> None:
    _print(json.dumps(content, default=str))
