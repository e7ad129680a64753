"""The network with its prompts and its guidance: any codes at any t in, one scored row for every token out.

Classifier-free guidance is z = z_u + g (z_c - z_u), where g drops to 1 from t = `trunc` on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ursa_ray.model.crew import Crew
from ursa_ray.model.transformer import Transformer


@dataclass(frozen=True)
class Guidance:
    scale: float
    trunc: float

    @property
    def is_on(self) -> bool:
        return self.scale > 1

    def at(self, t: float) -> float:
        return self.scale if t < self.trunc else 1.0


class Denoiser:
    """`prompts` holds the ids of the prompt and, with guidance, of the negative prompt, each (1, p).

    Where there is a crew, its devices compute the rows together.
    """

    def __init__(
        self,
        transformer: Transformer,
        prompts: Int64[Tensor, "b p"],
        grid: tuple[int, int, int],
        guidance: Guidance,
        crew: Crew | None = None,
    ):
        assert len(prompts) == (2 if guidance.is_on else 1), prompts.shape
        self.transformer, self.prompts, self.guidance = transformer, prompts, guidance
        self.rotary = transformer.rotary(prompts.shape[1], grid)
        self._grid, self._crew = grid, crew
        self._keeps = False
        self._kept: tuple[Tensor, float, Tensor] | None = None  # codes, t, and all layers but the last of them

    def logits(self, codes: Int64[Tensor, " n"], t: float) -> Float[Tensor, "n k"]:
        """Guided logits in the published arithmetic: both branches at every t, guided after the head."""
        z = self.transformer.lm_head(self._rows(self.prompts, codes, t))
        if not self.guidance.is_on:
            return z[0]
        conditional, unconditional = z
        return unconditional + (conditional - unconditional) * self.guidance.at(t)

    def hidden(
        self, codes: Int64[Tensor, " n"], t: float, scored: Int64[Tensor, " scored"] | None = None
    ) -> Float[Tensor, "scored d"]:
        """Guided rows of some tokens, or all, before the head, which is linear: `head` of them are the guided logits.

        They have the head's dtype, in which guided rows may be infinite that were not before. Runs the prompt's branch
        alone where guidance is off or the scale is 1.
        """
        scale = self.guidance.at(t) if self.guidance.is_on else 1.0
        rows = self._rows(self.prompts[:1] if scale == 1 else self.prompts, codes, t, scored)
        if scale == 1:
            return rows[0]
        conditional, unconditional = rows.float()
        return torch.lerp(unconditional, conditional, scale).to(self.head_weight.dtype)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Within this context more rows of the same codes (the same tensor) and t cost the last layer alone."""
        self._keeps = True
        try:
            yield
        finally:
            self._keeps, self._kept = False, None

    def head(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Logits of some rows, in float32."""
        return self.transformer.lm_head(hidden).float()

    @property
    def head_weight(self) -> Float[Tensor, "k d"]:
        """`head` is a product with it, for those who compute that product themselves."""
        return self.transformer.lm_head.weight

    def _rows(
        self,
        prompts: Int64[Tensor, "b p"],
        codes: Int64[Tensor, " n"],
        t: float,
        scored: Int64[Tensor, " scored"] | None = None,
    ) -> Float[Tensor, "b scored d"]:
        if self._crew is not None:  # keeps nothing: more rows cost a step more
            return self._crew.rows(prompts, codes, self._grid, scored)
        return self.transformer.top(self._trunk(codes, t, prompts), prompts.shape[1], self.rotary, scored)

    def _trunk(self, codes: Int64[Tensor, " n"], t: float, prompts: Int64[Tensor, "b p"]) -> Float[Tensor, "b s d"]:
        if self._kept is not None and self._kept[0] is codes and self._kept[1] == t:
            return self._kept[2]
        trunk = self.transformer.trunk(prompts, codes, self.rotary)
        self._kept = (codes, t, trunk) if self._keeps else None
        return trunk
