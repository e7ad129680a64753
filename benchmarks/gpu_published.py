"""The published side of `bench_gpu.py`, in its own environment with the checkout on PYTHONPATH.

The pipeline is called as it is published, on random weights of its own classes. Given from outside: which steps are
run, which attention kernel computes them, and, where CUDA's run-time compiler cannot make its SwiGLU (on a CPU there
is none), the same product of two torch calls.
"""

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import gpu_machine
import torch
from diffnext.models.autoencoders.autoencoder_vq_cosmos3d import AutoencoderVQCosmos3D
from diffnext.models.text_encoders import qwen3
from diffnext.models.transformers.transformer_ursa import URSATransformer3DModel
from diffnext.pipelines.ursa.pipeline_ursa import URSAPipeline
from diffnext.schedulers.scheduling_dfm import KineticOptimalScheduler, MetricDiscreteProbPath
from gpu_side import (
    changed,
    codebook,
    drawn,
    fill,
    forced,
    forget,
    labelled,
    measured,
    parts,
    save_rows,
    serve,
    weights_bytes,
)

TOKENIZER_SIZES = (
    "block_out_channels",
    "layers_per_block",
    "latent_channels",
    "patch_size",
    "temporal_stride",
    "spatial_stride",
    "sample_frames",
)


def two_calls(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.silu(gate).mul_(up)


class PublishedSide:
    def __init__(self, device: torch.device):
        self.device = device
        self.dtype = torch.float16 if device.type == "cuda" else torch.float32
        self.swiglu = "as published"
        try:
            qwen3.swiglu(*torch.ones(2, 8, device=device, dtype=self.dtype))
        except Exception as error:  # what the compiler raises is not documented
            self.swiglu = f"two torch calls, since the published kernel says: {str(error).partition(chr(10))[0][:200]}"
            qwen3.swiglu = two_calls
        self.pipeline: Any = None

    def versions(self) -> dict[str, Any]:
        import diffusers
        import transformers

        found = {"transformers": transformers.__version__, "diffusers": diffusers.__version__, "swiglu": self.swiglu}
        return gpu_machine.versions(self.device) | found

    def load(self, size: dict[str, Any], attention: str) -> dict[str, Any]:
        """Build the model anew; the bytes of its weights. `attention` is the kernel that all its steps use."""
        self.pipeline = None
        forget(self.device)
        self.size, self.attention, (self.codes, self.prompts) = size, attention, drawn(size, self.device)
        transformer = self._filled(URSATransformer3DModel, size["transformer"])
        tokenizer = self._filled(AutoencoderVQCosmos3D, {name: size["tokenizer"][name] for name in TOKENIZER_SIZES})
        path = size["path"]
        scheduler = KineticOptimalScheduler(alpha=path["alpha"], c=path["c"], shift=path["shift"])
        # As published, of the weights' dtype.
        vectors = codebook(size["tokenizer"]["levels"], self.device).to(self.dtype)
        scheduler.path = MetricDiscreteProbPath(vectors, path["alpha"], path["c"])
        scheduler.codebook_size = len(vectors)
        self.pipeline = URSAPipeline(transformer, scheduler, tokenizer)
        return {"weights_bytes": weights_bytes(transformer, tokenizer)}

    @torch.no_grad()
    def logits(self, file: str, rows: list[int]) -> None:
        """Write unguided scores of some tokens, (2, rows, k)."""
        config, (b, num_text) = self.size["transformer"], self.prompts.shape
        transformer = self.pipeline.transformer
        begin = self.codes.new_tensor([config["bov_token_id"]])
        visual = torch.cat([begin, self.codes + config["lm_vocab_size"]])
        text = torch.arange(num_text, device=self.device)[:, None].expand(-1, 3)
        positions = torch.cat([text, transformer.model.flex_rope.get_pos(self.size["grid"], num_text)[0]])
        ids = torch.cat([self.prompts, visual.expand(b, -1)], 1)
        keep = torch.tensor(rows, device=self.device) + num_text
        with forced(self.attention):
            save_rows(transformer(ids, rope_pos=positions, logits_to_keep=keep)[0], file)

    def step(self, step: int, seed: int) -> dict[str, Any]:
        codes = list[torch.Tensor]()
        found = measured(lambda: codes.append(self._one(step, seed)), self.device)
        return found | {"changed": changed(self.codes, codes[0])}

    def parts(self, step: int) -> dict[str, Any]:
        pipeline = self.pipeline
        self._one(step, 0)
        ranges = (
            (pipeline.transformer, "forward", "head"),
            (pipeline.transformer.model, "forward", "network"),
            (pipeline.scheduler, "step", "sampler"),
        )
        with ExitStack() as stack:
            for owner, name, label in ranges:
                stack.enter_context(patch.object(owner, name, labelled(label, getattr(owner, name))))
            return parts(labelled("guidance", lambda: self._one(step, 0)), self.device)

    @torch.no_grad()
    def decode(self) -> dict[str, Any]:
        """From codes to frames in memory, after a first time."""
        codes = self.codes.view(1, *self.size["grid"])
        process = self.pipeline.image_processor

        def run() -> Any:
            return process.postprocess(process.decode_latents(self.pipeline.vae, codes), "np")

        run()
        return {"again": measured(run, self.device), "frames": list(run().shape[1:])}

    def _one(self, step: int, seed: int) -> torch.Tensor:
        size = self.size
        self.pipeline.progress_bar = lambda timesteps: [step]
        with forced(self.attention):
            return self.pipeline(
                prompt="",  # counted, not read
                prompt_ids=self.prompts[:1],
                negative_prompt_ids=self.prompts[1:],
                latents=self.codes.view(1, *size["grid"]).clone(),
                latents_shape=size["grid"],
                num_inference_steps=size["num_steps"],
                guidance_scale=size["guidance_scale"],
                guidance_trunc=size["guidance_trunc"],
                generator=torch.Generator(self.device).manual_seed(seed),
                output_type="latent",
                max_prompt_length=size["num_text"],
            ).frames

    def _filled(self, kind: type[Any], config: dict[str, Any]) -> Any:
        """Made on the device in its dtype, as `from_pretrained(torch_dtype=...)` does."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with torch.device(self.device):
                module = kind(**config)
        finally:
            torch.set_default_dtype(before)
        module.eval().requires_grad_(False)
        fill(module)
        return module


if __name__ == "__main__":
    serve(PublishedSide)
