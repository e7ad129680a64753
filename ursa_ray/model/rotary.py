"""Three-axis rotary positions (URSA paper, section 4.1).

Every position is a triple (t, y, x) and every rotary frequency belongs to one axis: the first 3/4 of them take turns
t, y, x, t, y, x, ..., the rest y, x, y, x, .... Text has three equal coordinates, so that it sees the usual
one-dimensional rotary embedding of Qwen3.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def sequence_positions(num_text: int, grid: tuple[int, int, int], device=None) -> Int[Tensor, "n 3"]:
    """Positions (t, y, x) of [text, begin-of-visual, visual tokens in t, y, x order].

    Time goes on counting after the text; y and x start at 0 again.
    """
    t, h, w = grid
    text = torch.arange(num_text + 1, device=device)[:, None].expand(-1, 3)
    visual = torch.cartesian_prod(
        torch.arange(num_text + 1, num_text + 1 + t, device=device),
        torch.arange(h, device=device),
        torch.arange(w, device=device),
    )
    return torch.cat([text, visual])


def rotary_table(positions: Int[Tensor, "n 3"], head_dim: int, theta: float) -> Float[Tensor, "2 n pairs"]:
    """Cosine and sine of the angle of every rotary pair, in float32."""
    pairs = torch.arange(head_dim // 2, device=positions.device)
    num_interleaved = 3 * (head_dim // 8)
    axis = torch.where(pairs < num_interleaved, pairs % 3, 1 + (pairs - num_interleaved) % 2)
    # In the published order: another one is 1e-7 off, which after 300 positions is 2e-5 of a logit.
    frequency = torch.pow(theta, 2 * pairs.float() / head_dim).reciprocal()
    angle = positions[:, axis].float() * frequency
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x: Float[Tensor, "b n heads d"], table: Float[Tensor, "2 n pairs"]) -> Float[Tensor, "b n heads d"]:
    """Rotate component j against component j + d/2 ("half split")."""
    cos, sin = table.to(x.dtype)[:, :, None]
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
