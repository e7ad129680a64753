"""The published side of `bench_gpu.py`, in its own environment with the checkout on PYTHONPATH.

Random weights of its own classes. Given from outside, beside what `published_pipeline.py` says: which attention kernel
computes its steps.
"""

from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from unittest.mock import patch

import gpu_machine
import torch
from diffnext.models.autoencoders.autoencoder_vq_cosmos3d import AutoencoderVQCosmos3D
from diffnext.models.text_encoders import qwen3
from diffnext.models.transformers.transformer_ursa import URSATransformer3DModel
from diffnext.pipelines.ursa.pipeline_ursa import URSAPipeline
from gpu_side import changed, codebook, drawn, fill, forced, labelled, measured, parts, save_rows, weights_bytes
from published_pipeline import Published, scheduler, two_calls
from side import forget, serve

TOKENIZER_SIZES = (
    "block_out_channels",
    "layers_per_block",
    "latent_channels",
    "patch_size",
    "temporal_stride",
    "spatial_stride",
    "sample_frames",
)


class PublishedSide:
    def __init__(self, device: str):
        self.device = torch.device(device)
        self.dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        self.swiglu = "as published"
        try:
            qwen3.swiglu(*torch.ones(2, 8, device=device, dtype=self.dtype))
        except Exception as error:  # what the compiler raises is not documented
            self.swiglu = f"two torch calls, since the published kernel says: {str(error).partition(chr(10))[0][:200]}"
            qwen3.swiglu = two_calls
        self.published: Any = None

    def versions(self) -> dict[str, Any]:
        found = {name: version(name) for name in ("transformers", "diffusers")}
        return gpu_machine.versions(self.device) | found | {"swiglu": self.swiglu, "flash_attn": _flash_attn()}

    def load(self, size: dict[str, Any], attention: str) -> dict[str, Any]:
        """Build the model anew; the bytes of its weights. `attention` is the kernel that all its steps use."""
        self.published = None
        forget()
        self.attention, (codes, prompts) = attention, drawn(size, self.device)
        transformer = self._filled(URSATransformer3DModel, size["transformer"])
        tokenizer = self._filled(AutoencoderVQCosmos3D, {name: size["tokenizer"][name] for name in TOKENIZER_SIZES})
        # As published, of the weights' dtype.
        vectors = codebook(size["tokenizer"]["levels"], self.device).to(self.dtype)
        path = (size["path"][name] for name in ("alpha", "c", "shift"))
        pipeline = URSAPipeline(transformer, scheduler(vectors, *path), tokenizer)
        self.published = Published(pipeline, codes, prompts, size)
        return {"weights_bytes": weights_bytes(transformer, tokenizer)}

    def logits(self, file: str, rows: list[int]) -> None:
        """Write unguided scores of some tokens, (2, rows, k)."""
        with forced(self.attention):
            save_rows(self.published.logits(torch.tensor(rows, device=self.device)), file)

    def step(self, step: int, seed: int) -> dict[str, Any]:
        codes = list[torch.Tensor]()
        found = measured(lambda: codes.append(self._one(step, seed)), self.device)
        return found | {"changed": changed(self.published.codes, codes[0])}

    def parts(self, step: int) -> dict[str, Any]:
        pipeline = self.published.pipeline
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
        pipeline = self.published.pipeline
        codes, process = self.published.codes.view(1, *self.published.options["grid"]), pipeline.image_processor

        def run() -> Any:
            return process.postprocess(process.decode_latents(pipeline.vae, codes), "np")

        run()
        return {"again": measured(run, self.device), "frames": list(run().shape[1:])}

    def _one(self, step: int, seed: int) -> torch.Tensor:
        with forced(self.attention):
            return self.published.steps([step], seed)

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


def _flash_attn() -> str | None:
    """Its version; without it the published norms and rotation are torch's, and take several times as long."""
    try:
        return version("flash_attn")
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    serve(PublishedSide)
