"""The published side of `bench_vs_published.py`, in its own environment with the checkout on PYTHONPATH.

Given from outside, beside what `published_pipeline.py` says: a tokenizer without weights, since codes are asked for.
"""

from pathlib import Path
from typing import Any

import torch
from case_side import CaseSide
from diffnext.models.text_encoders import qwen3
from diffnext.models.transformers.transformer_ursa import URSATransformer3DModel
from diffnext.pipelines.ursa.pipeline_ursa import URSAPipeline
from published_pipeline import Published, scheduler, two_calls
from safetensors.torch import load_file
from side import serve

qwen3.swiglu = two_calls


class PublishedSide(CaseSide):
    def load(self, case: dict[str, Any], folder: Path) -> None:
        inputs = load_file(folder / "inputs.safetensors")
        transformer = URSATransformer3DModel(**case["transformer"])
        transformer.load_state_dict(load_file(folder / "transformer.safetensors"))
        transformer.eval().requires_grad_(False)
        tokenizer = torch.nn.Identity()
        tokenizer.config = {}
        on_path = scheduler(inputs["codebook"], case["alpha"], case["c"], case["shift"])
        pipeline = URSAPipeline(transformer, on_path, tokenizer)
        self.published = Published(pipeline, inputs["codes"], inputs["prompts"], case)

    def scores(self) -> torch.Tensor:
        return self.published.logits(torch.arange(len(self.published.codes)))

    def codes_after(self, steps: list[int], seed: int) -> torch.Tensor:
        return self.published.steps(steps, seed)


if __name__ == "__main__":
    serve(PublishedSide)
