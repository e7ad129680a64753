"""The network with its prompts and its guidance: any codes at any t in, one scored row for every token out.

Classifier-free guidance is z = z_u + g (z_c - z_u), where g drops to 1 from t = `trunc` on.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

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
    """`prompts` holds the ids of the prompt and, with guidance, of the negative prompt, each (1, p)."""

    def __init__(
        self,
        transformer: Transformer,
        prompts: Int64[Tensor, "b p"],
        grid: tuple[int, int, int],
        guidance: Guidance,
    ):
        assert len(prompts) == (2 if guidance.is_on else 1), prompts.shape
        self.transformer, self.prompts, self.guidance = transformer, prompts, guidance
        self.rotary = transformer.rotary(prompts.shape[1], grid)

    def logits(self, codes: Int64[Tensor, " n"], t: float) -> Float[Tensor, "n k"]:
        """Guided logits in the published arithmetic: both branches at every t, guided after the head."""
        z = self.transformer.lm_head(self.transformer(self.prompts, codes, self.rotary))
        if not self.guidance.is_on:
            return z[0]
        conditional, unconditional = z
        return unconditional + (conditional - unconditional) * self.guidance.at(t)

    def hidden(
        self, codes: Int64[Tensor, " n"], t: float, scored: Int64[Tensor, " scored"]
    ) -> Float[Tensor, "scored d"]:
        """Guided rows of some tokens before the head, which is linear: `head` of them are the guided logits.

        Runs the prompt's branch alone where guidance is off or the scale is 1.
        """
        scale = self.guidance.at(t) if self.guidance.is_on else 1.0
        if scale == 1:
            return self.transformer(self.prompts[:1], codes, self.rotary, scored)[0]
        conditional, unconditional = self.transformer(self.prompts, codes, self.rotary, scored).float()
        return torch.lerp(unconditional, conditional, scale)

    def head(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Logits of some rows, in float32."""
        lm_head = self.transformer.lm_head
        return lm_head(hidden.to(lm_head.weight.dtype)).float()

    @property
    def head_weight(self) -> Float[Tensor, "k d"]:
        """`head` is a product with it, for those who compute that product themselves."""
        return self.transformer.lm_head.weight
