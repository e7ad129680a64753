"""The tokenizer of the image checkpoints: a 2-D VQGAN (Esser et al., arXiv 2012.09841), Emu3.5's.

Its codebook was learned by index backpropagation (arXiv 2412.02692): the code of a vector is the one with the
largest dot product, not the nearest one.
"""

from typing import Any

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from ursa_ray.checkpoint.config import ImageTokenizerConfig
from ursa_ray.errors import CheckpointError
from ursa_ray.model.tokenizer_blocks import Decoder, Encoder, Layers, SelfAttention, check_size

# Rows of the table of dot products held at a time: 0.5 GB in fp32 with 131,072 codes.
_ROWS = 1024


class ImageTokenizer(nn.Module):
    """Pixels of images to codes and back. Several frames are several images: none sees another."""

    def __init__(self, config: ImageTokenizerConfig):
        super().__init__()
        self.config = config
        self.temporal_stride = config.temporal_stride
        self.spatial_stride = config.spatial_stride
        self.num_codes = config.num_vq_embeddings
        self.codebook_dim = config.vq_embed_dim
        self.decoder_dtype = _torch_dtype(config.decoder_dtype)

        layers, depth, latent = _layers(config), config.layers_per_block, config.latent_channels
        widths = (config.block_out_channels[0], *config.block_out_channels)
        self.encoder = Encoder(layers, config.in_channels, widths, latent, depth, config.attn_down_block)
        self.quant_conv = nn.Conv2d(latent, self.codebook_dim, 1)
        self.quantizer = VectorQuantizer(self.num_codes, self.codebook_dim)
        self.post_quant_conv = nn.Conv2d(self.codebook_dim, latent, 1)
        self.decoder = Decoder(layers, latent, widths, config.out_channels, depth, config.attn_up_block)

    def to(self, *args: Any, **kwargs: Any) -> "ImageTokenizer":
        """As `nn.Module.to`, but the decoder keeps the dtype that the configuration gives it."""
        super().to(*args, **kwargs)
        if self.decoder_dtype is not None:
            self.decoder.to(self.decoder_dtype)
        return self

    def codebook(self) -> Float[Tensor, "k e"]:
        """The table itself, not a copy."""
        return self.quantizer.embedding.weight

    def encode(self, pixels: Float[Tensor, "b 3 t height width"]) -> Int64[Tensor, "b t h w"]:
        """Pixels in [-1, 1] to codes. Raises OptionError where the size does not fill the latent grid."""
        check_size("height", pixels.shape[3], self.spatial_stride)
        check_size("width", pixels.shape[4], self.spatial_stride)
        images = rearrange(pixels.to(self.quant_conv.weight.dtype), "b c t h w -> (b t) c h w")
        latents = self.quant_conv(self.encoder(images))
        codes = self.quantizer.quantize(rearrange(latents, "images e h w -> images h w e"))
        return rearrange(codes, "(b t) h w -> b t h w", b=pixels.shape[0])

    def decode(self, codes: Int64[Tensor, "b t h w"]) -> Float[Tensor, "b 3 t height width"]:
        """Codes to pixels, in [-1, 1] before clamping, of the dtype of the decoder."""
        latents = self.quantizer.dequantize(rearrange(codes, "b t h w -> (b t) h w"))
        latents = self.post_quant_conv(rearrange(latents, "images h w e -> images e h w"))
        images = self.decoder(latents.to(next(self.decoder.parameters()).dtype))
        return rearrange(images, "(b t) c h w -> b c t h w", b=codes.shape[0])


class VectorQuantizer(nn.Module):
    def __init__(self, num_codes: int, dim: int):
        super().__init__()
        self.embedding = nn.Embedding(num_codes, dim)

    def quantize(self, vectors: Float[Tensor, "*grid e"]) -> Int64[Tensor, "*grid"]:
        rows = vectors.flatten(0, -2).split(_ROWS)
        codes = [F.linear(row, self.embedding.weight).argmax(-1) for row in rows]
        return torch.cat(codes).reshape(vectors.shape[:-1])

    def dequantize(self, codes: Int64[Tensor, "*grid"]) -> Float[Tensor, "*grid e"]:
        return self.embedding(codes)


class Downsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Float[Tensor, "images c h_in w_in"]) -> Float[Tensor, "images c h w"]:
        right_and_bottom = (0, 1, 0, 1)
        return self.conv(F.pad(x, right_and_bottom))


class Upsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "images c h_in w_in"]) -> Float[Tensor, "images c h w"]:
        return self.conv(repeat(x, "images c h w -> images c (h 2) (w 2)"))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)


def _layers(config: ImageTokenizerConfig) -> Layers:
    last = len(config.block_out_channels) - 1
    return Layers(
        norm=_norm,
        conv=lambda in_channels, out_channels: nn.Conv2d(in_channels, out_channels, 3, padding=1),
        pointwise=lambda in_channels, out_channels: nn.Conv2d(in_channels, out_channels, 1),
        attention=lambda channels: SelfAttention(channels, _norm(channels), "images c h w", "images 1 (h w) c"),
        down=lambda stage, channels: [Downsample(channels)] if stage < last else [],
        up=lambda stage, channels: [Upsample(channels)] if stage < last else [],
    )


def _torch_dtype(name: str | None) -> torch.dtype | None:
    if name is None:
        return None
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise CheckpointError(f"decoder_dtype is {name!r}, expected the name of a torch dtype such as float32.")
    return dtype
