"""The published pipeline as both benches call it: as it is published, on the codes and prompts that are given.

Given from outside: which steps are run, and, where there is no CUDA to compile its SwiGLU with, the same product of two
torch calls.
"""

from typing import Any

import torch
from diffnext.pipelines.ursa.pipeline_ursa import URSAPipeline
from diffnext.schedulers.scheduling_dfm import KineticOptimalScheduler, MetricDiscreteProbPath


def two_calls(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """The published SwiGLU."""
    return torch.nn.functional.silu(gate).mul_(up)


def scheduler(codebook: torch.Tensor, alpha: float, c: float, shift: float) -> KineticOptimalScheduler:
    """On the metric path over vectors (k, e)."""
    made = KineticOptimalScheduler(alpha=alpha, c=c, shift=shift)
    made.path, made.codebook_size = MetricDiscreteProbPath(codebook, alpha, c), len(codebook)
    return made


class Published:
    """A `pipeline` for codes (n,) and the ids of prompt and negative prompt (2, p); `options` are a segment's."""

    def __init__(self, pipeline: URSAPipeline, codes: torch.Tensor, prompts: torch.Tensor, options: dict[str, Any]):
        self.pipeline, self.codes, self.prompts, self.options = pipeline, codes, prompts, options

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Unguided scores of some tokens, (2, tokens, k)."""
        transformer, (b, num_text) = self.pipeline.transformer, self.prompts.shape
        config, device = transformer.config, self.codes.device
        begin = self.codes.new_tensor([config.bov_token_id])
        visual = torch.cat([begin, self.codes + config.lm_vocab_size])
        text = torch.arange(num_text, device=device)[:, None].expand(-1, 3)
        positions = torch.cat([text, transformer.model.flex_rope.get_pos(self.options["grid"], num_text)[0]])
        ids = torch.cat([self.prompts, visual.expand(b, -1)], 1)
        return transformer(ids, rope_pos=positions, logits_to_keep=tokens + num_text)[0]

    def steps(self, steps: list[int], seed: int) -> torch.Tensor:
        """Codes, (n,), after these steps of the schedule."""
        options, grid = self.options, self.options["grid"]
        self.pipeline.progress_bar = lambda timesteps: steps
        return self.pipeline(
            prompt="",  # counted, not read
            prompt_ids=self.prompts[:1],
            negative_prompt_ids=self.prompts[1:],
            latents=self.codes.view(1, *grid).clone(),
            latents_shape=grid,
            num_inference_steps=options["num_steps"],
            guidance_scale=options["guidance_scale"],
            guidance_trunc=options["guidance_trunc"],
            generator=torch.Generator(self.codes.device).manual_seed(seed),
            output_type="latent",
            max_prompt_length=self.prompts.shape[1],
        ).frames.flatten()
