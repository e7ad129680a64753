"""Our side of `bench_gpu.py`: an `Ursa` of random weights, and what its machine can do."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest.mock import patch

import gpu_machine
import numpy as np
import torch
from gpu_side import changed, codebook, drawn, fill, labelled, measured, parts, save_rows, weights_bytes
from side import forget, serve

from ursa_ray.checkpoint import Checkpoint, Defaults, TextTokenizer, default_overlap
from ursa_ray.checkpoint.config import PathConfig, TransformerConfig, VideoTokenizerConfig
from ursa_ray.model import Ursa
from ursa_ray.model.backends import Backends, choose_backends
from ursa_ray.model.draws import choose_draws
from ursa_ray.model.guidance import Denoiser
from ursa_ray.model.path import build_path
from ursa_ray.model.sampling import FastSampler
from ursa_ray.model.transformer import Transformer
from ursa_ray.model.video_tokenizer import VideoTokenizer

# Steps that stand for all others where there is no time for all: early, middle and late ones, and the last.
SPREAD = (1, 9, 17, 25, 33, 41, 48, 49)


class Words(TextTokenizer):
    """A text tokenizer whose ids are drawn."""

    def __init__(self, prompts: torch.Tensor):
        self.ids = dict(zip(("prompt", "negative"), prompts.tolist(), strict=True))

    def encode(self, prompt: str, length: int) -> list[int]:
        return self.ids[prompt][:length]


class Given(Exception):  # noqa: N818 - no error: what a patched function was called with
    pass


class OurSide:
    def __init__(self, device: str):
        self.device = torch.device(device)
        self.dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        self.ursa: Ursa | None = None

    def versions(self) -> dict[str, Any]:
        return gpu_machine.versions(self.device)

    def ceilings(self, small: bool) -> dict[str, float]:
        return gpu_machine.ceilings(self.device, small)

    def backends(self) -> list[str]:
        return gpu_machine.backends(self.device)

    def attention(self, size: dict[str, Any], dtype: str, **options: Any) -> dict[str, Any]:
        """Of random queries, keys and values, which lie in memory as the model's own do."""
        found = gpu_machine.attention(*self._attended(size, getattr(torch, dtype)), device=self.device, **options)
        forget()
        return found

    def load(self, size: dict[str, Any], draws: str, fused: bool = False, **wishes: Any) -> dict[str, Any]:
        """Build the model anew, to compute as is wished (see `Backends`); how it does, and the bytes of its weights."""
        self.ursa = None
        torch.compiler.reset()  # after a few models torch would compile no more
        forget()
        self.size, (self.codes, prompts) = size, drawn(size, self.device)
        transformer = self._filled(Transformer, TransformerConfig(**size["transformer"]))
        tokenizer = self._filled(VideoTokenizer, VideoTokenizerConfig(**_tuples(size["tokenizer"])))
        config, path = transformer.config, PathConfig(**size["path"])
        vectors = codebook(size["tokenizer"]["levels"], self.device)
        draws = choose_draws(build_path(path, vectors), transformer.lm_head.weight, draws)
        backends = replace(choose_backends(config, self.device, self.dtype, draws=draws, **wishes), fused=fused)
        transformer.compute_with(backends)
        checkpoint = Checkpoint(size["name"], None, config, tokenizer.config, path, Defaults())
        self.ursa = Ursa(checkpoint, Words(prompts), transformer, tokenizer, vectors)
        return {"backends": str(backends), "weights_bytes": weights_bytes(transformer, tokenizer)}

    @torch.no_grad()
    def logits(self, file: str, rows: list[int]) -> None:
        """Write unguided scores of some tokens, (2, rows, k)."""
        assert self.ursa is not None
        transformer, ids = self.ursa.transformer, torch.tensor(list(self.ursa.text.ids.values()), device=self.device)
        rotary = transformer.rotary(ids.shape[1], tuple(self.size["grid"]))
        scored = torch.tensor(rows, device=self.device)
        save_rows(transformer.lm_head(transformer(ids, self.codes, rotary, scored)), file)

    def step(self, step: int, seed: int) -> dict[str, Any]:
        codes = list[torch.Tensor]()
        found = measured(lambda: codes.append(self._one(step, seed)[1]), self.device)
        return found | {"changed": changed(self.codes, codes[0])}

    def parts(self, step: int) -> dict[str, Any]:
        """Of each, those that draw without logits call the kernels of the head in the place of `Denoiser.head`."""
        ranges = [(Denoiser, "hidden", "network"), (Denoiser, "head", "head"), (FastSampler, "step", "sampler")]
        if self.ursa is not None and self.ursa.backends.draws == "triton":
            from ursa_ray.model import triton_draws

            ranges += [(triton_draws, name, "head") for name in ("head_groups", "head_within")]
        self._one(step)
        with ExitStack() as stack:
            for owner, name, label in ranges:
                stack.enter_context(patch.object(owner, name, labelled(label, getattr(owner, name))))
            return parts(lambda: self._one(step), self.device)

    def segment(self, whole: bool) -> dict[str, Any]:
        """Seconds of a segment's steps by the clock, and its peak; what is not run takes what its neighbours do.

        Before, one step of each kind is run: kernels are built for it, which a process does once. What that takes is
        told apart.
        """
        num_steps, first_s, again_s = self.size["num_steps"], dict[int, float](), dict[int, float]()
        steps = [step for step in (range(1, num_steps) if whole else SPREAD) if step < num_steps]
        new = list({self.kind(step): step for step in reversed(steps)}.values())

        def run() -> None:
            first_s.update(self._clocked(map(self._one, new)))
            again_s.update(self._clocked(self._all(seed=0) if whole else map(self._one, steps)))

        peak_bytes = measured(run, self.device)["peak_bytes"]
        again_s.setdefault(0, 0.0)  # nothing is computed in it
        by_step = np.interp(range(num_steps), sorted(again_s), [again_s[step] for step in sorted(again_s)])
        return {
            "whole": whole,
            "steps_s": float(by_step.sum()),
            "by_step_s": by_step.round(4).tolist(),
            "first_s": {step: round(seconds, 4) for step, seconds in first_s.items()},
            "building_s": sum(seconds - again_s[step] for step, seconds in first_s.items()),
            "peak_bytes": peak_bytes,
        }

    def kind(self, step: int) -> tuple[Any, ...]:
        """What kernels are built for: its guidance, so how many branches, and how many tokens it scores."""

        def hidden(denoiser: Denoiser, codes: torch.Tensor, t: float, scored: torch.Tensor) -> None:
            raise Given(denoiser.guidance.at(t), len(scored))

        try:
            with patch.object(Denoiser, "hidden", hidden):
                self._one(step)
        except Given as given:
            return given.args
        return ()  # it scores none

    def decode(self) -> dict[str, Any]:
        """From codes to frames in memory, and from frames that condition the next segment to codes, both again."""
        assert self.ursa is not None
        ursa, codes = self.ursa, self.codes.view(tuple(self.size["grid"]))
        frames = ursa.decode(codes)
        overlap = frames[: default_overlap(len(frames), ursa.tokenizer.temporal_stride)]
        return {
            "again": measured(lambda: ursa.decode(codes), self.device),
            "encode": [measured(lambda: ursa.encode(overlap), self.device) for _ in range(2)][1],
            "frames": list(frames.shape),
        }

    def files(self) -> dict[str, Any]:
        """Seconds of a mezzanine: written, read again and checked. Frames of random weights are larger than films."""
        assert self.ursa is not None
        from ursa_ray.media.mezzanine import write_mezzanine  # needs ffmpeg, pillow and pydantic

        frames = self.ursa.decode(self.codes.view(tuple(self.size["grid"])))
        with TemporaryDirectory() as folder:
            start_s = perf_counter()
            sha256 = write_mezzanine(Path(folder), frames, Fraction(12))
            seconds = perf_counter() - start_s
            return {"seconds": seconds, "bytes": (Path(folder) / f"{sha256}.mkv").stat().st_size}

    def _one(self, step: int, seed: int = 0) -> tuple[int, torch.Tensor]:
        return next(self._all(resume=(step, self.codes.view(tuple(self.size["grid"]))), seed=seed))

    def _all(self, **more: Any) -> Iterator[tuple[int, torch.Tensor]]:
        assert self.ursa is not None
        size = self.size
        same = ("height", "width", "num_frames", "guidance_scale", "guidance_trunc")
        options = {name: size[name] for name in same}
        steps = {"num_inference_steps": size["num_steps"], "max_prompt_length": size["num_text"]}
        return self.ursa.generate_steps("prompt", "negative", **options, **steps, **more)

    def _clocked(self, steps: Iterable[tuple[int, torch.Tensor]]) -> dict[int, float]:
        seconds, start_s = dict[int, float](), perf_counter()
        for num_done, _ in steps:
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            seconds[num_done - 1], start_s = perf_counter() - start_s, perf_counter()
        return seconds

    @torch.no_grad()
    def _attended(self, size: dict[str, Any], dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
        """What the first layer of a step gives to `attend`, (b, heads, n, d) and twice (b, kv_heads, n, d)."""

        def attend(*tensors: Any, **_: Any) -> None:
            raise Given(*tensors[:3])

        config = replace(TransformerConfig(**size["transformer"]), num_hidden_layers=2)
        model, (codes, prompts) = self._filled(Transformer, config, dtype), drawn(size, self.device)
        model.compute_with(Backends("none is called", fused=self.device.type == "cuda"))
        try:
            with patch("ursa_ray.model.transformer.attend", attend):
                model(prompts, codes, model.rotary(size["num_text"], tuple(size["grid"])))
        except Given as given:
            return given.args
        raise AssertionError("no layer attends")

    def _filled(self, kind: type[Any], config: Any, dtype: torch.dtype | None = None) -> Any:
        with torch.device("meta"):
            module = kind(config).to(dtype or self.dtype)
        module = module.to_empty(device=self.device).eval().requires_grad_(False)
        fill(module)
        return module


def _tuples(config: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


if __name__ == "__main__":
    serve(OurSide)
