"""Options that several commands share."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ursa_ray.errors import OptionError


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


def require_lasting(run: str | None) -> None:
    """Refuse a run that would lie in the folder of a job, which is gone with it.

    Raises:
        OptionError: it is neither an absolute path nor in a bucket.
    """
    if run is None or not (re.match("s3://[^/]", run) or Path(run).is_absolute()):
        raise OptionError(
            f"--run is {'missing' if run is None else repr(run)}, and a job's own folder is gone with it. Give a "
            "folder that all nodes share, by its absolute path, or s3://bucket/prefix."
        )


def require_limits(min_replicas: int, replicas: int | None) -> None:
    if replicas is not None and min_replicas > replicas:
        raise OptionError(f"--min-replicas {min_replicas} is more than --replicas {replicas}. Lower it.")
