"""Clips of the drawn world for training, with what is shown and where the object is."""

import numpy as np
import torch
from einops import rearrange

from ursa_ray.training import world
from ursa_ray.training.config import Model
from ursa_ray.training.randomness import Draws
from ursa_ray.training.tokenizer import Clips, ClipSource


def drawn_clips(model: Model) -> ClipSource:
    def source(draws: Draws, num_clips: int, held_out: bool) -> Clips:
        rng = draws.numpy()
        split = "held-out" if held_out else "train"
        scenes = [world.sample_scene(rng, split, model.height, model.width) for _ in range(num_clips)]
        size = (model.frames, model.height, model.width)
        return as_clips(
            np.stack([world.draw(scene, *size) for scene in scenes]),
            np.stack([world.mask(scene, *size) for scene in scenes]),
        )

    return source


def as_clips(frames: np.ndarray, foreground: np.ndarray) -> Clips:
    """From uint8 (clips, frames, height, width, 3) and float (clips, frames, height, width)."""
    pixels = torch.from_numpy(frames).float().sub_(127.5).div_(127.5)
    return Clips(
        rearrange(pixels, "b f h w c -> b c f h w").contiguous(),
        torch.from_numpy(foreground).float()[:, None],
    )
