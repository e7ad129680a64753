"""Is the caption followed yet? A cheap test long before a clip is worth looking at, and the clips.

Cross entropy of the object's codes under the right caption, against the same clip under a caption with the opposite
direction or another colour. The gap is 0 for a model that ignores the caption, while the loss falls all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ursa_ray.checkpoint import TextTokenizer
from ursa_ray.model.guidance import Denoiser, Guidance
from ursa_ray.model.path import MetricPath, time_grid
from ursa_ray.model.sampling import FastSampler
from ursa_ray.model.transformer import Transformer
from ursa_ray.model.video_tokenizer import VideoTokenizer
from ursa_ray.training import world
from ursa_ray.training.captions import canonical_caption
from ursa_ray.training.config import Model
from ursa_ray.training.noise import noise_batch
from ursa_ray.training.pictures import write_sheet
from ursa_ray.training.randomness import Draws
from ursa_ray.training.tokenize import encode_scenes

_OPPOSITE = {"right": "left", "left": "right", "up": "down", "down": "up"}

# Times of (first latent frame, all others).
_STATES = {"t10": (0.1, 0.1), "t30": (0.3, 0.3), "given": (0.999, 0.05)}


@dataclass(frozen=True)
class Sampling:
    """How the clips are made that are looked at."""

    steps: int
    shift: float
    guidance: float


@dataclass(frozen=True)
class WorldGate:
    """Attributes:
    prompts: ids (clips, p) of what is said about the clips: "right", "direction", "colour".
    shown: ids (prompts, p) of what pictures are made of.
    """

    codes: Int64[Tensor, "clips n"]
    foreground: Float[Tensor, "clips n"]
    prompts: dict[str, Int64[Tensor, "clips p"]]
    no_prompt: Int64[Tensor, " p"]
    shown: Int64[Tensor, "prompts p"]
    grid: tuple[int, int, int]
    tokenizer: VideoTokenizer
    path: MetricPath
    times: list[float]
    guidance: Guidance

    def figures(self, transformer: Transformer, draws: Draws) -> dict[str, float]:
        figures = {}
        for name, times in _STATES.items():
            right = self._foreground_loss(transformer, self.prompts["right"], times, draws)
            figures[f"{name}_right"] = right
            for other in ("direction", "colour"):
                wrong = self._foreground_loss(transformer, self.prompts[other], times, draws)
                figures[f"{name}_{other}_gap"] = wrong - right
        return figures

    def write_picture(self, transformer: Transformer, seed: int, picture: Path) -> None:
        clips = [self._clip(transformer, prompt, seed) for prompt in self.shown]
        write_sheet(np.stack(clips), picture)

    def _foreground_loss(
        self, transformer: Transformer, prompts: Int64[Tensor, "clips p"], times: tuple[float, float], draws: Draws
    ) -> float:
        first, others = times
        of_frames = torch.full((len(self.codes), self.grid[0]), others)
        of_frames[:, 0] = first
        # The same noise whatever the caption.
        noised = noise_batch(self.path, self.codes, of_frames, draws.torch())
        rotary = transformer.rotary(prompts.shape[1], self.grid)
        logits = transformer.lm_head(transformer(prompts, noised, rotary))
        losses = torch.nn.functional.cross_entropy(logits.float().mT, self.codes, reduction="none")
        # What a given frame shows is not to be guessed.
        weight = self.foreground.clone()
        if first > others:
            weight[:, : weight.shape[1] // self.grid[0]] = 0
        return float((losses * weight).sum() / weight.sum())

    def _clip(self, transformer: Transformer, prompt: Int64[Tensor, " p"], seed: int) -> np.ndarray:
        denoiser = Denoiser(transformer, torch.stack([prompt, self.no_prompt]), self.grid, self.guidance)
        sampler = FastSampler(self.path, self.times, seed, prompt.device)
        codes = sampler.start(int(np.prod(self.grid)))
        for step in range(len(self.times)):
            codes = sampler.step(codes, step, denoiser)
        pixels = self.tokenizer.decode(codes.view(1, *self.grid))[0]
        return (pixels * 127.5 + 127.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()


def world_gate(
    model: Model,
    tokenizer: VideoTokenizer,
    text: TextTokenizer,
    path: MetricPath,
    sampling: Sampling,
    rng: np.random.Generator,
    num_clips: int = 32,
    num_shown: int = 8,
) -> WorldGate:
    scenes = [world.sample_scene(rng, "held-out", model.height, model.width) for _ in range(num_clips)]
    encoded = encode_scenes(model, tokenizer, scenes)
    device = next(tokenizer.parameters()).device

    def ids(scenes: Sequence[world.Scene]) -> Int64[Tensor, "clips p"]:
        said = [text.encode(canonical_caption(scene), model.max_prompt_length) for scene in scenes]
        return torch.tensor(said, device=device)

    return WorldGate(
        codes=torch.from_numpy(np.stack([codes.ravel() for codes, _ in encoded])).to(device),
        foreground=torch.from_numpy(np.stack([covered.ravel() for _, covered in encoded])).to(device),
        prompts={
            "right": ids(scenes),
            "direction": ids([replace(scene, direction=_OPPOSITE[scene.direction]) for scene in scenes]),
            "colour": ids([replace(scene, colour=_next(scene.colour)) for scene in scenes]),
        },
        no_prompt=torch.tensor(text.encode("", model.max_prompt_length), device=device),
        shown=ids(scenes[:num_shown]),
        grid=encoded[0][0].shape,
        tokenizer=tokenizer,
        path=path,
        times=time_grid(sampling.steps, sampling.shift),
        guidance=Guidance(scale=sampling.guidance, trunc=0.9),
    )


def _next(colour: str) -> str:
    colours = list(world.COLOURS)
    return colours[(colours.index(colour) + 1) % len(colours)]
