"""One URSA model, ready for use: text, an image or a clip in, codes and frames out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Int64
from torch import Tensor

from ursa_ray.checkpoint import Checkpoint, TextTokenizer, open_checkpoint
from ursa_ray.errors import CheckpointError, OptionError
from ursa_ray.model.guidance import Denoiser, Guidance
from ursa_ray.model.image_tokenizer import ImageTokenizer
from ursa_ray.model.loading import VisualTokenizer, load_codebook, load_transformer, load_visual_tokenizer
from ursa_ray.model.path import Path, build_path, time_grid
from ursa_ray.model.sampling import FastSampler, PublishedSampler, Sampler
from ursa_ray.model.transformer import Transformer

Codes = Int64[Tensor, "t h w"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to generate; the names are the published pipeline's. None takes the checkpoint's default.

    Attributes:
        height, width: pixels, multiples of the tokenizer's spatial stride.
        num_frames: 1 more than a multiple of the tokenizer's temporal stride; 1 makes an image.
        guidance_scale: at most 1 turns guidance off.
        guidance_trunc: time t in [0, 1] from which guidance no longer acts.
        flow_shift: the time shift; larger stays noisy for longer.
        image: uint8 (h, w, 3), the first frame.
        video: uint8 (frames, h, w, 3), the first frames.
        cond_indices: latent frames of `image` or `video` to keep, at the same index; all of them if None.
        cond_noise_scale: how far in [0, 1) the condition is taken back towards noise.
        seed: decides all draws, unless `generator` is given.
        sampler: "fast", or "published" for the published draws and arithmetic.
    """

    height: int | None = None
    width: int | None = None
    num_frames: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float = 7.0
    guidance_trunc: float = 0.9
    flow_shift: float | None = None
    image: Any = None
    video: Any = None
    cond_indices: tuple[int, ...] | None = None
    cond_noise_scale: float = 0.0
    seed: int = 0
    generator: torch.Generator | None = None
    sampler: Literal["fast", "published"] = "fast"
    max_prompt_length: int | None = None


