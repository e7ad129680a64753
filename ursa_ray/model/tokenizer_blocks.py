"""What both visual tokenizers are made of: stages of residual blocks, around a middle that attends.

Images and video share this skeleton; `Layers` holds what differs. Parameter names are those of the published
state dicts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from einops import parse_shape, rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from ursa_ray.errors import OptionError


@dataclass(frozen=True)
class Layers:
    """How one tokenizer builds its layers, given channels (in, out).

    `down` and `up` take a stage and its channels, and return the modules that change the resolution after it.
    """

    norm: Callable[[int], nn.Module]
    conv: Callable[[int, int], nn.Module]
    pointwise: Callable[[int, int], nn.Module]
    attention: Callable[[int], nn.Module]
    down: Callable[[int, int], list[nn.Module]]
    up: Callable[[int, int], list[nn.Module]]


class SelfAttention(nn.Module):
    """One head of attention, added to its input; `tokens` is the einops pattern of who attends to whom."""

    def __init__(self, channels: int, norm: nn.Module, grid: str, tokens: str):
        super().__init__()
        self.grid, self.tokens = grid, tokens
        self.group_norm = norm
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b c *grid"]:
        tokens = rearrange(self.group_norm(x), f"{self.grid} -> {self.tokens}")
        mixed = F.scaled_dot_product_attention(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens))
        return x + rearrange(self.to_out(mixed), f"{self.tokens} -> {self.grid}", **parse_shape(x, self.grid))


silu = nn.SiLU(inplace=True)


def each_of(layer: nn.Module) -> list[nn.Module]:
    return list(layer) if isinstance(layer, nn.Sequential) else [layer]


class ResBlock(nn.Module):
    def __init__(self, layers: Layers, in_channels: int, out_channels: int):
        super().__init__()
        self.norm1 = layers.norm(in_channels)
        self.conv1 = layers.conv(in_channels, out_channels)
        self.norm2 = layers.norm(out_channels)
        self.conv2 = layers.conv(out_channels, out_channels)
        widens = in_channels != out_channels
        self.conv_shortcut = layers.pointwise(in_channels, out_channels) if widens else nn.Identity()

    def forward(self, x: Float[Tensor, "b c_in *grid"]) -> Float[Tensor, "b c_out *grid"]:
        hidden = x
        # One by one: a call of several keeps what it was given until all are done, which is 1 of 4.3 GB.
        for layer in (self.norm1, silu, *each_of(self.conv1), self.norm2, silu, *each_of(self.conv2)):
            hidden = layer(hidden)
        return hidden.add_(self.conv_shortcut(x))


class Stage(nn.Module):
    """`depth` residual blocks, attention after each if `attend`, then any change of resolution."""

    def __init__(self, layers: Layers, in_channels: int, out_channels: int, depth: int, attend: bool):
        super().__init__()
        widths = [in_channels] + [out_channels] * depth
        self.resnets = nn.ModuleList(ResBlock(layers, *pair) for pair in pairwise(widths))
        self.attentions = nn.ModuleList(layers.attention(out_channels) for _ in self.resnets if attend)
        self.downsamplers = nn.ModuleList()
        self.upsamplers = nn.ModuleList()

    def forward(self, x: Float[Tensor, "b c_in *grid_in"]) -> Float[Tensor, "b c_out *grid_out"]:
        for i, resnet in enumerate(self.resnets):
            x = resnet(x)
            if self.attentions:
                x = self.attentions[i](x)
        for resample in (*self.downsamplers, *self.upsamplers):
            x = resample(x)
        return x


class MidBlock(nn.Module):
    def __init__(self, layers: Layers, channels: int):
        super().__init__()
        self.resnets = nn.ModuleList(ResBlock(layers, channels, channels) for _ in range(2))
        self.attentions = nn.ModuleList([layers.attention(channels)])

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b c *grid"]:
        before, after = self.resnets
        return after(self.attentions[0](before(x)))


class Encoder(nn.Module):
    """From pixels to latents. `widths` are the channels of `conv_in`, then of each stage."""

    def __init__(
        self,
        layers: Layers,
        in_channels: int,
        widths: tuple[int, ...],
        out_channels: int,
        depth: int,
        attend: bool = False,
    ):
        super().__init__()
        self.conv_in = layers.conv(in_channels, widths[0])
        self.down_blocks = nn.Sequential()
        deepest = len(widths) - 2
        for i, (before, width) in enumerate(pairwise(widths)):
            stage = Stage(layers, before, width, depth, attend and i == deepest)
            stage.downsamplers.extend(layers.down(i, width))
            self.down_blocks.append(stage)
        self.mid_block = MidBlock(layers, widths[-1])
        self.conv_norm_out = layers.norm(widths[-1])
        self.conv_out = layers.conv(widths[-1], out_channels)

    def forward(self, x: Float[Tensor, "b c_in *grid_in"]) -> Float[Tensor, "b c_out *grid_out"]:
        x = self.mid_block(self.down_blocks(self.conv_in(x)))
        return self.conv_out(F.silu(self.conv_norm_out(x), inplace=True))


class Decoder(nn.Module):
    """From latents to pixels, with the `widths` of its encoder and one residual block more per stage."""

    def __init__(
        self,
        layers: Layers,
        in_channels: int,
        widths: tuple[int, ...],
        out_channels: int,
        depth: int,
        attend: bool = False,
    ):
        super().__init__()
        narrowing = (widths[-1], *reversed(widths[1:]))
        self.conv_in = layers.conv(in_channels, narrowing[0])
        self.mid_block = MidBlock(layers, narrowing[0])
        self.up_blocks = nn.Sequential()
        for i, (before, width) in enumerate(pairwise(narrowing)):
            stage = Stage(layers, before, width, depth + 1, attend and i == 0)
            stage.upsamplers.extend(layers.up(i, width))
            self.up_blocks.append(stage)
        self.conv_norm_out = layers.norm(narrowing[-1])
        self.conv_out = layers.conv(narrowing[-1], out_channels)

    def forward(self, x: Float[Tensor, "b c_in *grid_in"]) -> Float[Tensor, "b c_out *grid_out"]:
        x = self.up_blocks(self.mid_block(self.conv_in(x)))
        return self.conv_out(F.silu(self.conv_norm_out(x), inplace=True))


def check_size(name: str, size: int, stride: int, first: int = 0) -> None:
    """Refuse a `size` that is not `first` plus a multiple of `stride`."""
    past = (size - first) % stride
    if past == 0:
        return
    rule = f"a multiple of {stride}" if first == 0 else f"{first} plus a multiple of {stride}"
    nearest = [str(near) for near in (size - past, size - past + stride) if near > 0]
    raise OptionError(f"{name} is {size}, expected {rule}. Nearest: {' or '.join(nearest)}.")
