"""One URSA model, ready for use: text, an image or a clip in, codes and frames out."""

import logging
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ursa_ray.checkpoint import Checkpoint, TextTokenizer, open_checkpoint
from ursa_ray.errors import CheckpointError, OptionError
from ursa_ray.model.backends import MATH, Backends, choose_backends, math_memory
from ursa_ray.model.crew import Crew
from ursa_ray.model.devices import Devices, Parallel, check_devices, choose_device, choose_dtype
from ursa_ray.model.draws import build_draws, choose_draws
from ursa_ray.model.guidance import Denoiser, Guidance
from ursa_ray.model.image_tokenizer import ImageTokenizer
from ursa_ray.model.loading import VisualTokenizer, load_codebook, load_transformer, load_visual_tokenizer
from ursa_ray.model.options import Options
from ursa_ray.model.path import Path, build_path, time_grid
from ursa_ray.model.sampling import FastSampler, PublishedSampler, Sampler
from ursa_ray.model.start import Codes, first_codes, given_frames, put, resumed
from ursa_ray.model.transformer import Transformer

logger = logging.getLogger(__name__)


class Ursa:
    def __init__(
        self,
        checkpoint: Checkpoint,
        text: TextTokenizer,
        transformer: Transformer,
        tokenizer: VisualTokenizer,
        codebook: Tensor,
        crew: Crew | None = None,
    ):
        self.checkpoint, self.text, self.crew = checkpoint, text, crew
        self.transformer, self.tokenizer, self.codebook = transformer, tokenizer, codebook

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        attention: str | None = None,
        draws: str | None = None,
        compile: bool | None = None,  # noqa: A002 - torch's name
        num_devices: int = 1,
        parallel: Parallel | None = None,
    ) -> "Ursa":
        """Load `tiny`, a folder in the published layout, or a hub id, which is downloaded when it is not cached.

        `device` is cuda where there is one, else cpu; `dtype` float16 on cuda, float32 on a cpu. `attention`, `draws`
        and `compile` are those of `Backends`, chosen for the device unless they are given.

        With `num_devices` the device is the first of several, which share every step as `Devices` says. The others are
        used by processes that `multiprocessing` spawns, so a script must guard its main part with
        `if __name__ == "__main__"`.

        Raises:
            CheckpointError: the model is not to be had, or its files do not fit each other.
            OptionError: there is no such device or backend here, or several cannot be used so.
            ReplicaError: one of several devices could not load the model.
        """
        check_devices(num_devices, parallel, compile)
        devices = Devices(choose_device(device), num_devices, parallel)
        device = devices[0]
        dtype = choose_dtype(device, dtype)
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
        config = ursa.transformer.config  # with the size of heads that the weights have
        draws = choose_draws(ursa._path(torch.float32), ursa.transformer.lm_head.weight, draws)
        ursa.transformer.compute_with(choose_backends(config, device, dtype, attention, draws, compile))
        if attention == MATH:
            logger.warning(math_memory(config, dtype))
        if devices.number > 1:
            ursa.crew = Crew(ursa.transformer, checkpoint, devices)
        return ursa

    def close(self) -> None:
        """Let go of the devices beyond the first; what is loaded on that one goes with this object."""
        if self.crew is not None:
            self.crew.close()

    @property
    def device(self) -> torch.device:
        return self.codebook.device

    @property
    def dtype(self) -> torch.dtype:
        return self.transformer.lm_head.weight.dtype

    @property
    def backends(self) -> Backends:
        assert self.transformer.backends is not None
        return self.transformer.backends

    @property
    def sharing(self) -> str:
        """How several devices share every step, to be put behind the name of a device."""
        return "" if self.crew is None else self.crew.devices.sharing

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
        preview_steps: Collection[int] = (),
        on_preview: Callable[[Codes], None] | None = None,
        **options: Any,
    ) -> Iterator[tuple[int, Codes]]:
        """Yield (steps done, codes) after every step; the last codes are the result.

        `resume` takes what an earlier call with the same arguments yielded and goes on from there, to the same end;
        the fast sampler only. In each of `preview_steps`, counted from 1, `on_preview` is called with the most likely
        result as the network sees it then, which costs one more run of the last layer, with several devices one more
        step, and changes nothing. The first step only starts and the last one is the result, so neither has a preview.

        Raises:
            OptionError: an option is unknown or out of range.
        """
        o = self._options(options)
        height, width, num_steps = o.height, o.width, o.num_inference_steps
        assert height and width and o.num_frames and num_steps and o.max_prompt_length
        _require_preview_steps(preview_steps, num_steps)
        stride = self.tokenizer.spatial_stride
        grid = ((o.num_frames - 1) // self.tokenizer.temporal_stride + 1, height // stride, width // stride)
        shift = o.flow_shift if o.flow_shift is not None else self.checkpoint.path.shift
        guidance = Guidance(o.guidance_scale, o.guidance_trunc)
        prompts = [prompt, negative_prompt] if guidance.is_on else [prompt]
        ids = torch.tensor([self.text.encode(text, o.max_prompt_length) for text in prompts], device=self.device)
        denoiser = Denoiser(self.transformer, ids, grid, guidance, self.crew)
        sampler = self._sampler(o, time_grid(num_steps, shift))
        frames = given_frames(o, self.tokenizer.temporal_stride)
        given = None if frames is None else self.encode(frames)
        if resume is None:
            first, codes = 0, first_codes(sampler, grid, given, o)
        else:
            first, codes = resumed(resume, grid, o, self.device)
        if first == num_steps:
            yield first, codes
        for step in range(first, num_steps):
            tokens = codes.flatten()
            if on_preview is not None and step + 1 in preview_steps:
                with denoiser.keeping():
                    codes = sampler.step(tokens, step, denoiser).view(grid)
                    likely = sampler.likely(tokens, step, denoiser).view(grid)
                on_preview(put(likely, given, o) if o.restore_condition and given is not None else likely)
            else:
                codes = sampler.step(tokens, step, denoiser).view(grid)
            if o.restore_condition and given is not None and step + 1 == num_steps:
                codes = put(codes, given, o)
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
            found = f"{int(codes.min())} to {int(codes.max())}"
            raise OptionError(f"codes are {found}, expected 0 to {self.tokenizer.num_codes - 1}.")
        pixels = self.tokenizer.decode(codes[None])
        # Truncated, not rounded, as published.
        frames = pixels.mul(127.5).add_(127.5).clamp_(0, 255).to(torch.uint8)
        # Contiguous on the device, where it takes no time: else whoever reads the frames turns their axes on a CPU.
        return rearrange(frames, "1 c f h w -> f h w c").contiguous().cpu().numpy()

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
        o = Options.from_arguments(given, self.checkpoint.defaults)
        spatial, temporal = self.tokenizer.spatial_stride, self.tokenizer.temporal_stride
        for name, size in (("height", o.height), ("width", o.width)):
            if size is None:
                raise OptionError(f"{name} is missing, and {self.checkpoint.name} has no default for it.")
            if size < spatial or size % spatial:
                raise OptionError(f"{name} is {size}, expected a multiple of {spatial}.")
        if o.num_frames is not None and (o.num_frames - 1) % temporal:
            raise OptionError(f"num_frames is {o.num_frames}, expected 1 more than a multiple of {temporal}.")
        if o.generator is not None and o.sampler == "published" and o.generator.device.type != self.device.type:
            raise OptionError(f"generator draws on {o.generator.device}, expected {self.device}.")
        if (o.image is not None or o.video is not None) and isinstance(self.tokenizer, ImageTokenizer):
            raise OptionError(
                f"{self.checkpoint.name} makes images from text alone; image and video need a video model."
            )
        return o

    def _sampler(self, o: Options, times: list[float]) -> Sampler:
        if o.sampler == "published":
            generator = o.generator or torch.Generator(self.device).manual_seed(o.seed)
            return PublishedSampler(self._path(self.dtype), times, generator)
        seed = o.seed
        if o.generator is not None:
            seed = int(torch.randint(2**63 - 1, (), generator=o.generator, device=o.generator.device))
        path = self._path(torch.float32)
        return FastSampler(path, times, seed, self.device, build_draws(self.backends.draws, path))

    def _path(self, dtype: torch.dtype) -> Path:
        return build_path(self.checkpoint.path, self.codebook.to(dtype))


def _require_preview_steps(preview_steps: Collection[int], num_steps: int) -> None:
    for step in preview_steps:
        if not 1 < step < num_steps:
            raise OptionError(f"preview_steps has {step}, expected 2 to {num_steps - 1}: there are {num_steps} steps.")