class Ursa:
    def __init__(
        self,
        checkpoint: Checkpoint,
        text: TextTokenizer,
        transformer: Transformer,
        tokenizer: VisualTokenizer,
        codebook: Tensor,
    ):
        self.checkpoint, self.text = checkpoint, text
        self.transformer, self.tokenizer, self.codebook = transformer, tokenizer, codebook

    @classmethod
    def from_pretrained(
        cls, name: str, device: str | torch.device | None = None, dtype: torch.dtype | None = None
    ) -> "Ursa":
        """Load `tiny`, a folder in the published layout, or a hub id, which is downloaded when it is not cached.

        `device` is cuda where there is one, else cpu; `dtype` float16 on cuda, float32 on a cpu.

        Raises:
            CheckpointError: the model is not to be had, or its files do not fit each other.
        """
        device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        dtype = dtype or (torch.float32 if device.type == "cpu" else torch.float16)
        checkpoint = open_checkpoint(name, fetch=True)
        assert checkpoint.folder is not None
        ursa = cls(
            checkpoint,
            TextTokenizer.from_folder(checkpoint.folder / "tokenizer"),
            load_transformer(checkpoint, device, dtype),
            load_visual_tokenizer(checkpoint, device, dtype),
            load_codebook(checkpoint, device),
        )
        num_codes, num_scored = ursa.tokenizer.num_codes, checkpoint.transformer.lm_head_size
        if num_codes != num_scored:
            raise CheckpointError(f"{name}: the tokenizer has {num_codes} codes, the transformer scores {num_scored}.")
        return ursa

    @property
    def device(self) -> torch.device:
        return self.codebook.device

    @property
    def dtype(self) -> torch.dtype:
        return self.transformer.lm_head.weight.dtype

    def generate(self, prompt: str, negative_prompt: str = "", **options: Any) -> Codes:
        """Codes for a prompt; `options` are the fields of `Options`.

        Raises:
            OptionError: an option is unknown or out of range.
        """
        *_, (_, codes) = self.generate_steps(prompt, negative_prompt, **options)
        return codes

    @torch.no_grad()
    def generate_steps(
        self,
        prompt: str,
        negative_prompt: str = "",
        resume: tuple[int, Codes] | None = None,
        **options: Any,
    ) -> Iterator[tuple[int, Codes]]:
        """Yield (steps done, codes) after every step; the last codes are the result.

        `resume` takes what an earlier call with the same arguments yielded and goes on from there, to the same end;
        the fast sampler only.
        """
        o = self._options(options)
        height, width, num_steps = o.height, o.width, o.num_inference_steps
        assert height and width and o.num_frames and num_steps and o.max_prompt_length
        stride = self.tokenizer.spatial_stride
        grid = ((o.num_frames - 1) // self.tokenizer.temporal_stride + 1, height // stride, width // stride)
        shift = o.flow_shift if o.flow_shift is not None else self.checkpoint.path.shift
        guidance = Guidance(o.guidance_scale, o.guidance_trunc)
        prompts = [prompt, negative_prompt] if guidance.is_on else [prompt]
        ids = torch.tensor([self.text.encode(text, o.max_prompt_length) for text in prompts], device=self.device)
        denoiser = Denoiser(self.transformer, ids, grid, guidance)
        sampler = self._sampler(o, time_grid(num_steps, shift))
        first, codes = (0, self._start(sampler, grid, o)) if resume is None else self._resumed(resume, grid, o)
        for step in range(first, num_steps):
            codes = sampler.step(codes.flatten(), step, denoiser).view(grid)
            yield step + 1, codes

    @torch.no_grad()
    def decode(self, codes: Codes) -> np.ndarray:
        """Frames of codes: uint8 (frames, height, width, 3).

        Raises:
            OptionError: not codes of this model.
        """
        codes = torch.as_tensor(codes).to(self.device, torch.int64)
        if codes.ndim != 3 or codes.numel() == 0:
            raise OptionError(f"codes have shape {tuple(codes.shape)}, expected (t, h, w).")
        if codes.min() < 0 or codes.max() >= self.tokenizer.num_codes:
            raise OptionError(f"codes reach {int(codes.max())}, expected 0 to {self.tokenizer.num_codes - 1}.")
        pixels = self.tokenizer.decode(codes[None])
        # Truncated, not rounded, as published.
        frames = pixels.mul(127.5).add_(127.5).clamp_(0, 255).to(torch.uint8)
        return rearrange(frames, "1 c f h w -> f h w c").cpu().numpy()

    @torch.no_grad()
    def encode(self, frames: Any) -> Codes:
        """Codes of frames, uint8 (frames, height, width, 3), or of one image (height, width, 3).

        Raises:
            OptionError: not such an array, or a size that the tokenizer cannot take.
        """
        array = np.asarray(frames)
        if array.ndim == 3:
            array = array[None]
        if array.ndim != 4 or array.shape[-1] != 3 or array.dtype != np.uint8:
            raise OptionError(
                f"frames are {array.dtype} {array.shape}, "
                "expected uint8 (frames, height, width, 3) or (height, width, 3)."
            )
        pixels = torch.tensor(array, device=self.device).to(self.dtype).sub_(127.5).div_(127.5)
        return self.tokenizer.encode(rearrange(pixels, "f h w c -> 1 c f h w"))[0]

    def _options(self, given: dict[str, Any]) -> Options:
        unknown = given.keys() - Options.__dataclass_fields__.keys()
        if unknown:
            known = ", ".join(Options.__dataclass_fields__)
            raise OptionError(f"generate() has no option {sorted(unknown)[0]!r}. Options: {known}.")
        defaults = self.checkpoint.defaults
        from_checkpoint = {
            "height": defaults.height,
            "width": defaults.width,
            "num_frames": defaults.frames,
            "num_inference_steps": defaults.steps,
            "max_prompt_length": defaults.max_prompt_length,
        }
        options = Options(**(from_checkpoint | {name: value for name, value in given.items() if value is not None}))
        self._check(options)
        return options

    def _check(self, o: Options) -> None:
        spatial, temporal = self.tokenizer.spatial_stride, self.tokenizer.temporal_stride
        for name, size in (("height", o.height), ("width", o.width)):
            if size is None:
                raise OptionError(f"{name} is missing, and {self.checkpoint.name} has no default for it.")
            if size < spatial or size % spatial:
                raise OptionError(f"{name} is {size}, expected a multiple of {spatial}.")
        for name in ("num_frames", "num_inference_steps", "max_prompt_length"):
            if getattr(o, name) < 1:
                raise OptionError(f"{name} is {getattr(o, name)}, expected at least 1.")
        if o.num_frames is not None and (o.num_frames - 1) % temporal:
            raise OptionError(f"num_frames is {o.num_frames}, expected 1 more than a multiple of {temporal}.")
        if o.flow_shift is not None and o.flow_shift <= 0:
            raise OptionError(f"flow_shift is {o.flow_shift}, expected more than 0.")
        if not 0 <= o.cond_noise_scale < 1:
            raise OptionError(f"cond_noise_scale is {o.cond_noise_scale}, expected 0 or more and less than 1.")
        if o.sampler not in ("fast", "published"):
            raise OptionError(f"sampler is {o.sampler!r}, expected 'fast' or 'published'.")
        if not 0 <= o.seed < 2**64:
            raise OptionError(f"seed is {o.seed}, expected 0 to 2**64 - 1.")
        if o.generator is not None and o.sampler == "published" and o.generator.device.type != self.device.type:
            raise OptionError(f"generator draws on {o.generator.device}, expected {self.device}.")
        conditions = [value for value in (o.image, o.video) if value is not None]
        if len(conditions) == 2:
            raise OptionError("image and video are both given, expected at most one.")
        if conditions and isinstance(self.tokenizer, ImageTokenizer):
            raise OptionError(
                f"{self.checkpoint.name} makes images from text alone; image and video need a video model."
            )

    def _sampler(self, o: Options, times: list[float]) -> Sampler:
        if o.sampler == "published":
            generator = o.generator or torch.Generator(self.device).manual_seed(o.seed)
            return PublishedSampler(self._path(self.dtype), times, generator)
        seed = o.seed
        if o.generator is not None:
            seed = int(torch.randint(2**63 - 1, (), generator=o.generator, device=o.generator.device))
        return FastSampler(self._path(torch.float32), times, seed, self.device)

    def _path(self, dtype: torch.dtype) -> Path:
        return build_path(self.checkpoint.path, self.codebook.to(dtype))

    def _start(self, sampler: Sampler, grid: tuple[int, int, int], o: Options) -> Codes:
        codes = sampler.start(grid[0] * grid[1] * grid[2]).view(grid)
        condition = o.image if o.image is not None else o.video
        if condition is None:
            return codes
        given = self.encode(condition)
        if given.shape[1:] != codes.shape[1:] or len(given) > len(codes):
            raise OptionError(
                f"the condition has codes {tuple(given.shape)}, which do not fit into {grid}: "
                f"expected {o.width}x{o.height} pixels and at most {o.num_frames} frames."
            )
        if o.cond_noise_scale > 0:
            given = sampler.noise(given.flatten(), 1 - o.cond_noise_scale).view(given.shape)
        indices = list(range(len(given)) if o.cond_indices is None else o.cond_indices)
        if any(not 0 <= index < len(given) for index in indices):
            raise OptionError(
                f"cond_indices are {indices}, expected 0 to {len(given) - 1}: the condition's latent frames."
            )
        codes[indices] = given[indices]
        return codes

    def _resumed(self, resume: tuple[int, Codes], grid: tuple[int, int, int], o: Options) -> tuple[int, Codes]:
        step, codes = resume
        if o.sampler != "fast" or o.generator is not None:
            raise OptionError("only the fast sampler with a seed can be resumed: a generator's past draws are gone.")
        if tuple(codes.shape) != grid or not 0 <= step <= (o.num_inference_steps or 0):
            raise OptionError(f"resume is step {step} with codes {tuple(codes.shape)}, expected {grid}.")
        return step, codes.to(self.device)
