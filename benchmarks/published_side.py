"""The published side of `bench_vs_published.py`, in its own environment with the checkout on PYTHONPATH.

The pipeline is called as it is published. Given from outside: its SwiGLU, which is compiled for CUDA alone, as the same
product of two torch calls; a tokenizer without weights, since codes are asked for; and which steps are run.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file
from side import serve


def _modules() -> Any:
    from diffnext.models.text_encoders import qwen3
    from diffnext.models.transformers.transformer_ursa import URSATransformer3DModel
    from diffnext.pipelines.ursa.pipeline_ursa import URSAPipeline
    from diffnext.schedulers.scheduling_dfm import KineticOptimalScheduler, MetricDiscreteProbPath

    qwen3.swiglu = lambda gate, up: torch.nn.functional.silu(gate).mul_(up)
    return SimpleNamespace(
        transformer=URSATransformer3DModel,
        pipeline=URSAPipeline,
        scheduler=KineticOptimalScheduler,
        path=MetricDiscreteProbPath,
    )


class PublishedSide:
    def __init__(self, case: dict[str, Any], folder: Path):
        self.case, published = case, _modules()
        inputs = load_file(folder / "inputs.safetensors")
        self.codes, self.prompts = inputs["codes"], inputs["prompts"]
        transformer = published.transformer(**case["transformer"])
        transformer.load_state_dict(load_file(folder / "transformer.safetensors"))
        self.transformer = transformer.eval().requires_grad_(False)
        scheduler = published.scheduler(alpha=case["alpha"], c=case["c"], shift=case["shift"])
        scheduler.path = published.path(inputs["codebook"], case["alpha"], case["c"])
        scheduler.codebook_size = len(inputs["codebook"])
        tokenizer = torch.nn.Identity()
        tokenizer.config = {}
        self.pipeline = published.pipeline(self.transformer, scheduler, tokenizer)

    @torch.no_grad()
    def logits(self) -> torch.Tensor:
        case, (b, num_text), n = self.case, self.prompts.shape, len(self.codes)
        config = case["transformer"]
        visual = torch.cat([torch.tensor([config["bov_token_id"]]), self.codes + config["lm_vocab_size"]])
        text = torch.arange(num_text)[:, None].expand(-1, 3)
        positions = torch.cat([text, self.transformer.model.flex_rope.get_pos(case["grid"], num_text)[0]])
        ids = torch.cat([self.prompts, visual.expand(b, -1)], 1)
        return self.transformer(ids, rope_pos=positions)[0][:, -(n + 1) : -1]

    def steps(self, steps: list[int], seed: int) -> torch.Tensor:
        case = self.case
        self.pipeline.progress_bar = lambda timesteps: steps
        return self.pipeline(
            prompt="",  # counted, not read
            prompt_ids=self.prompts[:1],
            negative_prompt_ids=self.prompts[1:],
            latents=self.codes.view(1, *case["grid"]).clone(),
            latents_shape=case["grid"],
            num_inference_steps=case["num_steps"],
            guidance_scale=case["guidance_scale"],
            guidance_trunc=case["guidance_trunc"],
            generator=torch.Generator().manual_seed(seed),
            output_type="latent",
            max_prompt_length=self.prompts.shape[1],
        ).frames.flatten()


if __name__ == "__main__":
    serve(PublishedSide)
