"""Finite scalar quantisation (Mentzer et al., arXiv 2309.15505): the codebook is a grid, not learned.

Number j of a vector is squashed and rounded to one of L_j whole numbers q_j. With half widths w_j = L_j // 2
and basis_j = L_0 ... L_(j-1), a code is sum_j basis_j (q_j + w_j) and stands for the vector of all q_j / w_j.
"""

import math
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

# Slightly over 1, so that the outermost levels can be reached though tanh never reaches its limits.
_STRETCH = 1.001


@dataclass(frozen=True)
class FiniteScalarQuantizer:
    levels: tuple[int, ...]

    @property
    def num_codes(self) -> int:
        return math.prod(self.levels)

    @property
    def dim(self) -> int:
        return len(self.levels)

    def bound(self, vectors: Float[Tensor, "*grid e"]) -> Float32[Tensor, "*grid e"]:
        """Unbounded vectors to digits q_j before rounding; differentiable."""
        levels, _, _ = self._constants(vectors.device)
        radius = (levels - 1) * _STRETCH / 2
        # Rounding has whole numbers as its steps: an even number of them is centred on a half.
        offset = torch.where(levels % 2 == 0, 0.5, 0.0)
        # fp32: near the edge of a level, half precision would choose another code.
        return torch.tanh(vectors.float() + torch.atanh(offset / radius)) * radius - offset

    def quantize(self, vectors: Float[Tensor, "*grid e"]) -> Int64[Tensor, "*grid"]:
        """Unbounded vectors to codes."""
        _, half_widths, basis = self._constants(vectors.device)
        return ((self.bound(vectors).round().long() + half_widths) * basis).sum(-1)

    def scale(self, digits: Float[Tensor, "*grid e"]) -> Float[Tensor, "*grid e"]:
        """Digits q_j, whole or not, to the vectors q_j / w_j that they stand for."""
        _, half_widths, _ = self._constants(digits.device)
        return digits / half_widths

    def dequantize(self, codes: Int64[Tensor, "*grid"]) -> Float32[Tensor, "*grid e"]:
        """Codes in [0, num_codes) to vectors in [-1, 1]."""
        levels, half_widths, basis = self._constants(codes.device)
        digits = codes.unsqueeze(-1) // basis % levels
        return (digits - half_widths) / half_widths

    def codebook(self, device: torch.device | None = None) -> Float32[Tensor, "k e"]:
        return self.dequantize(torch.arange(self.num_codes, device=device))

    def _constants(self, device: torch.device) -> Int64[Tensor, "3 e"]:
        """Levels, half widths and basis."""
        basis = accumulate(self.levels[:-1], mul, initial=1)
        rows = [self.levels, [level // 2 for level in self.levels], list(basis)]
        return torch.tensor(rows, device=device)
