"""The sizes that `bench_vs_published.py` compares at, and random weights of these sizes."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ursa_ray.checkpoint.config import TransformerConfig
from ursa_ray.model.fsq import FiniteScalarQuantizer
from ursa_ray.model.transformer import Transformer

NUM_WORDS, SEED = 500, 20251123

# Of the random weights that the published class begins with.
STD = 0.02


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        levels: of the codebook; its size is their product.
        grid: latent frames, rows and columns.
        num_text: text tokens, without begin-of-visual.
        steps: those that are run, of a schedule of `num_steps`.
    """

    name: str
    hidden: int
    layers: int
    levels: tuple[int, ...]
    grid: tuple[int, int, int]
    num_text: int
    steps: tuple[int, ...]
    num_steps: int = 50
    shift: float = 3.0
    guidance_scale: float = 7.0
    guidance_trunc: float = 0.9
    alpha: float = 1.0
    c: float = 5.0

    @property
    def transformer(self) -> TransformerConfig:
        """In the released proportions; every head has 128 components."""
        num_codes = math.prod(self.levels)
        return TransformerConfig(
            hidden_size=self.hidden,
            intermediate_size=3 * self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.hidden // 128,
            num_key_value_heads=self.hidden // 256,
            vocab_size=NUM_WORDS + num_codes,
            lm_vocab_size=NUM_WORDS,
            lm_head_size=num_codes,
            bov_token_id=1,
        )

    def describe(self) -> str:
        steps = f"all {self.num_steps} steps" if len(self.steps) == self.num_steps else f"steps {list(self.steps)}"
        return (
            f"hidden {self.hidden} x {self.layers} layers, K {math.prod(self.levels):,}, "
            f"{math.prod(self.grid):,} + {self.num_text + 1} tokens, shift {self.shift:g}, {steps} of {self.num_steps}"
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"transformer": asdict(self.transformer)}


# Evenly spread over the schedule, without its first and last step, which are those that we save most on.
SOME = (8, 25, 41)

CASES = (
    Case("small", 256, 4, (8, 8, 8, 8), (5, 8, 12), 64, tuple(range(50))),
    Case("mid", 512, 8, (8, 8, 8, 8, 4), (5, 20, 32), 320, SOME),
    Case("sampler + head", 256, 1, (8, 8, 8, 5, 5, 5), (1, 40, 64), 320, SOME),
)


def write_case(case: Case, folder: Path) -> None:
    """`case.json`, `transformer.safetensors` in the published names, and `inputs.safetensors` (float32)."""
    generator = torch.Generator().manual_seed(SEED)
    transformer = Transformer(case.transformer)
    for weight in transformer.parameters():
        if weight.ndim == 2:
            weight.data.normal_(std=STD, generator=generator)
    num_codes = math.prod(case.levels)
    inputs = {
        "codebook": FiniteScalarQuantizer(case.levels).codebook(),
        "codes": torch.randint(num_codes, (math.prod(case.grid),), generator=generator),
        "prompts": torch.randint(2, NUM_WORDS, (2, case.num_text), generator=generator),
    }
    (folder / "case.json").write_text(json.dumps(case.as_dict()))
    save_file(
        {name: value.contiguous() for name, value in transformer.state_dict().items()},
        folder / "transformer.safetensors",
    )
    save_file(inputs, folder / "inputs.safetensors")
