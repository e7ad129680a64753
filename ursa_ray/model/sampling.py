"""The jump process from uniform noise to a sample (URSA paper, equation 2 and algorithm 2).

In every step but the last a token draws x_1 from the network's softmax, jumps with probability 1 - exp(-dt sum of its
rates) and, if it does, draws where to from the rates. The last step takes x_1 itself. There are two samplers with one
distribution:

`PublishedSampler` draws from a `torch.Generator` in the published order with the published arithmetic. In float32 it
gives the published implementation's tokens; it is the oracle.

`FastSampler` does not run what cannot matter: step 0 of the metric path (its rates are all 0), the unconditional branch
from `trunc` on, and every token that stays where it is whatever the network says. Which these are is known beforehand,
by thinning: the jumps of a token are the first event of a Poisson process of rate Lambda, the sum of its rates. Lambda
depends on the x_1 that is drawn, yet is at most some Lambda_max that does not. Take a process of rate Lambda_max and
accept each event with probability Lambda / Lambda_max: what is accepted is a process of rate Lambda. Where the faster
process has no event within the step there is none to accept. Only its first event before the end of the step matters,
so one uniform number u tells it all:

    there is an accepted event if u < 1 - exp(-dt Lambda), which implies u < 1 - exp(-dt Lambda_max).

A token whose u is not below the right-hand side needs no row of the last layer, no logits and no x_1; one whose u is
above that of Lambda_max given x_1, the distance from x_1, needs no rates. All others use the same u, so that the codes
are those of computing every row.

Draws are keyed by (seed, step, token), so that any step can be resumed from its codes; they come from the CPU, so that
every device draws alike. Memory is bounded by working on blocks of rows.
"""

import math
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from ursa_ray.errors import OutputError
from ursa_ray.model.guidance import Denoiser
from ursa_ray.model.path import Path

# Rows x codes that are in memory at once. On a CPU 16 MB in float32: from 32 MB on malloc returns pages to the system,
# and to get them back takes as long as the head. A GPU needs as many rows as that for its products.
MAX_BLOCK_ON_CPU, MAX_BLOCK = 2**22, 2**26

# Tokens that may jump are counted in shares of all: oneDNN keeps code for every number of rows that it has met, which
# with any number of them was 80 MB more in memory for every 50 steps.
NUM_SHARES = 16

# Codes of which `draw` cumulates the weights only when the one that is drawn is among them.
GROUP = 256

# Streams of random numbers under one seed; step k draws from stream FIRST_STEP + k.
START, NOISE, FIRST_STEP = 0, 1, 2


@runtime_checkable
class Sampler(Protocol):
    def start(self, num_tokens: int) -> Int64[Tensor, " n"]:
        """Uniform codes, t = 0."""
        ...

    def noise(self, codes: Int64[Tensor, " n"], t: float) -> Int64[Tensor, " n"]:
        """Codes taken back along the path to time t."""
        ...

    def step(self, codes: Int64[Tensor, " n"], step: int, denoiser: Denoiser) -> Int64[Tensor, " n"]: ...

    def likely(self, codes: Int64[Tensor, " n"], step: int, denoiser: Denoiser) -> Int64[Tensor, " n"]:
        """The most likely x_1 of every token at the start of a step; nothing is drawn."""
        ...


class PublishedSampler:
    def __init__(self, path: Path, times: list[float], generator: torch.Generator):
        self.path, self.times, self.generator = path, times, generator

    def start(self, num_tokens: int) -> Int64[Tensor, " n"]:
        codes = torch.empty(num_tokens, dtype=torch.int64, device=self.generator.device)
        return codes.random_(to=self.path.num_codes, generator=self.generator)

    def noise(self, codes: Int64[Tensor, " n"], t: float) -> Int64[Tensor, " n"]:
        return self.path.noise(codes, t, self.generator)

    def step(self, codes: Int64[Tensor, " n"], step: int, denoiser: Denoiser) -> Int64[Tensor, " n"]:
        t = self.times[step]
        x_1 = self._draw(denoiser.logits(codes, t).softmax(-1))
        if step == len(self.times) - 1:
            return x_1
        rates = self.path.rates(codes, x_1, t).scatter_(1, codes[:, None], 0)
        uniform = torch.empty_like(codes, dtype=rates.dtype).uniform_(generator=self.generator)
        jumps = uniform < 1 - torch.exp(-(self.times[step + 1] - t) * rates.sum(-1))
        if jumps.any():
            codes = codes.clone()
            codes[jumps] = self._draw(rates[jumps])
        return codes

    def likely(self, codes: Int64[Tensor, " n"], step: int, denoiser: Denoiser) -> Int64[Tensor, " n"]:
        return denoiser.logits(codes, self.times[step]).argmax(-1)

    def _draw(self, weights: Float[Tensor, "n k"]) -> Int64[Tensor, " n"]:
        return weights.multinomial(1, generator=self.generator).squeeze(1)


