"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Device(StrEnum):
    CPU = "cpu"
    CUDA = "cuda"


StoryboardPath = Annotated[Path, typer.Argument(metavar="STORYBOARD", help="YAML file that says what to film.")]
RunUrl = Annotated[str, typer.Argument(metavar="RUN", help="Folder or s3://bucket/prefix of a render.")]
AsJson = Annotated[bool, typer.Option("--json", help="End standard output with one line that holds one JSON object.")]
