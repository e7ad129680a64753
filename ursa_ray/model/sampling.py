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
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from ursa_ray.errors import OutputError
from ursa_ray.model.draws import Draws, TorchDraws, draw
from ursa_ray.model.guidance import Denoiser
from ursa_ray.model.path import Path

# Numbers that are in memory at once for a block of rows. On a CPU 16 MB in float32: from 32 MB on malloc returns pages
# to the system, and to get them back takes as long as the head. A GPU needs as many rows as that for its products.
MAX_BLOCK_ON_CPU, MAX_BLOCK = 2**22, 2**26

# Tokens that may jump are counted in shares of all. On a CPU oneDNN keeps code for every number of rows that it has
# met: with any number of them 80 MB more in memory for every 50 steps. On a GPU cuDNN plans attention anew for every
# number, 0.4 s each as told of Blackwell, not measured here; a share more is at most a quarter of the last layer and of
# the head, 8 TFLOP by count (6 and 2) of a step's 706.
NUM_SHARES_ON_CPU, NUM_SHARES = 16, 4

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
    def __init__(self, path: Path, times: list[float], seed: int, device: torch.device, draws: Draws | None = None):
        self.path, self.times, self.seed, self.device = path, times, seed, device
        self.draws = TorchDraws(path) if draws is None else draws

    def start(self, num_tokens: int) -> Int64[Tensor, " n"]:
        return (self._uniform(START, 1, num_tokens)[0] * self.path.num_codes).long()

    def noise(self, codes: Int64[Tensor, " n"], t: float) -> Int64[Tensor, " n"]:
        uniform = self._uniform(NOISE, 1, len(codes))[0]
        blocks = self._blocks(self.path.num_codes, codes, uniform)
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
            raise OutputError(
                f"step {step + 1}: the transformer gave NaN or infinite numbers. "
                "Check this device, or give a dtype of wider range."
            )
        blocks = self._blocks(self.draws.num_kept, codes[moving], hidden, uniform[moving])
        moved = [self._jump(x, self.draws.x_1(denoiser, rows, u[:, 0]), u, step) for x, rows, u in blocks]
        return codes.index_copy(0, moving, torch.cat(moved))

    def likely(self, codes: Int64[Tensor, " n"], step: int, denoiser: Denoiser) -> Int64[Tensor, " n"]:
        hidden = denoiser.hidden(codes, self.times[step])
        return torch.cat([denoiser.head(rows).argmax(-1) for (rows,) in self._blocks(self.path.num_codes, hidden)])

    def _may_jump(self, uniform: Float64[Tensor, "n 3"], step: int) -> Int64[Tensor, " moving"]:
        """Tokens that are not sure to stay, and up to a share more; the last step moves all."""
        if step == len(self.times) - 1:
            return torch.arange(len(uniform), device=uniform.device)
        t, next_t = self.times[step : step + 2]
        stays = uniform[:, 1] >= -math.expm1(-(next_t - t) * self.path.max_rate(t))
        share = math.ceil(len(stays) / (NUM_SHARES_ON_CPU if self.device.type == "cpu" else NUM_SHARES))
        num_moving = math.ceil(int((~stays).sum()) / share) * share
        # Those that stay come last; some fill up the share, and stay.
        return stays.byte().argsort(stable=True)[:num_moving]

    def _jump(
        self, codes: Int64[Tensor, " n"], x_1: Int64[Tensor, " n"], uniform: Float64[Tensor, "n 3"], step: int
    ) -> Int64[Tensor, " n"]:
        if step == len(self.times) - 1:
            return x_1
        t, next_t = self.times[step : step + 2]

        def jumps(rate: Float[Tensor, " n"], uniform: Float64[Tensor, "n 3"]) -> Int64[Tensor, " jumping"]:
            return (uniform[:, 1] < -torch.expm1(-(next_t - t) * rate.double())).nonzero().squeeze(1)

        near = jumps(self.path.max_rates(codes, x_1, t), uniform)
        rates = self.draws.rates(codes[near], x_1[near], t)
        jumping = jumps(rates.total, uniform[near])
        return codes.index_copy(0, near[jumping], rates.draw(jumping, uniform[near[jumping], 2]))

    def _blocks(self, num_kept: int, *rows: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Rows of all tensors by blocks, if `num_kept` numbers are in memory for a row."""
        max_block = MAX_BLOCK_ON_CPU if self.device.type == "cpu" else MAX_BLOCK
        return zip(*(tensor.split(max(1, max_block // num_kept)) for tensor in rows), strict=True)

    def _uniform(self, stream: int, *shape: int) -> Float64[Tensor, "..."]:
        """Uniform numbers in [0, 1) from the counter-based generator Philox, the same on every machine."""
        # Spelled out: numpy turns a list with a seed from 2**63 on into float64, where seeds next to it are equal.
        key = np.array([self.seed, stream], dtype=np.uint64)
        raw = np.random.Philox(key=key).random_raw(shape)
        # 52 bits: u times any total stays below that total after rounding.
        return torch.from_numpy((raw >> np.uint64(12)) * 2.0**-52).to(self.device)
