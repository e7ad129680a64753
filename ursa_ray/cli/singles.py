"""`image` and `video`: single results of prompts, without a storyboard."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ursa_ray.checkpoint.hub import TINY_NAME
from ursa_ray.cli.app import app
from ursa_ray.cli.options import (
    AsJson,
    LogFormatChoice,
    parse_size,
)
from ursa_ray.cli.output import say, say_json
from ursa_ray.cli.replicas import Replicas, takes_replicas
from ursa_ray.cli.sampling import Sampling, make_with
from ursa_ray.errors import OptionError

if TYPE_CHECKING:
    from ursa_ray.sampling import Sample, Settings

Prompts = Annotated[list[str] | None, typer.Argument(metavar="PROMPT", help="What to make.", show_default=False)]
PromptsFile = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        metavar="FILE",
        help="Text with a prompt a line; blank lines and those that begin with # are passed over.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        help="tiny, a folder, or a hub id such as BAAI/URSA-1.7B-IBQ1024 for images, BAAI/URSA-1.7B-FSQ320 for videos.",
    ),
]
Size = Annotated[
    str | None, typer.Option(metavar="WxH", help="Width and height in pixels.", show_default="the model's")
]
Number = Annotated[
    int,
    typer.Option(
        "-n", "--number", min=1, max=1000, help="How many of each prompt, with seeds that follow one another."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the first result of each prompt.")]
Steps = Annotated[int | None, typer.Option(min=1, max=1000, help="Denoising steps.", show_default="the model's")]
Guidance = Annotated[
    float | None,
    typer.Option(
        min=0, max=100, help="How strongly to follow the prompt; up to 1 it is off.", show_default="the model's"
    ),
]
NegativePrompt = Annotated[str | None, typer.Option(metavar="TEXT", help="What not to make.", show_default=False)]
Out = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER", help="Folder or s3://bucket/prefix of the results.", show_default="samples in the run"
    ),
]
RunChoice = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Folder or s3://bucket/prefix where the work is kept, to go on with after an interruption.",
        show_default="renders/<words and hash of prompts and settings>",
    ),
]


@dataclass(frozen=True)
class Singles:
    """What `image` and `video` ask for alike, beside their settings."""

    prompts: list[str] | None
    file: Path | None
    number: int
    seed: int
    out: str | None
    run: str | None
    image: Path | None = None
    video: Path | None = None


@app.command()
@takes_replicas
def image(
    prompts: Prompts = None,
    prompts_file: PromptsFile = None,
    model: Model = TINY_NAME,
    size: Size = None,
    number: Number = 1,
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Guidance = None,
    negative_prompt: NegativePrompt = None,
    out: Out = None,
    run: RunChoice = None,
    *,
    replicas: Replicas,
    log_format: LogFormatChoice = None,
    as_json: AsJson = False,
) -> None:
    """Make images of prompts as PNG files, whose paths are printed.

    The same command goes on where it was stopped.
    """
    from ursa_ray.sampling import Settings

    _make(
        Settings(
            "image",
            model,
            None if size is None else parse_size(size),
            steps=steps,
            guidance=guidance,
            negative_prompt=negative_prompt,
        ),
        Singles(prompts, prompts_file, number, seed, out, run),
        replicas,
        log_format,
        as_json,
    )


@app.command()
@takes_replicas
def video(
    prompts: Prompts = None,
    prompts_file: PromptsFile = None,
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Start from this picture.", show_default=False)
    ] = None,
    clip: Annotated[
        Path | None,
        typer.Option(
            "--video", metavar="FILE", help="Go on after this clip; the result is what follows it.", show_default=False
        ),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Such as 4s or 1min 30s.", show_default="a segment, as the model makes it"),
    ] = None,
    extend: Annotated[
        int | None,
        typer.Option(
            min=1, help="Go on for so many segments, each from the last frames of the one before.", show_default=False
        ),
    ] = None,
    motion: Annotated[float | None, typer.Option(min=0, max=100, help="How much moves.", show_default="9.0")] = None,
    model: Model = TINY_NAME,
    size: Size = None,
    number: Number = 1,
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Guidance = None,
    negative_prompt: NegativePrompt = None,
    crf: Annotated[int | None, typer.Option(min=0, max=51, help="Quality, 0 is best.", show_default="18")] = None,
    out: Out = None,
    run: RunChoice = None,
    *,
    replicas: Replicas,
    log_format: LogFormatChoice = None,
    as_json: AsJson = False,
) -> None:
    """Make videos of prompts as MP4 files, whose paths are printed.

    They start from nothing, from a picture, or after a clip. The same command goes on where it was stopped.
    """
    from ursa_ray.sampling import Settings

    _make(
        Settings(
            "video",
            model,
            None if size is None else parse_size(size),
            duration=duration,
            extend=extend,
            motion=motion,
            steps=steps,
            guidance=guidance,
            negative_prompt=negative_prompt,
            crf=crf,
        ),
        Singles(prompts, prompts_file, number, seed, out, run, image, clip),
        replicas,
        log_format,
        as_json,
    )


def _make(settings: "Settings", asked: Singles, replicas: Replicas, log_format: LogFormatChoice, as_json: bool) -> None:
    from ursa_ray.sampling import make_samples, open_results, seeds_of
    from ursa_ray.summary import samples_summary

    prompts = _samples(asked)
    url = asked.run if asked.run is not None else f"renders/{_run_name(prompts, settings, asked.file)}"
    samples = list(seeds_of(prompts, asked.number, asked.seed))
    done = make_with(
        Sampling(samples, settings, url, asked.out),
        replicas,
        log_format,
        lambda out, planned, run: open_results(out),
        lambda planned, run, executor, listener: make_samples(planned, run, executor, listener, asked.out),
    )
    for file in dict.fromkeys(done.made.files):
        say(file)
    if as_json:
        say_json(samples_summary(url, done.planned, done.made))


def _samples(asked: Singles) -> "list[Sample]":
    """One of each prompt."""
    from ursa_ray.sampling import Prompt, Sample, read_prompts

    if bool(asked.prompts) == (asked.file is not None):
        raise OptionError(
            f"{'prompts are given, and a file of them' if asked.prompts else 'there is no prompt'}. "
            'Give either prompts, such as "a bear in the fog", or --prompts FILE with one a line.'
        )
    if asked.file is not None:
        found = read_prompts(asked.file)
    else:
        found = [Prompt(text, number) for number, text in enumerate(asked.prompts or (), 1)]
    named = "prompt " if asked.file is None else f"{asked.file}:"
    return [Sample(each.text, image=asked.image, video=asked.video, where=f"{named}{each.line}") for each in found]


def _run_name(samples: "Sequence[Sample]", settings: "Settings", file: Path | None) -> str:
    from ursa_ray.sampling import run_name

    return run_name([sample.prompt for sample in samples], settings, None if file is None else file.stem)
