"""Makes shards of tokens: from the drawn world, or from a folder of clips with a caption beside each."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from einops import reduce
from torch import Tensor

from ursa_ray.checkpoint import Checkpoint
from ursa_ray.checkpoint.config import VideoTokenizerConfig
from ursa_ray.errors import OptionError
from ursa_ray.media.assets import covering, require_clip
from ursa_ray.media.frames import decode_frames
from ursa_ray.model.loading import load_visual_tokenizer
from ursa_ray.model.video_tokenizer import VideoTokenizer
from ursa_ray.training import world
from ursa_ray.training.captions import caption
from ursa_ray.training.clips import as_clips
from ursa_ray.training.config import Model, Shards
from ursa_ray.training.randomness import TOKENIZING, Draws
from ursa_ray.training.shards import Example, Origin, is_made, write_shard
from ursa_ray.training.team import Team

logger = logging.getLogger(__name__)

Tell = Callable[[str], None]

NUM_CAPTIONS = 6

_BATCH = 8


@dataclass(frozen=True)
class Shard:
    """One that is to be there; its examples are made when they are asked for."""

    file: Path
    origin: Origin
    examples: Iterator[Example]


def tokenize_with(
    checkpoint: Checkpoint, shards: Shards, model: Model, seed: int, device: torch.device, folder: Path, tell: Tell
) -> int:
    """As `tokenize`, with the tokenizer of a checkpoint.

    Raises:
        OptionError: as `tokenize`; or the model makes no videos, or none of this size.
    """
    config = checkpoint.tokenizer
    if not isinstance(config, VideoTokenizerConfig):
        raise OptionError(f"{checkpoint.name} makes images; tokens of clips need a video model.")
    for name in ("width", "height"):
        if getattr(model, name) % config.spatial_stride:
            raise OptionError(f"{name} is {getattr(model, name)}, expected a multiple of {config.spatial_stride}.")
    if (model.frames - 1) % config.temporal_stride:
        raise OptionError(f"frames is {model.frames}, expected 1 more than a multiple of {config.temporal_stride}.")
    tokenizer = load_visual_tokenizer(checkpoint, device, torch.float32)
    assert isinstance(tokenizer, VideoTokenizer), checkpoint.name
    return tokenize(shards, model, seed, tokenizer, folder, tell)


def tokenize(
    shards: Shards, model: Model, seed: int, tokenizer: VideoTokenizer, folder: Path, tell: Tell = logger.info
) -> int:
    """Write the shards of this process's share; those that are there already are kept. Returns how many were written.

    Raises:
        OptionError: a folder of clips has none, or one of them no caption; a shard that is there is of other clips or
            of another tokenizer.
        AssetError: a clip cannot be used.
    """
    team, num_made = Team.here(), 0
    wanted = list(shards_of(shards, model, seed, tokenizer, folder))
    missing = [shard for shard in wanted if not is_made(shard.file, shard.origin)]
    strangers = sorted(set(folder.glob("*.parquet")) - {shard.file for shard in wanted})
    if strangers:
        raise OptionError(f"{strangers[0]}: is none of the {len(wanted)} shards of this run. Delete it.")
    team.wait()  # or others would find what this process writes
    for shard in missing[team.rank :: team.size]:
        write_shard(shard.file, shard.examples, shard.origin)
        num_made += 1
        tell(f"{shard.file} is made, {num_made} of {len(missing[team.rank :: team.size])}")
    team.wait()
    return num_made


def shards_of(shards: Shards, model: Model, seed: int, tokenizer: VideoTokenizer, folder: Path) -> Iterator[Shard]:
    encoder = encoder_sha256(tokenizer)
    size = f"{model.frames} frames of {model.width}x{model.height} at {model.fps} fps"
    if isinstance(shards.source, Path):
        for said, clip in captioned_clips(shards.source):
            words = hashlib.sha256(said.read_bytes()).hexdigest()
            origin = Origin(encoder, size, f"{clip.name} of {clip.stat().st_size} bytes, captions {words:.12}")
            yield Shard(folder / f"{said.stem}.parquet", origin, clip_examples(model, tokenizer, said, clip))
        return
    for number in range(-(-shards.clips // shards.per_shard)):
        num_clips = min(shards.per_shard, shards.clips - number * shards.per_shard)
        origin = Origin(encoder, size, f"{num_clips} of the drawn world, seed {seed}, part {number}")
        rng = Draws(seed, TOKENIZING, number).numpy()
        yield Shard(folder / f"{number:05d}.parquet", origin, world_examples(model, tokenizer, rng, num_clips))


def encoder_sha256(tokenizer: VideoTokenizer) -> str:
    """Hash of what decides codes: a decoder that was trained further makes no other ones."""
    digest = hashlib.sha256(repr(tokenizer.config).encode())
    for name, value in sorted(tokenizer.state_dict().items()):
        if not name.startswith(("decoder.", "post_quant_conv.")):
            digest.update(name.encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def captioned_clips(source: Path) -> list[tuple[Path, Path]]:
    """Every caption file of a folder and the clip beside it: CLIP.txt and CLIP.mp4."""
    captions = sorted(source.glob("*.txt"))
    if not captions:
        raise OptionError(
            f"{source}: no captions here. Expected CLIP.mp4 and beside it CLIP.txt, a caption on each line."
        )
    return [(said, clip_beside(said)) for said in captions]


def clip_beside(said: Path) -> Path:
    clip = next((file for file in sorted(said.parent.iterdir()) if file.stem == said.stem and file != said), None)
    if clip is None or not captions_in(said):
        raise OptionError(f"{said}: has no clip beside it, or no line. Expected CLIP.mp4 and CLIP.txt.")
    return clip


def captions_in(said: Path) -> tuple[str, ...]:
    return tuple(line.strip() for line in said.read_text(encoding="utf-8").splitlines() if line.strip())


@torch.no_grad()
def clip_examples(model: Model, tokenizer: VideoTokenizer, said: Path, clip: Path) -> Iterator[Example]:
    """Windows of a clip, one after the other; what fills no window at its end is left out."""
    require_clip(clip)
    captions = captions_in(said)
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