class FastSampler:
    def __init__(self, path: Path, times: list[float], seed: int, device: torch.device):
        self.path, self.times, self.seed, self.device = path, times, seed, device

    def start(self, num_tokens: int) -> Int64[Tensor, " n"]:
        return (self._uniform(START, 1, num_tokens)[0] * self.path.num_codes).long()

    def noise(self, codes: Int64[Tensor, " n"], t: float) -> Int64[Tensor, " n"]:
        uniform = self._uniform(NOISE, 1, len(codes))[0]
        blocks = zip(self._blocks(codes), self._blocks(uniform), strict=True)
        return torch.cat([draw(self.path.probabilities(x, t), u) for x, u in blocks])

    def step(self, codes: Int64[Tensor, " n"], step: int, denoiser: Denoiser) -> Int64[Tensor, " n"]:
        if step == 0 and len(self.times) > 1 and self.path.rests_at_start:
            return codes
        uniform = self._uniform(FIRST_STEP + step, 3, len(codes)).T
        moving = self._may_jump(uniform, step)
        if len(moving) == 0:
            return codes
        hidden = denoiser.hidden(codes, self.times[step], moving)
        if not hidden.isfinite().all():  # the draws would make codes of it that look like any others
            raise OutputError(f"step {step + 1}: the transformer gave NaN or infinite numbers. Check this device.")
        blocks = zip(self._blocks(codes[moving]), self._blocks(hidden), self._blocks(uniform[moving]), strict=True)
        moved = [self._jump(x, denoiser.head(rows), u, step) for x, rows, u in blocks]
        return codes.index_copy(0, moving, torch.cat(moved))

    def likely(self, codes: Int64[Tensor, " n"], step: int, denoiser: Denoiser) -> Int64[Tensor, " n"]:
        hidden = denoiser.hidden(codes, self.times[step])
        return torch.cat([denoiser.head(rows).argmax(-1) for rows in self._blocks(hidden)])

    def _may_jump(self, uniform: Float64[Tensor, "n 3"], step: int) -> Int64[Tensor, " moving"]:
        """Tokens that are not sure to stay, and up to a share more; the last step moves all."""
        if step == len(self.times) - 1:
            return torch.arange(len(uniform), device=uniform.device)
        t, next_t = self.times[step : step + 2]
        stays = uniform[:, 1] >= -math.expm1(-(next_t - t) * self.path.max_rate(t))
        share = math.ceil(len(stays) / NUM_SHARES)
        num_moving = math.ceil(int((~stays).sum()) / share) * share
        # Those that stay come last; some fill up the share, and stay.
        return stays.byte().argsort(stable=True)[:num_moving]

    def _jump(
        self, codes: Int64[Tensor, " n"], logits: Float[Tensor, "n k"], uniform: Float64[Tensor, "n 3"], step: int
    ) -> Int64[Tensor, " n"]:
        x_1 = draw(logits.softmax(-1), uniform[:, 0])
        if step == len(self.times) - 1:
            return x_1
        t, next_t = self.times[step : step + 2]

        def jumps(rate: Float[Tensor, " n"], uniform: Float64[Tensor, "n 3"]) -> Int64[Tensor, " jumping"]:
            return (uniform[:, 1] < -torch.expm1(-(next_t - t) * rate.double())).nonzero().squeeze(1)

        near = jumps(self.path.max_rates(codes, x_1, t), uniform)
        rates = self.path.rates(codes[near], x_1[near], t).scatter_(1, codes[near, None], 0)
        jumping = jumps(rates.sum(-1), uniform[near])
        return codes.index_copy(0, near[jumping], draw(rates[jumping], uniform[near[jumping], 2]))

    def _blocks(self, rows: Tensor) -> tuple[Tensor, ...]:
        max_block = MAX_BLOCK_ON_CPU if self.device.type == "cpu" else MAX_BLOCK
        return rows.split(max(1, max_block // self.path.num_codes))

    def _uniform(self, stream: int, *shape: int) -> Float64[Tensor, "..."]:
        """Uniform numbers in [0, 1) from the counter-based generator Philox, the same on every machine."""
        # Spelled out: numpy turns a list with a seed from 2**63 on into float64, where seeds next to it are equal.
        key = np.array([self.seed, stream], dtype=np.uint64)
        raw = np.random.Philox(key=key).random_raw(shape)
        # 52 bits: u times any total stays below that total after rounding.
        return torch.from_numpy((raw >> np.uint64(12)) * 2.0**-52).to(self.device)


def draw(weights: Float[Tensor, "n k"], uniform: Float64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Draw from each row of unnormalised weights by inverting its cumulated sum; a weight of 0 is never drawn.

    First a group of neighbouring codes, then one of them by what is left of the uniform number: only the sums of groups
    are computed for all codes. Rows without any weight give an arbitrary code.
    """
    groups = weights.unflatten(-1, (-1, math.gcd(weights.shape[-1], GROUP)))  # (n, groups, codes)
    group, rest = _invert(groups.sum(-1), uniform)
    within, _ = _invert(groups[torch.arange(len(groups), device=groups.device), group], rest)
    return group * groups.shape[-1] + within


def _invert(
    weights: Float[Tensor, "n k"], uniform: Float64[Tensor, " n"]
) -> tuple[Int64[Tensor, " n"], Float64[Tensor, " n"]]:
    """Which weight each number falls on, and where on it, in [0, 1)."""
    # float64: over 64,000 codes a float32 sum is off by more than the smallest probabilities that matter.
    cumulated = weights.cumsum(-1, dtype=torch.float64)
    threshold = uniform[:, None] * cumulated[:, -1:]
    index = torch.searchsorted(cumulated, threshold, right=True).clamp_(max=weights.shape[-1] - 1)
    weight = weights.gather(1, index).double()
    rest = (threshold - (cumulated.gather(1, index) - weight)) / weight
    return index.squeeze(1), rest.nan_to_num_(0).clamp_(0, 1 - 2.0**-52).squeeze(1)
