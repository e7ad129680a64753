"""Probability paths over a codebook: how a code moves from noise at t = 0 to data at t = 1.

`MetricPath` is URSA paper equations 3 and 4 (after kinetic-optimal discrete flow matching, arXiv 2412.03487):

    p_t(x | x_1) = softmax over x of -beta(t) d(x, x_1),     beta(t) = c (t / (1 - t)) ** alpha

with d the squared Euclidean distance of normalised codebook vectors. A code x jumps to y at the rate

    u(y) = p_t(y | x_1) beta'(t) max(0, d(x, x_1) - d(y, x_1))

so it only ever moves closer to x_1. Its rates sum to at most beta'(t) d(x, x_1), since p_t sums to 1, and to at most
4 beta'(t), since no two normalised vectors are farther apart. The published beta'(0) is 0. `MixturePath` keeps x_1 with
probability t and is uniform otherwise; its only rate, 1 / (1 - t), leads to x_1.

Axes: n tokens, k codes of the codebook, e components of a codebook vector.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ursa_ray.checkpoint.config import PathConfig


@runtime_checkable
class Path(Protocol):
    """What the samplers ask of a path; `generator` draws in the published order.

    `rests_at_start` tells that all rates are 0 at t = 0, so that the first step cannot change a code. No code's rates
    sum to more than `max_rate`, and those of single codes to no more than `max_rates`, which cost next to nothing.
    """

    num_codes: int
    rests_at_start: bool

    def probabilities(self, x_1: Int64[Tensor, " n"], t: float) -> Float[Tensor, "n k"]: ...

    def rates(self, x_t: Int64[Tensor, " n"], x_1: Int64[Tensor, " n"], t: float) -> Float[Tensor, "n k"]: ...

    def max_rate(self, t: float) -> float: ...

    def max_rates(self, x_t: Int64[Tensor, " n"], x_1: Int64[Tensor, " n"], t: float) -> Float[Tensor, " n"]: ...

    def noise(self, x_1: Int64[Tensor, " n"], t: float, generator: torch.Generator) -> Int64[Tensor, " n"]: ...


# More than float32 rounding adds to a distance, or to a rate for each unit of beta'(t).
ROUNDING = 1e-4


class MetricPath:
    rests_at_start = True

    def __init__(self, codebook: Float[Tensor, "k e"], alpha: float, c: float, eps: float = 1e-5):
        self.alpha, self.c, self.eps = alpha, c, eps
        self.num_codes = len(codebook)
        self.vectors = F.normalize(codebook, dim=-1, eps=eps)
        self.squares = self.vectors.square().sum(-1)
        self.doubled = (2 * self.vectors).T.contiguous()

    def beta(self, t: float) -> float:
        return self.c * (t / (1 - t)) ** self.alpha

    def beta_slope(self, t: float) -> float:
        """Derivative of beta, by the published definition 0 at t = 0."""
        return self.c * self.alpha * t ** (self.alpha - 1) / (1 - t) ** (self.alpha + 1) if t > 0 else 0.0

    def distances(self, codes: Int64[Tensor, " n"]) -> Float[Tensor, "n k"]:
        """Distance of each code to the whole codebook."""
        vectors = self.vectors_of(codes)
        return (vectors.square().sum(-1, keepdim=True) + self.squares).sub_(vectors @ self.doubled)

    def distance(self, a: Int64[Tensor, " n"], b: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Distance of each code in `a` to its partner in `b`."""
        return (self.vectors_of(a) - self.vectors_of(b)).square().sum(-1)

    def probabilities(self, x_1: Int64[Tensor, " n"], t: float) -> Float[Tensor, "n k"]:
        return self.distances(x_1).mul_(-self.beta(t)).softmax(-1)

    def rates(self, x_t: Int64[Tensor, " n"], x_1: Int64[Tensor, " n"], t: float) -> Float[Tensor, "n k"]:
        distances = self.distances(x_1)
        closer = (self.distance(x_t, x_1)[:, None] - distances).relu_()
        return distances.mul_(-self.beta(t)).softmax(-1).mul_(self.beta_slope(t)).mul_(closer)

    def max_rate(self, t: float) -> float:
        return (4 + ROUNDING) * self.beta_slope(t)

    def max_rates(self, x_t: Int64[Tensor, " n"], x_1: Int64[Tensor, " n"], t: float) -> Float[Tensor, " n"]:
        return (self.distance(x_t, x_1) + ROUNDING) * self.beta_slope(t)

    def noise(self, x_1: Int64[Tensor, " n"], t: float, generator: torch.Generator) -> Int64[Tensor, " n"]:
        return self.probabilities(x_1, t).multinomial(1, generator=generator).squeeze(1)

    def vectors_of(self, codes: Int64[Tensor, " n"]) -> Float[Tensor, "n e"]:
        """Normalised codebook vectors from which distances are measured."""
        # Published: normalised once more, which moves the last bit and so the draws.
        return F.normalize(self.vectors[codes], dim=-1, eps=self.eps)


class MixturePath:
    rests_at_start = False

    def __init__(self, num_codes: int, dtype: torch.dtype = torch.float32):
        self.num_codes, self.dtype = num_codes, dtype

    def probabilities(self, x_1: Int64[Tensor, " n"], t: float) -> Float[Tensor, "n k"]:
        uniform = self._full(x_1, (1 - t) / self.num_codes)
        return uniform.scatter_add_(1, x_1[:, None], torch.full_like(uniform[:, :1], t))

    def rates(self, x_t: Int64[Tensor, " n"], x_1: Int64[Tensor, " n"], t: float) -> Float[Tensor, "n k"]:
        return self._full(x_1, 0.0).scatter_(1, x_1[:, None], 1 / (1 - t))

    def max_rate(self, t: float) -> float:
        return 1 / (1 - t)

    def max_rates(self, x_t: Int64[Tensor, " n"], x_1: Int64[Tensor, " n"], t: float) -> Float[Tensor, " n"]:
        return (x_t != x_1).to(self.dtype) / (1 - t)

    def noise(self, x_1: Int64[Tensor, " n"], t: float, generator: torch.Generator) -> Int64[Tensor, " n"]:
        uniform_code = torch.empty_like(x_1).random_(to=self.num_codes, generator=generator)
        replaced = torch.empty_like(x_1, dtype=self.dtype).uniform_(generator=generator) < 1 - t
        return uniform_code.where(replaced, x_1)

    def _full(self, codes: Int64[Tensor, " n"], value: float) -> Float[Tensor, "n k"]:
        return torch.full((len(codes), self.num_codes), value, dtype=self.dtype, device=codes.device)


def build_path(config: PathConfig, codebook: Float[Tensor, "k e"]) -> Path:
    if config.alpha is None:
        return MixturePath(len(codebook), codebook.dtype)
    assert config.c is not None, config
    return MetricPath(codebook, config.alpha, config.c, config.eps)


def time_grid(num_steps: int, shift: float) -> list[float]:
    """Time t of every step, from 0 and never reaching 1 (URSA paper equation 5): a larger shift stays longer near 0."""
    sigmas = (1 - step / num_steps for step in range(1, num_steps))
    # The published formula; at the first step it misses 0 by a rounding error with some shifts, 0.1 for one.
    return [0.0, *(1 - shift * sigma / (1 + (shift - 1) * sigma) for sigma in sigmas)]
