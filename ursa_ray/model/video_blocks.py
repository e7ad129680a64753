"""Layers of the video tokenizer: convolutions that never look ahead in time, and changes of resolution.

Convolution is factorised into space, then time. Norms are taken per frame, so that they do not look ahead
either; only the attention over time does.
"""

import torch
from einops import rearrange, reduce, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from ursa_ray.model.tokenizer_blocks import SelfAttention

_GRID = "b c t h w"


def repeat_first(x: Float[Tensor, "b c t h w"], num_frames: int) -> Float[Tensor, "b c t+{num_frames} h w"]:
    """Put `num_frames` copies of the first frame in front."""
    return torch.cat([x[:, :, :1]] * num_frames + [x], dim=2)


class CausalConv(nn.Conv3d):
    """Convolution whose window in time ends at the present frame."""

    def forward(self, input: Float[Tensor, "b c_in t h w"]) -> Float[Tensor, "b c_out t_out h_out w_out"]:  # noqa: A002
        past = self.kernel_size[0] - self.stride[0]
        return super().forward(repeat_first(input, past) if past > 0 else input)


class FrameNorm(nn.GroupNorm):
    """Normalises each frame over its channels and pixels."""

    def __init__(self, channels: int):
        super().__init__(num_groups=1, num_channels=channels, eps=1e-6)

    def forward(self, input: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:  # noqa: A002
        frames = super().forward(rearrange(input, "b c t h w -> (b t) c h w"))
        # Contiguous here, where the last copy is not needed any more: else the convolution makes it, and this stays.
        return rearrange(frames, "(b t) c h w -> b c t h w", b=input.shape[0]).contiguous()


class Downsample(nn.Module):
    """Halves space, then time, each by a strided convolution plus an average."""

    def __init__(self, channels: int, space: bool, time: bool):
        super().__init__()
        self.conv1 = CausalConv(channels, channels, (1, 3, 3), stride=(1, 2, 2)) if space else None
        self.conv2 = CausalConv(channels, channels, (3, 1, 1), stride=(2, 1, 1)) if time else None
        self.conv3 = CausalConv(channels, channels, 1)

    def forward(self, x: Float[Tensor, "b c t_in h_in w_in"]) -> Float[Tensor, "b c t h w"]:
        if self.conv1 is not None:
            right_and_bottom = (0, 1, 0, 1)
            x = self.conv1(F.pad(x, right_and_bottom)).add_(reduce(x, "b c t (h 2) (w 2) -> b c t h w", "mean"))
        if self.conv2 is not None:
            x = repeat_first(x, 1)
            x = self.conv2(x).add_(reduce(x, "b c (t 2) h w -> b c t h w", "mean"))
        return self.conv3(x)


class Upsample(nn.Module):
    """Doubles time (t frames become 2 t - 1: the first stands for itself alone), then space."""

    def __init__(self, channels: int, space: bool, time: bool):
        super().__init__()
        self.conv1 = CausalConv(channels, channels, (3, 1, 1)) if time else None
        self.conv2 = CausalConv(channels, channels, (1, 3, 3), padding=(0, 1, 1)) if space else None
        self.conv3 = CausalConv(channels, channels, 1)

    def forward(self, x: Float[Tensor, "b c t_in h_in w_in"]) -> Float[Tensor, "b c t h w"]:
        if self.conv1 is not None:
            x = repeat(x, "b c t h w -> b c (t 2) h w")[:, :, 1:]
            x = self.conv1(x).add_(x)
        if self.conv2 is not None:
            x = repeat(x, "b c t h w -> b c t (h 2) (w 2)")
            x = self.conv2(x).add_(x)
        return self.conv3(x)


def conv_space_then_time(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        CausalConv(in_channels, out_channels, (1, 3, 3), padding=(0, 1, 1)),
        CausalConv(out_channels, out_channels, (3, 1, 1)),
    )


def attend_space_then_time(channels: int) -> nn.Sequential:
    """Attention within each frame, then along time at each pixel.

    Time has no causal mask, unlike NVIDIA's original: URSA was trained on codes made without one.
    """
    return nn.Sequential(
        SelfAttention(channels, FrameNorm(channels), _GRID, "(b t) 1 (h w) c"),
        SelfAttention(channels, FrameNorm(channels), _GRID, "(b h w) 1 t c"),
    )
