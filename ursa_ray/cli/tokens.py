"""`tokenize`: training data from clips."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ursa_ray.cli.app import app
from ursa_ray.cli.options import AsJson, Device
from ursa_ray.cli.output import note, say, say_json
from ursa_ray.errors import OptionError
from ursa_ray.wording import count_of

if TYPE_CHECKING:
    from ursa_ray.training.config import Shards


@app.command()
def tokenize(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the shards; those that are there are kept.")],
    model: Annotated[str, typer.Option(metavar="MODEL", help="tiny, a folder, or a hub id.")] = "tiny",
    clips: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of CLIP.mp4 and CLIP.txt, a caption on each line.",
            show_default="the drawn world",
        ),
    ] = None,
    num_clips: Annotated[
        int | None, typer.Option(min=1, help="Of the drawn world: how many.", show_default="40000")
    ] = None,
    per_shard: Annotated[
        int | None, typer.Option(min=1, help="Of the drawn world: clips in a file.", show_default="2000")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawn world: decides the clips.")] = 0,
    width: Annotated[
        int | None, typer.Option(min=1, help="Width of the clips in pixels.", show_default="the model's")
    ] = None,
    height: Annotated[
        int | None, typer.Option(min=1, help="Height of the clips in pixels.", show_default="the model's")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames of an example.", show_default="the model's")] = None,
    fps: Annotated[int | None, typer.Option(min=1, help="Frames a second.", show_default="the model's")] = None,
    device: Annotated[
        Device | None, typer.Option(help="What to compute on.", show_default="cuda where there is a GPU")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make training data of clips: shards of tokens and captions.

    The clips are yours, or of the drawn world; the shards are Parquet files.
    """
    from ursa_ray.checkpoint import open_checkpoint
    from ursa_ray.files import require_folder
    from ursa_ray.model import choose_device
    from ursa_ray.training.config import Model, Shards
    from ursa_ray.training.shards import count_examples
    from ursa_ray.training.tokenize import tokenize_with

    require_folder(out)
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
    num_made = tokenize_with(checkpoint, shards, sizes, seed, chosen, out, note)
    num_shards, num_examples = count_examples(out)
    say(f"{out}: {count_of(num_examples, 'clip')} in {count_of(num_shards, 'shard')}, {num_made} of them new")
    if as_json:
        say_json({"folder": out, "num_shards": num_shards, "num_new_shards": num_made, "num_clips": num_examples})


def _world_shards(num_clips: int | None, per_shard: int | None) -> "Shards":
    from ursa_ray.training.config import Shards

    given = {"clips": num_clips, "per_shard": per_shard}
    return Shards.model_validate({name: value for name, value in given.items() if value is not None})
