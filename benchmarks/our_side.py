"""Our side of `bench_vs_published.py`."""

from pathlib import Path
from typing import Any

import torch
from case_side import CaseSide
from safetensors.torch import load_file
from side import serve

from ursa_ray.checkpoint.config import TransformerConfig
from ursa_ray.model.guidance import Denoiser, Guidance
from ursa_ray.model.path import MetricPath, time_grid
from ursa_ray.model.sampling import FastSampler
from ursa_ray.model.transformer import Transformer


class OurSide(CaseSide):
    def load(self, case: dict[str, Any], folder: Path) -> None:
        inputs = load_file(folder / "inputs.safetensors")
        transformer = Transformer(TransformerConfig(**case["transformer"]))
        transformer.load_state_dict(load_file(folder / "transformer.safetensors"))
        self.transformer = transformer.eval().requires_grad_(False)
        self.codes, self.prompts, self.grid = inputs["codes"], inputs["prompts"], tuple(case["grid"])
        self.guidance = Guidance(case["guidance_scale"], case["guidance_trunc"])
        self.path = MetricPath(inputs["codebook"], case["alpha"], case["c"])
        self.times = time_grid(case["num_steps"], case["shift"])

    @torch.no_grad()
    def scores(self) -> torch.Tensor:
        rotary = self.transformer.rotary(self.prompts.shape[1], self.grid)
        return self.transformer.lm_head(self.transformer(self.prompts, self.codes, rotary))

    @torch.no_grad()
    def codes_after(self, steps: list[int], seed: int) -> torch.Tensor:
        denoiser = Denoiser(self.transformer, self.prompts, self.grid, self.guidance)
        sampler, codes = FastSampler(self.path, self.times, seed, torch.device("cpu")), self.codes
        for step in steps:
            codes = sampler.step(codes, step, denoiser)
        return codes


if __name__ == "__main__":
    serve(OurSide)
