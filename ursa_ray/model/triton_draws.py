"""Draws from sums of groups of codes that Triton kernels compute, so that no number for every row and code is stored.

Scores are summed in float32 and never rounded to the weights' dtype, as torch rounds them: of fp16 scores near 20 the
last bit is 0.016. Distances are sums of squared differences, over as many components as registers hold.
"""

from dataclasses import dataclass
from subprocess import SubprocessError

import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from triton.errors import TritonError

from ursa_ray.model.draw_kernels import GROUP, head_groups, head_within, rate_groups
from ursa_ray.model.draws import Rates, invert
from ursa_ray.model.guidance import Denoiser
from ursa_ray.model.path import MetricPath

# Arrays that `num_kept` allows for: three results, what becomes of them, and float64 sums, which count twice.
NUM_ARRAYS = 8

# Of scores, when the kernels are tried: far above the rounding of float32 sums, far below a wrong one.
TOLERANCE = 1e-3

# Next to a gain above rounding, 1e-7, it is nothing.
LEAST_GAIN = 1e-30


class TritonDraws:
    def __init__(self, path: MetricPath):
        self.path = path
        self.columns = path.vectors.T.contiguous()
        self.groups = F.pad(path.vectors, (0, 0, 0, -path.num_codes % GROUP)).unflatten(0, (-1, GROUP))
        self.num_kept = NUM_ARRAYS * len(self.groups)

    def x_1(
        self, denoiser: Denoiser, hidden: Float[Tensor, "n d"], uniform: Float64[Tensor, " n"]
    ) -> Int64[Tensor, " n"]:
        return draw_score(hidden.contiguous(), denoiser.head_weight, uniform)

    def rates(self, x_t: Int64[Tensor, " n"], x_1: Int64[Tensor, " n"], t: float) -> Rates:
        target, reach = self.path.vectors_of(x_1), self.path.distance(x_t, x_1)
        beta, slope = self.path.beta(t), self.path.beta_slope(t)
        nearest, total, gain = rate_groups(target, reach, x_t, self.columns, beta)
        scale = torch.exp(beta * (nearest.amin(-1, keepdim=True) - nearest))
        sums = gain * scale * (slope / (total * scale).sum(-1, keepdim=True))
        return TritonRates(self, x_t, target, reach, beta, sums)


@dataclass(frozen=True)
class TritonRates:
    """Sums of the rates of every group, and what it takes to compute those of one group again."""

    draws: TritonDraws
    x_t: Int64[Tensor, " n"]
    target: Float32[Tensor, "n e"]
    reach: Float32[Tensor, " n"]
    beta: float
    sums: Float32[Tensor, "n g"]

    @property
    def total(self) -> Float32[Tensor, " n"]:
        return self.sums.sum(-1)

    def draw(self, rows: Int64[Tensor, " rows"], uniform: Float64[Tensor, " rows"]) -> Int64[Tensor, " rows"]:
        group, rest = invert(self.sums[rows], uniform)
        within, _ = invert(self._of_group(rows, group), rest)
        return group * GROUP + within

    def _of_group(self, rows: Int64[Tensor, " rows"], group: Int64[Tensor, " rows"]) -> Float32[Tensor, "rows codes"]:
        """Rates to the codes of one group, each row in its own unit."""
        # Plain torch: few tokens jump, and a group of a narrow codebook is a few KB.
        distances = (self.target[rows, None] - self.draws.groups[group]).square().sum(-1)
        codes = group[:, None] * GROUP + torch.arange(GROUP, device=group.device)
        barred = (codes == self.x_t[rows, None]) | (codes >= self.draws.path.num_codes)
        distances = distances.masked_fill(barred, torch.inf)
        # The least gain: where the kernel rounded another way and all are 0 here, the nearest code is drawn.
        gains = (self.reach[rows, None] - distances).clamp_(min=LEAST_GAIN)
        return (self.beta * (distances.amin(-1, keepdim=True) - distances)).exp_().mul_(gains)


def draw_score(
    hidden: Float[Tensor, "n d"], weight: Float[Tensor, "k d"], uniform: Float64[Tensor, " n"]
) -> Int64[Tensor, " n"]:
    """A code for each row from the softmax of hidden @ weight.T, both of one dtype and contiguous."""
    assert hidden.is_contiguous() and weight.is_contiguous(), (hidden.stride(), weight.stride())
    peak, total = head_groups(hidden, weight)
    group, rest = invert(total * torch.exp(peak - peak.amax(-1, keepdim=True)), uniform)
    within, _ = invert(head_within(hidden, weight, group).softmax(-1), rest)
    return group * GROUP + within


def refusal(path: MetricPath, weight: Float[Tensor, "k d"]) -> str | None:
    """Why the kernels do not run here, found by running them; None if they do."""
    first = torch.zeros(1, dtype=torch.int64, device=weight.device)
    hidden, codes = weight[:1], weight[:GROUP]
    expected = hidden.float() @ codes.float().T
    # Triton compiles with a C compiler and ptxas, for cards and sizes that it supports.
    try:
        peak, _ = head_groups(hidden, weight)
        scores = head_within(hidden, weight, first)[:, : len(codes)]
        TritonDraws(path).rates(first, first + 1, 0.5)
    except (RuntimeError, OSError, SubprocessError, TritonError) as error:
        return str(error).partition("\n")[0]
    off = torch.cat([scores - expected, peak[:, :1] - expected.amax()], -1).abs().amax()
    return None if off < TOLERANCE * expected.abs().amax() else "its scores are wrong"
