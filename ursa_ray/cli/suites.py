"""`evaluate`: samples of a benchmark's prompts, for its own scorer."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ursa_ray.cli.app import app
from ursa_ray.cli.options import (
    AsJson,
    LogFormatChoice,
    parse_size,
)
from ursa_ray.cli.output import say, say_json
from ursa_ray.cli.replicas import Replicas, takes_replicas
from ursa_ray.cli.sampling import Sampling, make_with
from ursa_ray.cli.singles import Size
from ursa_ray.errors import OptionError

if TYPE_CHECKING:
    from ursa_ray.sampling import Planned
    from ursa_ray.suites import Suite

# Where the published repository's sampling begins.
SEED = 1337


class SuiteName(StrEnum):
    GENEVAL = "geneval"
    DPG = "dpg"
    VBENCH = "vbench"
    VBENCH_I2V = "vbench-i2v"


# The options that each suite has beside --prompts.
TAKEN: dict[SuiteName, set[str]] = {
    SuiteName.GENEVAL: {"--rewritten", "--number"},
    SuiteName.DPG: set(),
    SuiteName.VBENCH: {"--rewritten", "--dimension", "--number", "--motion", "--crf"},
    SuiteName.VBENCH_I2V: {"--images", "--dimension", "--number", "--motion", "--crf"},
}


@app.command()
@takes_replicas
def evaluate(
    suite: Annotated[SuiteName, typer.Argument(metavar="SUITE", help="The benchmark.", show_default=False)],
    prompts: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="The benchmark's own file: evaluation_metadata.jsonl of GenEval, the folder of prompts of DPG-Bench, "
            "VBench_full_info.json or all_dimension.txt, vbench2_i2v_full_info.json.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            metavar="FOLDER", help="What the scorer is given: a folder or s3://bucket/prefix.", show_default=False
        ),
    ],
    rewritten: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Longer prompts to sample instead. GenEval: JSON of id and dense_prompt. VBench: its own "
            "all_dimension_longer.txt, a line for each entry or line of --prompts, or URSA's folder of prompts, with "
            "color.txt and color_longer.txt and so on.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="VBench-I2V's images, cropped to 8-5 for 512x320.", show_default=False),
    ] = None,
    dimension: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only prompts of this dimension of VBench. May be given several times.",
            show_default=False,
        ),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(
            "-n", "--number", min=1, max=100, help="Samples of each prompt.", show_default="the benchmark's, 4 or 5"
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the first sample of each prompt; others have the next ones.")
    ] = SEED,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="tiny, a folder, or a hub id.", show_default="URSA-1.7B, IBQ1024 or FSQ320"),
    ] = None,
    size: Size = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Denoising steps.", show_default="the model's, 25 or 50")
    ] = None,
    guidance: Annotated[float, typer.Option(min=0, max=100, help="How strongly to follow the prompt.")] = 7.0,
    motion: Annotated[
        float | None, typer.Option(min=0, max=100, help="Of videos: how much moves.", show_default="9.0")
    ] = None,
    negative_prompt: Annotated[
        str | None, typer.Option(help="What not to make.", show_default="the published one for videos")
    ] = None,
    crf: Annotated[
        int | None, typer.Option(min=0, max=51, help="Quality of videos, 0 is best.", show_default="25, 10 of images")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove results from --out that are of other settings or prompts.")
    ] = False,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Folder or s3://bucket/prefix where the work is kept, to go on with after an interruption.",
            show_default="OUT with -run at its end",
        ),
    ] = None,
    *,
    replicas: Replicas,
    log_format: LogFormatChoice = None,
    as_json: AsJson = False,
) -> None:
    """Sample the prompts of a benchmark for its scorer.

    Results are in the folders and have the names that it reads, with the published settings. The same command
    goes on where it was stopped.
    """
    from ursa_ray.ledger import open_store
    from ursa_ray.sampling import RECORD, Evaluation, Settings, read_record, sample_suite, samples_of, stale_results

    given = {
        "--rewritten": rewritten,
        "--images": images,
        "--dimension": dimension,
        "--number": number,
        "--motion": motion,
        "--crf": crf,
    }
    _require_taken(suite, {name for name, value in given.items() if value is not None})
    read = _read(suite, prompts, rewritten, images, tuple(dimension or ()), number)
    preset = read.preset
    settings = Settings(
        read.kind,
        model or preset.model,
        None if size is None else parse_size(size),
        motion=preset.motion if motion is None else motion,
        steps=steps,
        guidance=guidance,
        negative_prompt=(preset.negative_prompt or None) if negative_prompt is None else negative_prompt,
        crf=preset.crf if crf is None else crf,
    )

    def asked(planned: "Planned") -> Evaluation:
        return Evaluation(read, settings, seed, planned, out, overwrite)

    done = make_with(
        Sampling(
            samples_of(read, seed), settings, run if run is not None else _run_beside(out), out, cuts_prompts=True
        ),
        replicas,
        log_format,
        lambda out, planned, found: stale_results(asked(planned), found),
        lambda planned, run, executor, listener: sample_suite(asked(planned), run, executor, listener),
    )
    say(
        f"{out}: {len(read.results):,} files of {read.num_samples:,} samples of {read.num_prompts:,} prompts, "
        f"{read.name}, {settings.model}; {done.run.where(RECORD)} says how"
    )
    say("For its figures, in the scorer's own folder:")
    for scorer in read.scorers:
        say(f"    {scorer.format(out=shlex.quote(open_store(out).anywhere), width=done.planned.plan.width)}")
    if as_json:
        say_json(read_record(done.run) or {})


def _run_beside(out: str) -> str:
    """`OUT-run`, in no folder that a scorer reads."""
    if "://" in out:
        return f"{out.rstrip('/')}-run"
    folder = Path(out)
    return f"{folder.resolve() if folder.name in ('', '..') else folder}-run"


def _require_taken(suite: SuiteName, given: set[str]) -> None:
    for name in sorted(given - TAKEN[suite]):
        takers = ", ".join(other for other, taken in TAKEN.items() if name in taken)
        raise OptionError(f"{name} is nothing of {suite}; it is an option of {takers}. Leave it out.")
    if suite is SuiteName.VBENCH_I2V and "--images" not in given:
        raise OptionError("--images is missing. Give the folder of VBench-I2V's cropped images, crop/8-5 for 512x320.")


def _read(
    suite: SuiteName,
    prompts: Path,
    rewritten: Path | None,
    images: Path | None,
    dimensions: tuple[str, ...],
    number: int | None,
) -> "Suite":
    from ursa_ray.suites import read_dpg, read_geneval, read_vbench, read_vbench_i2v

    match suite:
        case SuiteName.GENEVAL:
            return read_geneval(prompts, rewritten, number)
        case SuiteName.DPG:
            return read_dpg(prompts)
        case SuiteName.VBENCH:
            return read_vbench(prompts, rewritten, dimensions, number)
        case SuiteName.VBENCH_I2V:
            assert images is not None
            return read_vbench_i2v(prompts, images, dimensions, number)
