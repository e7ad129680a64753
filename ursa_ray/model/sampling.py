"""The jump process from uniform noise to a sample (URSA paper, equation 2 and algorithm 2).

In every step but the last a token draws x_1 from the network's softmax, jumps with probability 1 - exp(-dt sum of its
rates) and, if it does, draws where to from the rates. The last step takes x_1 itself. There are two samplers with one
distribution:

`PublishedSampler` draws from a `torch.Generator` in the published order with the published arithmetic. In float32 it
gives the published implementation's tokens; it is the oracle.

`FastSampler` does not run what cannot matter: step 0 of the metric path (its rates are all 0), the unconditional branch
from `trunc` on, the head for rows that score no token. Its draws are keyed by (seed, step), so that any step can be
resumed from its codes; they come from the CPU, so that every device draws alike. Memory is bounded by working on
blocks of rows.
"""

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from ursa_ray.errors import OutputError
from ursa_ray.model.guidance import Denoiser
from ursa_ray.model.path import Path

# Rows x codes that are in memory at once: a float64 row of cumulated weights per code makes this 256 MB.
MAX_BLOCK = 2**25

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
        hidden = denoiser.hidden(codes, self.times[step])
        if not hidden.isfinite().all():  # the draws would make codes of it that look like any others
            raise OutputError(f"step {step + 1}: the transformer gave NaN or infinite numbers. Check this device.")
        uniform = self._uniform(FIRST_STEP + step, 3, len(codes)).T
        blocks = zip(self._blocks(codes), self._blocks(hidden), self._blocks(uniform), strict=True)
        return torch.cat([self._jump(x, denoiser.head(rows), u.unbind(1), step) for x, rows, u in blocks])

    def _jump(
        self,
        codes: Int64[Tensor, " n"],
        logits: Float[Tensor, "n k"],
        uniform: tuple[Float64[Tensor, " n"], ...],
        step: int,
    ) -> Int64[Tensor, " n"]:
        for_x_1, for_jump, for_target = uniform
        x_1 = draw(logits.softmax(-1), for_x_1)
        if step == len(self.times) - 1:
            return x_1
        t, next_t = self.times[step : step + 2]
        rates = self.path.rates(codes, x_1, t).scatter_(1, codes[:, None], 0)
        jumps = for_jump < -torch.expm1(-(next_t - t) * rates.sum(-1, dtype=torch.float64))
        return torch.where(jumps, draw(rates, for_target), codes)

    def _blocks(self, rows: Tensor) -> tuple[Tensor, ...]:
        return rows.split(max(1, MAX_BLOCK // self.path.num_codes))

    def _uniform(self, stream: int, *shape: int) -> Float64[Tensor, "..."]:
        """Uniform numbers in [0, 1) from the counter-based generator Philox, the same on every machine."""
        # Spelled out: numpy turns a list with a seed from 2**63 on into float64, where seeds next to it are equal.
        key = np.array([self.seed, stream], dtype=np.uint64)
        raw = np.random.Philox(key=key).random_raw(shape)
        # 52 bits: u times any total stays below that total after rounding.
        return torch.from_numpy((raw >> np.uint64(12)) * 2.0**-52).to(self.device)


def draw(weights: Float[Tensor, "n k"], uniform: Float64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Draw from each row of unnormalised weights by inverting its cumulated sum; a weight of 0 is never drawn.

    Rows without any weight give an arbitrary code.
    """
    # float64: over 64,000 codes a float32 sum is off by more than the smallest probabilities that matter.
    cumulated = weights.cumsum(-1, dtype=torch.float64)
    threshold = uniform[:, None] * cumulated[:, -1:]
    return torch.searchsorted(cumulated, threshold, right=True).squeeze(1).clamp_(max=weights.shape[-1] - 1)
