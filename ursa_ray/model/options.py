"""How to generate: the arguments of `Ursa.generate`, checked as far as they can be without a model."""

import math
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, Literal

import torch

from ursa_ray.checkpoint import Defaults
from ursa_ray.errors import OptionError


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
        restore_condition: put the condition's own codes back at the end; published results keep what became of them.
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
    restore_condition: bool = False
    seed: int = 0
    generator: torch.Generator | None = None
    sampler: Literal["fast", "published"] = "fast"
    max_prompt_length: int | None = None

    @classmethod
    def from_arguments(cls, given: dict[str, Any], defaults: Defaults) -> "Options":
        """Options with the checkpoint's defaults where `given` has nothing or None.

        Raises:
            OptionError: an option is unknown, not of its type, or out of every model's range.
        """
        names = [field.name for field in fields(cls)]
        unknown = given.keys() - names
        if unknown:
            raise OptionError(f"generate() has no option {sorted(unknown)[0]!r}. Options: {', '.join(names)}.")
        values = {
            "height": defaults.height,
            "width": defaults.width,
            "num_frames": defaults.frames,
            "num_inference_steps": defaults.steps,
            "guidance_scale": defaults.guidance,
            "max_prompt_length": defaults.max_prompt_length,
        }
        values |= {name: _typed(name, value) for name, value in given.items() if value is not None}
        options = cls(**values)
        options._check()
        return options

    def _check(self) -> None:
        for name in ("num_frames", "num_inference_steps", "max_prompt_length"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}, expected at least 1.")
        if self.flow_shift is not None and self.flow_shift <= 0:
            raise OptionError(f"flow_shift is {self.flow_shift}, expected more than 0.")
        if not 0 <= self.guidance_trunc <= 1:
            raise OptionError(f"guidance_trunc is {self.guidance_trunc}, expected a time from 0 to 1.")
        if not 0 <= self.cond_noise_scale < 1:
            raise OptionError(f"cond_noise_scale is {self.cond_noise_scale}, expected 0 or more and less than 1.")
        if not 0 <= self.seed < 2**64:
            raise OptionError(f"seed is {self.seed}, expected 0 to 2**64 - 1.")
        if self.image is not None and self.video is not None:
            raise OptionError("image and video are both given, expected at most one.")
        if self.cond_indices is not None and self.image is None and self.video is None:
            raise OptionError("cond_indices are given without a condition, expected an image or a video with them.")


_WHOLE = ("height", "width", "num_frames", "num_inference_steps", "max_prompt_length", "seed")
_NUMBERS = ("guidance_scale", "guidance_trunc", "flow_shift", "cond_noise_scale")


def _typed(name: str, value: Any) -> Any:
    """The value as its field has it; numpy's numbers and lists of indices are welcome."""
    if name in _WHOLE:
        if not _is_whole(value):
            raise OptionError(f"{name} is {value!r}, expected a whole number.")
        return int(value)
    if name in _NUMBERS:
        if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
            raise OptionError(f"{name} is {value!r}, expected a number.")
        return float(value)
    if name == "cond_indices":
        if not isinstance(value, list | tuple | range) or not all(map(_is_whole, value)):
            raise OptionError(f"cond_indices are {value!r}, expected whole numbers such as (0, 12).")
        return tuple(int(index) for index in value)
    if name == "restore_condition" and not isinstance(value, bool):
        raise OptionError(f"restore_condition is {value!r}, expected True or False.")
    if name == "sampler" and value not in ("fast", "published"):
        raise OptionError(f"sampler is {value!r}, expected 'fast' or 'published'.")
    if name == "generator" and not isinstance(value, torch.Generator):
        raise OptionError(f"generator is {value!r}, expected a torch.Generator.")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
