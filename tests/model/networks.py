"""A very small network with random weights, and its hidden rows."""

import torch

from ursa_ray.checkpoint.config import TransformerConfig
from ursa_ray.model import Backends
from ursa_ray.model.transformer import Transformer

SMALL = TransformerConfig(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    vocab_size=90,
    lm_vocab_size=50,
    lm_head_size=40,
    bov_token_id=1,
)


def network(device: str = "cpu") -> Transformer:
    torch.manual_seed(0)
    return Transformer(SMALL).to(device).eval().requires_grad_(False)


@torch.no_grad()
def hidden(
    transformer: Transformer, chosen: Backends, num_prompts: int = 2, scored: torch.Tensor | None = None
) -> torch.Tensor:
    device = transformer.lm_head.weight.device
    prompts, codes = torch.arange(14, device=device).view(2, 7) + 2, torch.arange(30, device=device)
    transformer.compute_with(chosen)
    return transformer(prompts[:num_prompts], codes, transformer.rotary(7, (1, 5, 6)), scored)
