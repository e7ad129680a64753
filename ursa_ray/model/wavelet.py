"""Haar wavelets between pixels and the cells that the video tokenizer works on.

One level turns each 2x2x2 cell of pixels x_i into eight sub-bands y_b; i and b are three bits each, for time,
height and width:

    y_b = 1/8 sum_i (-1)^(b.i) x_i        x_i = sum_b (-1)^(b.i) y_b

A patch size of 2**n takes n levels, each splitting all bands of the one before (NVIDIA's Cosmos tokenizer).

The published implementation runs in float16 and with it rounds its filter coefficient, 1/sqrt(2), which shrinks every
level by 0.03 percent in each direction. The recorded values carry that, so it is kept (decision 0002).
"""

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

_CELL = {"i": 2, "j": 2, "k": 2}

# Three axes, each filtered with float16(1/sqrt(2)) instead of 1/sqrt(2).
_GAIN = (0.70703125 * 2**0.5) ** 3


def patch(video: Float[Tensor, "b channels frames height width"], patch_size: int) -> Float[Tensor, "b bands t h w"]:
    """Split into channels * patch_size**3 bands; the newest level is outermost, the channel innermost."""
    for _ in range(_num_levels(patch_size)):
        cells = rearrange(video, "b c (t i) (h j) (w k) -> b (i j k) c t h w", **_CELL)
        bands = einsum(_signs(video) * (_GAIN / 8), cells, "band cell, b cell c t h w -> b band c t h w")
        video = rearrange(bands, "b band c t h w -> b (band c) t h w")
    return video


def unpatch(bands: Float[Tensor, "b bands t h w"], patch_size: int) -> Float[Tensor, "b channels frames height width"]:
    """Undo `patch`, up to the gain of both."""
    for _ in range(_num_levels(patch_size)):
        bands = rearrange(bands, "b (band c) t h w -> b band c t h w", band=8)
        cells = einsum(_signs(bands) * _GAIN, bands, "cell band, b band c t h w -> b cell c t h w")
        bands = rearrange(cells, "b (i j k) c t h w -> b c (t i) (h j) (w k)", **_CELL)
    return bands


def _num_levels(patch_size: int) -> int:
    levels = patch_size.bit_length() - 1
    assert patch_size == 2**levels, f"patch_size {patch_size} is not a power of two"
    return levels


def _signs(like: Tensor) -> Float[Tensor, "8 8"]:
    """(-1)^(b.i) for all b and i: the Hadamard matrix of size eight, its own inverse up to the factor 1/8."""
    pair = like.new_tensor([[1, 1], [1, -1]])
    return torch.kron(torch.kron(pair, pair), pair)
