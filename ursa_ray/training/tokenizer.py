"""Trains the video tokenizer on drawn clips.

Finite scalar quantisation collapses in two ways. With rounding from the start, 20 of 1,000 codes were used: so
uniform noise of the width of a level stands for it in the first part, and a straight-through gradient follows. With
noise alone the digits fled to both ends of their range, 15 codes: so they are drawn towards an even spread in the
first half. The object covers a tenth of a frame and is all that matters, so its pixels weigh more. Films are made of
clips that each begin with the decoded end of the one before: late in the run codes must survive being decoded and
encoded again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ursa_ray.model.video_tokenizer import VideoTokenizer
from ursa_ray.training.config import TokenizerTraining
from ursa_ray.training.pictures import write_sheet
from ursa_ray.training.randomness import Draws

# Half of a level is where rounding changes; re-encoded digits are to stay well inside.
_INSIDE = 0.3

_NUM_LOOKED_AT = 16


@dataclass(frozen=True)
class Clips:
    """Pixels in [-1, 1] and how much of each pixel the object covers."""

    pixels: Float[Tensor, "b 3 frames height width"]
    foreground: Float[Tensor, "b 1 frames height width"]


# Draws, how many, and whether they are held out of training.
ClipSource = Callable[[Draws, int, bool], Clips]


class TokenizerTask:
    def __init__(
        self,
        tokenizer: VideoTokenizer,
        training: TokenizerTraining,
        source: ClipSource,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ):
        self.module, self.training, self.source, self.device, self.dtype = tokenizer, training, source, device, dtype

    def loss(self, draws: Draws, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        clips, training = self._clips(draws, self.training.batch, held_out=False), self.training
        quantizer = self.module.quantizer
        is_noisy = progress < training.noise_until
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            digits = quantizer.bound(self.module.latents(clips.pixels))
            rounded = add_noise(digits, draws) if is_noisy else round_straight_through(digits)
            pixels = self.module.pixels(quantizer.scale(rounded))
            loss = reconstruction_loss(pixels.float(), clips, training.foreground, training.gradient)
            spread = training.spread * max(0.0, 1 - progress / training.spread_until)
            if spread > 0:
                loss = loss + spread * distance_from_uniform(digits, quantizer.levels)
            figures = {"psnr": psnr(pixels.detach(), clips.pixels)}
            if training.idempotence > 0 and progress >= training.idempotence_from:
                again = quantizer.bound(self.module.latents(pixels.clamp(-1, 1)))
                strayed = F.relu((again - rounded.detach()).abs() - _INSIDE)
                loss = loss + training.idempotence * strayed.mean()
                figures["changed"] = (again.round() != rounded).any(-1).float().mean()
        return loss, figures

    def look(self, module: nn.Module, draws: Draws, picture: Path) -> dict[str, float]:
        assert isinstance(module, VideoTokenizer)
        clips = self._clips(draws, _NUM_LOOKED_AT, held_out=True)
        codes = module.encode(clips.pixels)
        # Through 8 bits, as between the clips of a film.
        decoded = (module.decode(codes) * 127.5 + 127.5).clamp(0, 255).to(torch.uint8)
        again = module.encode(decoded.float() / 127.5 - 1)
        pixels = decoded.float() / 127.5 - 1
        pairs = torch.cat([clips.pixels * 127.5 + 127.5, decoded.float()], dim=-2)[:6]
        write_sheet(rearrange(pairs, "n c f h w -> n f h w c").to(torch.uint8).cpu().numpy(), picture)
        return {
            "held_out_psnr": float(psnr(pixels, clips.pixels)),
            "held_out_foreground_psnr": float(psnr(pixels, clips.pixels, clips.foreground)),
            "held_out_changed": float((codes != again).float().mean()),
            "codes_used": codes.unique().numel(),
        }

    def _clips(self, draws: Draws, num_clips: int, held_out: bool) -> Clips:
        clips = self.source(draws, num_clips, held_out)
        return Clips(clips.pixels.to(self.device), clips.foreground.to(self.device))


def add_noise(digits: Float[Tensor, "*grid e"], draws: Draws) -> Float[Tensor, "*grid e"]:
    """Uniform noise as wide as a level: what rounding does on average, with a gradient."""
    noise = torch.rand(digits.shape, generator=draws.torch())
    return digits + noise.to(digits.device) - 0.5


def distance_from_uniform(digits: Float[Tensor, "*grid e"], levels: tuple[int, ...]) -> Tensor:
    """Mean squared distance between sorted digits and evenly spread ones, each number in units of its range."""
    rows = (digits.flatten(0, -2) / digits.new_tensor(levels)).sort(dim=0).values
    even = (torch.arange(len(rows), device=rows.device) + 0.5) / len(rows) - 0.5
    # An even number of levels is centred on -1/2.
    centre = digits.new_tensor([-0.5 / level if level % 2 == 0 else 0.0 for level in levels])
    return (rows - centre - even[:, None]).square().mean()


def round_straight_through(digits: Float[Tensor, "*grid e"]) -> Float[Tensor, "*grid e"]:
    """Rounded, with the gradient of not rounding."""
    return digits + (digits.round() - digits).detach()


def reconstruction_loss(
    pixels: Float[Tensor, "b 3 frames height width"], clips: Clips, foreground: float, gradient: float
) -> Tensor:
    """Mean absolute error plus that of differences between neighbours, weighted `foreground` where the object is."""
    # A pixel around the object is its edge.
    near = F.max_pool3d(clips.foreground, (1, 3, 3), stride=1, padding=(0, 1, 1))
    weight = 1 + (foreground - 1) * near
    weight = weight / weight.mean()
    error = pixels - clips.pixels
    edges = [(weight * error).diff(dim=axis).abs().mean() for axis in (-1, -2)]
    return (weight * error).abs().mean() + gradient * (edges[0] + edges[1]) / 2


def psnr(
    pixels: Float[Tensor, "b 3 frames height width"],
    expected: Float[Tensor, "b 3 frames height width"],
    where: Float[Tensor, "b 1 frames height width"] | None = None,
) -> Float[Tensor, ""]:
    """Decibels, for pixels in [-1, 1]; of the pixels `where` is over 1/2, if given."""
    square = reduce((pixels.float().clamp(-1, 1) - expected).square(), "b c f h w -> b 1 f h w", "mean")
    error = square.mean() if where is None else square[where > 0.5].mean()
    return -10 * torch.log10(error / 4)
