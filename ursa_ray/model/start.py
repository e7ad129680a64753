"""Where a generation starts: from uniform codes, with those of frames that are given, or where an earlier one was."""

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from ursa_ray.errors import OptionError
from ursa_ray.model.options import Options
from ursa_ray.model.sampling import Sampler

Codes = Int64[Tensor, "t h w"]
Condition = Int64[Tensor, "t_given h w"]
Grid = tuple[int, int, int]


def given_frames(o: Options, temporal_stride: int) -> np.ndarray | None:
    """Frames that a generation begins with, uint8 (frames, height, width, 3).

    Raises:
        OptionError: they are no such array, or not as many as fill latent frames.
    """
    if o.image is not None:
        return _checked("image", np.asarray(o.image), (o.height, o.width, 3))[None]
    if o.video is None:
        return None
    video = np.asarray(o.video)
    if video.ndim == 4 and ((len(video) - 1) % temporal_stride or len(video) > (o.num_frames or 0)):
        raise OptionError(
            f"video has {len(video)} frames, expected 1 more than a multiple of {temporal_stride}, "
            f"at most {o.num_frames}."
        )
    return _checked("video", video, (len(video) if video.ndim else None, o.height, o.width, 3))


def first_codes(sampler: Sampler, grid: Grid, given: Condition | None, o: Options) -> Codes:
    codes = sampler.start(grid[0] * grid[1] * grid[2]).view(grid)
    if given is None:
        return codes
    if o.cond_noise_scale > 0:
        given = sampler.noise(given.flatten(), 1 - o.cond_noise_scale).view(given.shape)
    return put(codes, given, o)


def resumed(resume: tuple[int, Codes], grid: Grid, o: Options, device: torch.device) -> tuple[int, Codes]:
    """What an earlier generation yielded.

    Raises:
        OptionError: it cannot be gone on from.
    """
    step, codes = resume
    if o.sampler != "fast" or o.generator is not None:
        raise OptionError("only the fast sampler with a seed can be resumed: a generator's past draws are gone.")
    num_steps = o.num_inference_steps or 0
    if tuple(codes.shape) != grid or not 0 <= step <= num_steps:
        raise OptionError(
            f"resume is step {step} with codes {tuple(codes.shape)}, expected step 0 to {num_steps} with codes {grid}."
        )
    return step, codes.to(device)


def put(codes: Codes, given: Condition, o: Options) -> Codes:
    """The codes of a condition, all or those of `cond_indices`, at their places.

    Raises:
        OptionError: it has no such latent frames.
    """
    indices = list(range(len(given)) if o.cond_indices is None else o.cond_indices)
    if any(not 0 <= index < len(given) for index in indices):
        raise OptionError(f"cond_indices are {indices}, expected 0 to {len(given) - 1}: the condition's latent frames.")
    codes = codes.clone()
    codes[indices] = given[indices]
    return codes


def _checked(name: str, array: np.ndarray, expected: tuple[int | None, ...]) -> np.ndarray:
    if array.dtype != np.uint8 or array.shape != expected:
        shape = "(height, width, 3)" if len(expected) == 3 else "(frames, height, width, 3)"
        raise OptionError(f"{name} is {array.dtype} {array.shape}, expected uint8 {shape} of {expected[-3:-1]} pixels.")
    return array
