"""Makes shards of tokens: from the drawn world, or from a folder of clips with a caption beside each."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from einops import reduce
from torch import Tensor

from ursa_ray.errors import OptionError
from ursa_ray.media.assets import covering, require_clip
from ursa_ray.media.frames import decode_frames
from ursa_ray.model.video_tokenizer import VideoTokenizer
from ursa_ray.training import world
from ursa_ray.training.captions import caption
from ursa_ray.training.clips import as_clips
from ursa_ray.training.config import Config, Model
from ursa_ray.training.randomness import TOKENIZING, Draws
from ursa_ray.training.shards import Example, write_shard
from ursa_ray.training.team import Team

NUM_CAPTIONS = 6

_BATCH = 8


def tokenize(config: Config, tokenizer: VideoTokenizer, folder: Path) -> None:
    """Write the shards of this process's share; those that are there already are kept.

    Raises:
        OptionError: a folder of clips has none, or one of them no caption.
        AssetError: a clip cannot be used.
    """
    source = config.shards.source
    if isinstance(source, Path):
        tokenize_clips(config, source, tokenizer, folder)
    else:
        tokenize_world(config, tokenizer, folder)
    Team.here().wait()


def tokenize_world(config: Config, tokenizer: VideoTokenizer, folder: Path) -> None:
    team, shards = Team.here(), config.shards
    for number in range(team.rank, -(-shards.clips // shards.per_shard), team.size):
        file = folder / f"{number:05d}.parquet"
        if not file.exists():
            num_clips = min(shards.per_shard, shards.clips - number * shards.per_shard)
            rng = Draws(config.seed, TOKENIZING, number).numpy()
            write_shard(file, world_examples(config.model, tokenizer, rng, num_clips))


def tokenize_clips(config: Config, source: Path, tokenizer: VideoTokenizer, folder: Path) -> None:
    """One shard for every file of `source` that has a caption beside it: CLIP.mp4 and CLIP.txt."""
    team = Team.here()
    captions = sorted(source.glob("*.txt"))
    if not captions:
        raise OptionError(
            f"{source}: no captions here. Expected CLIP.mp4 and beside it CLIP.txt, a caption on each line."
        )
    for said in captions[team.rank :: team.size]:
        file = folder / f"{said.stem}.parquet"
        if not file.exists():
            write_shard(file, clip_examples(config.model, tokenizer, said))


@torch.no_grad()
def clip_examples(model: Model, tokenizer: VideoTokenizer, said: Path) -> Iterator[Example]:
    """Windows of a clip, one after the other; what fills no window at its end is left out."""
    captions = tuple(line.strip() for line in said.read_text(encoding="utf-8").splitlines() if line.strip())
    clip = next((file for file in sorted(said.parent.iterdir()) if file.stem == said.stem and file != said), None)
    if clip is None or not captions:
        raise OptionError(f"{said}: has no clip beside it, or no line. Expected CLIP.mp4 and CLIP.txt.")
    require_clip(clip)
    frames = decode_frames(clip, f"fps={model.fps}", *covering(model.width, model.height))
    while len(window := list(islice(frames, model.frames))) == model.frames:
        pixels = as_clips(np.stack(window)[None], np.zeros((1, model.frames, 1, 1))).pixels
        codes = tokenizer.encode(pixels.to(next(tokenizer.parameters()).device))
        yield Example(codes[0].cpu().numpy(), captions)


def world_examples(
    model: Model, tokenizer: VideoTokenizer, rng: np.random.Generator, num_clips: int
) -> Iterator[Example]:
    for first in range(0, num_clips, _BATCH):
        size = min(_BATCH, num_clips - first)
        scenes = [world.sample_scene(rng, "train", model.height, model.width) for _ in range(size)]
        captions = [tuple(caption(scene, rng) for _ in range(NUM_CAPTIONS)) for scene in scenes]
        for (codes, foreground), said in zip(encode_scenes(model, tokenizer, scenes), captions, strict=True):
            yield Example(codes, said, foreground)


@torch.no_grad()
def encode_scenes(
    model: Model, tokenizer: VideoTokenizer, scenes: Sequence[world.Scene]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Codes and foreground of each scene's clip, both (t, h, w)."""
    size = (model.frames, model.height, model.width)
    clips = as_clips(
        np.stack([world.draw(scene, *size) for scene in scenes]),
        np.stack([world.mask(scene, *size) for scene in scenes]),
    )
    codes = tokenizer.encode(clips.pixels.to(next(tokenizer.parameters()).device)).cpu().numpy()
    covered = cover_tokens(clips.foreground[:, 0], tokenizer.temporal_stride, tokenizer.spatial_stride).numpy()
    return list(zip(codes, covered, strict=True))


def cover_tokens(foreground: Tensor, temporal_stride: int, spatial_stride: int) -> Tensor:
    """Pixels (b, frames, height, width) to tokens (b, t, h, w): 1 for a token that any frame covers by a quarter."""
    cells = reduce(foreground, "b f (h i) (w j) -> b f h w", "mean", i=spatial_stride, j=spatial_stride)
    first, rest = cells[:, :1], reduce(cells[:, 1:], "b (t s) h w -> b t h w", "max", s=temporal_stride)
    return (torch.cat([first, rest], dim=1) * 4).clamp(max=1)
