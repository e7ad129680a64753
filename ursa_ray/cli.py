"""The command line: `ursa-ray plan | render | status | doctor | tokenize`."""

import json
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ursa_ray import __version__
from ursa_ray.errors import OptionError, UrsaRayError

if TYPE_CHECKING:  # commands import what they need themselves: `plan` answers before torch would be loaded
    from ursa_ray.ledger import Run
    from ursa_ray.plan import Plan
    from ursa_ray.render import Executor
    from ursa_ray.training.config import Shards
    from ursa_ray.work import WorkerOptions

INTERRUPTED = 130


class Device(StrEnum):
    CPU = "cpu"
    CUDA = "cuda"


EXIT_CODES = (
    "Exit codes: 0 done; 1 something of ours went wrong; 2 bad input; "
    "3 some shots failed, the rest is committed; 4 the run is damaged or in use; "
    "5 the film could not be encoded; 6 no replica could be had; "
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
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a render.")]
AsJson = Annotated[bool, typer.Option("--json", help="End standard output with one line that holds one JSON object.")]


@app.command()
def plan(storyboard: StoryboardPath, as_json: AsJson = False) -> None:
    """Show the shots, segments, frames and work of a film without making it."""
    from ursa_ray.prepare import prepare
    from ursa_ray.summary import plan_summary, plan_text

    prepared = prepare(storyboard)
    _warn(prepared.warnings)
    _print(plan_text(prepared.plan))
    if as_json:
        _print_json(plan_summary(prepared.plan))


@app.command()
def render(
    storyboard: StoryboardPath,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the render.", show_default="renders/<storyboard's name>")
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
    as_json: AsJson = False,
) -> None:
    """Make the film, or go on making it: what is committed in the run is never generated again."""
    from ursa_ray.console import listener
    from ursa_ray.ledger import Run
    from ursa_ray.model import check_weights
    from ursa_ray.prepare import prepare
    from ursa_ray.render import render as make
    from ursa_ray.summary import render_summary
    from ursa_ray.work import WorkerOptions

    prepared = prepare(storyboard, fetch=True)
    _warn(prepared.warnings)
    folder = run if run is not None else Path("renders") / storyboard.stem
    worker = WorkerOptions(
        prepared.checkpoint.name,
        prepared.plan.weights_sha256,
        folder.resolve(),
        None if device is None else device.value,
        threads,
    )
    executor = _executor(worker, replicas, address)
    check_weights(prepared.checkpoint)
    opened = Run.create(folder)
    _warn(_replaced(opened, prepared.plan))
    with listener() as told:
        rendered = make(prepared.plan, opened, executor, told)
    _print(f"{rendered.film}: {rendered.num_frames} frames, {prepared.plan.seconds:.1f} s")
    if as_json:
        _print_json(render_summary(rendered))


@app.command()
def status(run: RunFolder, as_json: AsJson = False) -> None:
    """Show how far a render is, from its ledger alone: also while it runs, and from another machine."""
    from ursa_ray.ledger import Run
    from ursa_ray.summary import run_summary, run_text

    summary = run_summary(Run.open(run))
    _print(run_text(summary))
    if as_json:
        _print_json(summary)


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
    # Preemption and `ray job stop` say SIGTERM; it ends a render as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(arguments)
    except UrsaRayError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk, a folder that must not be written
        _complain(str(error))
        sys.exit(UrsaRayError.exit_code)
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:
            _complain("interrupted; what is committed is safe, render again to go on")
        raise


def _world_shards(num_clips: int | None, per_shard: int | None) -> "Shards":
    from ursa_ray.training.config import Shards

    given = {"clips": num_clips, "per_shard": per_shard}
    return Shards.model_validate({name: value for name, value in given.items() if value is not None})


def _executor(worker: "WorkerOptions", replicas: int | None, address: str | None) -> "Executor":
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

    return RayExecutor(worker, RayOptions(replicas, address))


def _replaced(run: "Run", plan: "Plan") -> list[str]:
    """A warning if this run's folder holds a film of something else, which the new one replaces."""
    before = run.plan()
    if before is None or {segment.key for segment in before.segments} & {segment.key for segment in plan.segments}:
        return []
    return [f"{run.folder}: {before.title or 'another film'} was rendered here before; its film is replaced."]


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
