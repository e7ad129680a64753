"""Trains the transformer: which codes were there before they were moved back along the metric path?

Loss and layout are the published ones (weighted mean cross entropy of row i against token i + 1). Weighted, because the
object is a tenth of the tokens and the background is learned first: the total loss hides whether anything moves.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ursa_ray.checkpoint import TextTokenizer
from ursa_ray.model.path import MetricPath
from ursa_ray.model.transformer import Transformer
from ursa_ray.training.config import TransformerTraining
from ursa_ray.training.noise import draw_times, noise_batch
from ursa_ray.training.randomness import Draws
from ursa_ray.training.shards import Example

_PREFIX = re.compile(r"^motion=\d+\.\d, ")


@dataclass(frozen=True)
class TokenSet:
    """Examples as tensors, small enough for memory.

    Attributes:
        prompts: (clips, captions, with and without `motion=`, p).
        foreground: (clips, t h w) in [0, 1].
    """

    codes: Int64[Tensor, "clips n"]
    foreground: Float[Tensor, "clips n"]
    prompts: Int64[Tensor, "clips captions 2 p"]
    grid: tuple[int, int, int]

    @classmethod
    def from_examples(cls, examples: Sequence[Example], text: TextTokenizer, length: int) -> "TokenSet":
        t, h, w = examples[0].codes.shape
        num_captions = min(len(example.captions) for example in examples)
        ids = [
            [[text.encode(said, length) for said in (caption, _PREFIX.sub("", caption))] for caption in captions]
            for captions in (example.captions[:num_captions] for example in examples)
        ]
        covered = [np.zeros((t, h, w), np.float32) if x.foreground is None else x.foreground for x in examples]
        return cls(
            torch.from_numpy(np.stack([example.codes.ravel() for example in examples])),
            torch.from_numpy(np.stack([each.ravel() for each in covered])),
            torch.tensor(ids),
            (t, h, w),
        )


class Gate(Protocol):
    """Tells whether captions are followed: `gates.WorldGate`."""

    def figures(self, transformer: Transformer, draws: Draws) -> dict[str, float]: ...

    def write_picture(self, transformer: Transformer, seed: int, picture: Path) -> None: ...


class TransformerTask:
    def __init__(
        self,
        transformer: Transformer,
        training: TransformerTraining,
        path: MetricPath,
        shift: float,
        tokens: TokenSet,
        no_prompt: Int64[Tensor, " p"],
        gate: "Gate | None",
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ):
        self.module, self.training, self.path, self.shift = transformer, training, path, shift
        self.tokens, self.no_prompt, self.gate, self.device, self.dtype = tokens, no_prompt, gate, device, dtype
        self.rotary = transformer.rotary(tokens.prompts.shape[-1], tokens.grid)

    def loss(self, draws: Draws, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        batch = self.batch(draws)
        cross_entropy = self.cross_entropy(self.module, batch)
        foreground = batch.foreground
        weight = 1 + (self.training.foreground - 1) * (1 - progress) * foreground
        figures = {
            "mean": cross_entropy.detach().mean(),
            "foreground": (cross_entropy.detach() * foreground).sum() / foreground.sum().clamp(min=1e-6),
        }
        return (cross_entropy * weight).sum() / weight.sum(), figures

    def batch(self, draws: Draws) -> "Batch":
        training, generator = self.training, draws.torch()
        rows = torch.randint(len(self.tokens.codes), (training.batch,), generator=generator)
        prompts = self.prompts(rows, generator)
        codes, foreground = self.tokens.codes[rows], self.tokens.foreground[rows]
        times = draw_times(len(rows), self.tokens.grid[0], training, self.shift, generator)
        codes = codes.to(self.device)
        noised = noise_batch(self.path, codes, times, generator)
        return Batch(prompts.to(self.device), codes, noised, foreground.to(self.device))

    def prompts(self, rows: Int64[Tensor, " b"], generator: torch.Generator) -> Int64[Tensor, "b p"]:
        """One caption for each row, sometimes without `motion=`, sometimes none."""
        num_captions = self.tokens.prompts.shape[1]
        which = torch.randint(num_captions, rows.shape, generator=generator)
        bare = torch.rand(rows.shape, generator=generator) < self.training.prefix_dropout
        dropped = torch.rand(rows.shape, generator=generator) < self.training.prompt_dropout
        return torch.where(dropped[:, None], self.no_prompt, self.tokens.prompts[rows, which, bare.long()])

    def cross_entropy(self, module: nn.Module, batch: "Batch") -> Float[Tensor, "b n"]:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits = self._logits(module, batch)
        losses = F.cross_entropy(logits.float().flatten(0, 1), batch.codes.flatten(), reduction="none")
        return losses.view_as(batch.codes)

    def _logits(self, module: nn.Module, batch: "Batch") -> Float[Tensor, "b n k"]:
        assert isinstance(module, Transformer)
        return module.lm_head(module(batch.prompts, batch.noised, self.rotary))

    def look(self, module: nn.Module, draws: Draws, picture: Path) -> dict[str, float]:
        if self.gate is None:
            return {}
        assert isinstance(module, Transformer)
        self.gate.write_picture(module, draws.seed, picture)
        return self.gate.figures(module, draws)


@dataclass(frozen=True)
class Batch:
    """Prompts, the codes to be found, the codes that are seen, and how much the object covers of each."""

    prompts: Int64[Tensor, "b p"]
    codes: Int64[Tensor, "b n"]
    noised: Int64[Tensor, "b n"]
    foreground: Float[Tensor, "b n"]


def initialise(transformer: Transformer, codebook: Float[Tensor, "k e"]) -> None:
    """Weights to start from; the class itself is made to be filled from a file.

    Codes that are close in the codebook start with embeddings that are close. Blocks start as the identity.
    """
    for name, weight in transformer.named_parameters():
        if weight.ndim == 2:
            nn.init.normal_(weight, std=0.7 * weight.shape[1] ** -0.5)
        if name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
            nn.init.zeros_(weight)
    table = transformer.model.embed_tokens.weight
    nn.init.normal_(table, std=0.5)
    with torch.no_grad():
        directions = torch.randn(codebook.shape[1], table.shape[1])
        table[-len(codebook) :] = 0.4 * codebook @ directions + 0.3 * torch.randn(len(codebook), table.shape[1])
