"""What the transformer is trained on: codes moved back along the path, each to the time of its latent frame.

Three kinds of clips (shares in the configuration): one time for all frames, as in text-to-video; a time for each
frame of its own (URSA paper, asynchronous timesteps); the first frames clean or nearly so and one time for the
others, which is the state in which a clip is extended. Times of frames that are independent would be in that state
once in a thousand.
"""

import torch
from einops import repeat
from jaxtyping import Float, Int64
from torch import Tensor

from ursa_ray.model.path import MetricPath
from ursa_ray.model.sampling import draw
from ursa_ray.training.config import TransformerTraining

# Upstream's: no clip is ever quite clean.
_LARGEST_SIGMA_STEP = 0.999

# Condition frames are noised to 0.9 as published; training covers what is around it and no noise at all.
_NEARLY_CLEAN = (0.8, 0.999)


def shift_times(uniform: Float[Tensor, "*shape"], shift: float) -> Float[Tensor, "*shape"]:
    """Uniform numbers in [0, 1) to times: a larger shift puts more of them near 0 (spec of the sampler's grid)."""
    sigma = 1 - _LARGEST_SIGMA_STEP * uniform
    return 1 - shift * sigma / (1 + (shift - 1) * sigma)


def draw_times(
    num_clips: int, num_frames: int, training: TransformerTraining, shift: float, generator: torch.Generator
) -> Float[Tensor, "clips t"]:
    """A time for every latent frame."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    kind = uniform(num_clips, 1)
    one = shift_times(uniform(num_clips, 1), shift).expand(-1, num_frames)
    each = shift_times(uniform(num_clips, num_frames), shift)
    low, high = _NEARLY_CLEAN
    nearly_clean = low + (high - low) * uniform(num_clips, 1)
    nearly_clean = torch.where(uniform(num_clips, 1) < 0.5, nearly_clean, high)
    num_given = torch.randint(1, training.max_condition + 1, (num_clips, 1), generator=generator)
    is_given = torch.arange(num_frames) < num_given
    conditioned = torch.where(is_given, nearly_clean, one)
    is_each = kind < training.time_per_frame
    is_one = kind >= 1 - training.one_time
    return torch.where(is_each, each, torch.where(is_one, one, conditioned))


def noise_codes(
    path: MetricPath, codes: Int64[Tensor, " n"], times: Float[Tensor, " n"], uniform: Tensor
) -> Int64[Tensor, " n"]:
    """Draw every code from p_t of its own time; `uniform` are float64 numbers in [0, 1), one for each code."""
    beta = path.c * (times / (1 - times)) ** path.alpha
    return draw((path.distances(codes) * -beta[:, None]).softmax(-1), uniform)


def noise_batch(
    path: MetricPath,
    codes: Int64[Tensor, "b n"],
    times: Float[Tensor, "b t"],
    generator: torch.Generator,
) -> Int64[Tensor, "b n"]:
    """Every code moved back to the time of its latent frame."""
    of_each_code = repeat(times, "b t -> (b t hw)", hw=codes.shape[1] // times.shape[1])
    uniform = torch.rand(codes.numel(), generator=generator, dtype=torch.float64)
    noised = noise_codes(path, codes.flatten(), of_each_code.to(codes.device), uniform.to(codes.device))
    return noised.view(codes.shape)
