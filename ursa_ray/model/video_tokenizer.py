"""The tokenizer of the video checkpoints: a causal 3-D autoencoder with finite scalar quantisation.

The network is NVIDIA's Cosmos-Tokenize1-DV (Agarwal et al., arXiv 2501.03575) as URSA publishes it. n frames
become (n - 1) / temporal_stride + 1 latent frames. Clips longer than `sample_frames` are cut into tiles of
that length; space is never cut.
"""

import logging

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ursa_ray.checkpoint.config import VideoTokenizerConfig
from ursa_ray.model.fsq import FiniteScalarQuantizer
from ursa_ray.model.tokenizer_blocks import Decoder, Encoder, Layers, check_size
from ursa_ray.model.video_blocks import (
    CausalConv,
    Downsample,
    FrameNorm,
    Upsample,
    attend_space_then_time,
    conv_space_then_time,
    repeat_first,
)
from ursa_ray.model.wavelet import patch, unpatch

logger = logging.getLogger(__name__)


class VideoTokenizer(nn.Module):
    """Pixels of clips to codes and back. Codes have no gradient; training goes through `latents` and `pixels`."""

    def __init__(self, config: VideoTokenizerConfig):
        super().__init__()
        self.config = config
        self.temporal_stride = config.temporal_stride
        self.spatial_stride = config.spatial_stride
        self.quantizer = FiniteScalarQuantizer(config.levels)
        self.num_codes = self.quantizer.num_codes
        self.codebook_dim = self.quantizer.dim

        cell = config.patch_size**3
        layers, widths, depth = _layers(config), config.block_out_channels, config.layers_per_block
        latent = config.latent_channels
        self.encoder = Encoder(layers, config.in_channels * cell, widths, latent, depth)
        self.quant_conv = CausalConv(latent, self.codebook_dim, 1)
        self.post_quant_conv = CausalConv(self.codebook_dim, latent, 1)
        self.decoder = Decoder(layers, latent, widths, config.out_channels * cell, depth)

    def codebook(self) -> Float[Tensor, "k e"]:
        """Vectors in [-1, 1], of the device and dtype of the weights."""
        weight = self.post_quant_conv.weight
        return self.quantizer.codebook(weight.device).to(weight.dtype)

    def encode(self, pixels: Float[Tensor, "b 3 frames height width"]) -> Int64[Tensor, "b t h w"]:
        """Pixels in [-1, 1] to codes.

        Tiles share one frame with the next. As published, frames that fill no whole tile are dropped.
        Raises OptionError where the sizes do not fill the latent grid.
        """
        num_frames, height, width = pixels.shape[2:]
        check_size("height", height, self.spatial_stride)
        check_size("width", width, self.spatial_stride)
        size = self.config.sample_frames
        if num_frames <= size:
            check_size("the number of frames", num_frames, self.temporal_stride, first=1)
        tiles = whole_tiles(num_frames, size, step=size - 1, kind="frames")
        return torch.cat([self.quantizer.quantize(self.latents(pixels[:, :, tile])) for tile in tiles], dim=1)

    def decode(self, codes: Int64[Tensor, "b t h w"]) -> Float[Tensor, "b 3 frames height width"]:
        """Codes to pixels, in [-1, 1] before clamping.

        Tiles as in `encode`; a frame that two tiles share is taken from the earlier one.
        """
        size = (self.config.sample_frames - 1) // self.temporal_stride + 1
        tiles = whole_tiles(codes.shape[1], size, step=size, kind="latent frames")
        first, *rest = [self.pixels(self.quantizer.dequantize(codes[:, tile])) for tile in tiles]
        return torch.cat([first, *(pixels[:, :, 1:] for pixels in rest)], dim=2)

    def latents(self, pixels: Float[Tensor, "b c frames height width"]) -> Float[Tensor, "b t h w e"]:
        """Unbounded vectors of one tile, before quantisation."""
        patch_size = self.config.patch_size
        pixels = repeat_first(pixels.to(self.quant_conv.weight.dtype), patch_size - 1)
        return rearrange(self.quant_conv(self.encoder(patch(pixels, patch_size))), "b e t h w -> b t h w e")

    def pixels(self, vectors: Float[Tensor, "b t h w e"]) -> Float[Tensor, "b c frames height width"]:
        """Pixels of one tile from vectors of the codebook, or between them."""
        patch_size = self.config.patch_size
        vectors = rearrange(vectors.to(self.post_quant_conv.weight.dtype), "b t h w e -> b e t h w")
        return unpatch(self.decoder(self.post_quant_conv(vectors)), patch_size)[:, :, patch_size - 1 :]


def whole_tiles(num_frames: int, size: int, step: int, kind: str) -> list[slice]:
    """Windows of `size` frames, starting every `step`; what fills no window is dropped, with a warning."""
    if num_frames <= size:
        return [slice(0, num_frames)]
    tiles = [slice(start, start + size) for start in range(0, num_frames - size + 1, step)]
    dropped = num_frames - tiles[-1].stop
    if dropped > 0:
        logger.warning("Dropped the last %d of %d %s: they fill no tile of %d.", dropped, num_frames, kind, size)
    return tiles


def _layers(config: VideoTokenizerConfig) -> Layers:
    last = len(config.block_out_channels) - 2
    # The wavelets did the first halvings.
    space_halvings = _log2(config.spatial_stride) - _log2(config.patch_size)
    time_halvings = _log2(config.temporal_stride) - _log2(config.patch_size)

    def down(stage: int, channels: int) -> list[nn.Module]:
        space, time = stage < space_halvings, stage < time_halvings
        return [Downsample(channels, space, time)] if stage < last and (space or time) else []

    def up(stage: int, channels: int) -> list[nn.Module]:
        # Not the mirror of `down`: time is doubled from the second stage on.
        time = 0 < stage <= time_halvings
        space = time or (stage < space_halvings and time_halvings < space_halvings)
        return [Upsample(channels, space, time)] if stage < last and (space or time) else []

    return Layers(
        norm=FrameNorm,
        conv=conv_space_then_time,
        pointwise=lambda in_channels, out_channels: CausalConv(in_channels, out_channels, 1),
        attention=attend_space_then_time,
        down=down,
        up=up,
    )


def _log2(size: int) -> int:
    return size.bit_length() - 1
