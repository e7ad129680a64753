"""Options that several commands share."""

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ursa_ray.errors import OptionError

if TYPE_CHECKING:
    from ursa_ray.plan import Plan


class Device(StrEnum):
    CPU = "cpu"
    CUDA = "cuda"


class Parallel(StrEnum):
    GUIDANCE = "guidance"
    SEQUENCE = "sequence"


class Dtype(StrEnum):
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"


class Attention(StrEnum):
    """Those of `model.backends`, which takes torch to import."""

    CUDNN = "cudnn"
    FLASH = "flash"
    EFFICIENT = "efficient"
    ONEDNN = "onednn"
    MATH = "math"


class Draws(StrEnum):
    TORCH = "torch"
    TRITON = "triton"


class LogFormat(StrEnum):
    LINES = "lines"
    JSON = "json"


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
Take = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SHOT[:SEGMENT]=TAKE",
        help="Choose a take of a part, the first being 1; one that was made before costs nothing. May be given several "
        "times.",
        show_default=False,
    ),
]
RunUrl = Annotated[str, typer.Argument(metavar="RUN", help="Folder or s3://bucket/prefix of a render.")]
MostReplicas = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="At most so many models side by side, and no more than there is work for.",
        show_default="one on each GPU, or one",
    ),
]
LeastReplicas = Annotated[
    int, typer.Option(min=0, help="On a cluster: keep so many, also while they have nothing to do.")
]
Accelerators = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND",
        help="On a cluster: use only GPUs of this kind, as Ray labels it, such as H100. May be given several times.",
        show_default=False,
    ),
]
ADDRESS = "RAY_ADDRESS"
Address = Annotated[
    str | None,
    typer.Option(
        envvar=ADDRESS, metavar="HOST:PORT", help="Head of the Ray cluster to render on.", show_default="this machine"
    ),
]
DeviceChoice = Annotated[
    Device | None, typer.Option(help="What a replica runs on.", show_default="cuda where there is a GPU")
]
Threads = Annotated[
    int, typer.Option(min=1, help="Threads of a replica on a CPU. Another number can give another film.")
]
DevicesPerReplica = Annotated[
    int,
    typer.Option(
        min=1, help="Devices of one machine that make a segment together. Another number can give another film."
    ),
]
ParallelChoice = Annotated[
    Parallel | None,
    typer.Option(
        help="How such devices share a step: the branches of guidance (2 devices), or the sequence. The other way "
        "can give another film.",
        show_default="guidance with 2, else sequence",
    ),
]
DtypeChoice = Annotated[
    Dtype | None,
    typer.Option(
        help="What a replica computes in. Another one gives another film.",
        show_default="float16 on cuda, float32 on a CPU",
    ),
]
AttentionChoice = Annotated[
    Attention | None,
    typer.Option(
        help="Kernel of attention, and no other; math holds all scores, 72 GB for 49 frames of a released model. "
        "Another one can give another film.",
        show_default="the fastest that works; see: ursa-ray doctor",
    ),
]
DrawsChoice = Annotated[
    Draws | None,
    typer.Option(
        help="What draws codes: torch, or kernels of Triton on a GPU. The other can give another film.",
        show_default="triton on cuda where it works, else torch",
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Compile the transformer with torch.compile, which takes a compiler. It can give another film.",
    ),
]
PreviewSteps = Annotated[
    list[int] | None,
    typer.Option(
        "--preview",
        metavar="STEP",
        help="Write what each segment will likely be, as seen in this step, to previews/ in the run while it is "
        "made, for one more run of the last layer, or with several devices per replica for one more step. May be "
        "given several times.",
        show_default=False,
    ),
]
InsecureCluster = Annotated[
    bool, typer.Option("--insecure-cluster", help="Render also on a remote Ray cluster that asks for no token.")
]
LogFormatChoice = Annotated[
    LogFormat | None,
    typer.Option(
        help="How to tell on standard error how far it is: lines, or json with one object a line.",
        show_default="bars on a terminal, else lines",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="End standard output with one line that holds one JSON object.")]


def require_preview_steps(steps: Sequence[int], plan: "Plan") -> None:
    """Refuse a preview in the first step, which only starts, in the last, which is the result, or beyond."""
    for segment in plan.segments:
        for step in steps:
            if not 1 < step < segment.steps:
                raise OptionError(
                    f"--preview is {step}, expected 2 to {segment.steps - 1}: {segment.name} has {segment.steps} steps."
                )


def require_lasting(place: str | None, option: str = "--run") -> None:
    """Refuse a run, or what else an option asks to keep, that would lie in the folder of a job, which is gone with it.

    Raises:
        OptionError: it is neither an absolute path nor in a bucket.
    """
    if place is None or not (re.match("s3://[^/]", place) or Path(place).is_absolute()):
        raise OptionError(
            f"{option} is {'missing' if place is None else repr(place)}, and a job's own folder is gone with it. Give "
            "a folder that all nodes share, by its absolute path, or s3://bucket/prefix."
        )


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of 1024x640.

    Raises:
        OptionError: it is something else.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise OptionError(f"--size is {text!r}, expected width and height such as 1024x640.")
    return int(match[1]), int(match[2])


def require_limits(min_replicas: int, replicas: int | None) -> None:
    if replicas is not None and min_replicas > replicas:
        raise OptionError(f"--min-replicas {min_replicas} is more than --replicas {replicas}. Lower it.")
