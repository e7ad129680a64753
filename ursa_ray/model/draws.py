"""How the fast sampler draws: x_1 from the scores of the head, and where to jump from the rates.

Both invert the cumulated weights of all codes, in their order, at a uniform number, in two levels: first a group of
neighbouring codes, then one of them by what is left of the number. So all implementations draw the same codes but for
rounding:

`torch`   holds the weights of some rows at a time; works everywhere.
`triton`  holds the sums of groups alone; on cuda, for the metric path over a narrow codebook (`triton_draws`).

Triton is imported only where it is wanted: it is not to be had everywhere.
"""

import importlib.util
import logging
import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from ursa_ray.errors import OptionError
from ursa_ray.model.guidance import Denoiser
from ursa_ray.model.path import MetricPath, Path

logger = logging.getLogger(__name__)

NAMES = ("torch", "triton")

# Of a codebook vector, which Triton's threads hold in registers. FSQ has 6, the image tokenizer's codebook 256.
MAX_COMPONENTS = 8

# Codes of which `draw` cumulates the weights only when the one that is drawn is among them.
GROUP = 256


@runtime_checkable
class Rates(Protocol):
    """Rates of some rows to all codes."""

    @property
    def total(self) -> Float32[Tensor, " n"]:
        """Their sums."""
        ...

    def draw(self, rows: Int64[Tensor, " rows"], uniform: Float64[Tensor, " rows"]) -> Int64[Tensor, " rows"]:
        """A code for each of some rows, with probability in proportion to its rate."""
        ...


@runtime_checkable
class Draws(Protocol):
    """`num_kept` is how many numbers are in memory at once for each row, next to its hidden row."""

    num_kept: int

    def x_1(
        self, denoiser: Denoiser, hidden: Float[Tensor, "n d"], uniform: Float64[Tensor, " n"]
    ) -> Int64[Tensor, " n"]:
        """A code for each guided hidden row from the softmax of its scores."""
        ...

    def rates(self, x_t: Int64[Tensor, " n"], x_1: Int64[Tensor, " n"], t: float) -> Rates:
        """Rates of the path from x_t, to which there is none."""
        ...


class TorchRates:
    def __init__(self, rates: Float32[Tensor, "n k"]):
        self.rates, self.total = rates, rates.sum(-1)

    def draw(self, rows: Int64[Tensor, " rows"], uniform: Float64[Tensor, " rows"]) -> Int64[Tensor, " rows"]:
        return draw(self.rates[rows], uniform)


class TorchDraws:
    def __init__(self, path: Path):
        self.path, self.num_kept = path, path.num_codes

    def x_1(
        self, denoiser: Denoiser, hidden: Float[Tensor, "n d"], uniform: Float64[Tensor, " n"]
    ) -> Int64[Tensor, " n"]:
        return draw(denoiser.head(hidden).softmax(-1), uniform)

    def rates(self, x_t: Int64[Tensor, " n"], x_1: Int64[Tensor, " n"], t: float) -> Rates:
        return TorchRates(self.path.rates(x_t, x_1, t).scatter_(1, x_t[:, None], 0))


def choose_draws(path: Path, weight: Float[Tensor, "k d"], wish: str | None = None) -> str:
    """The implementation that is asked for; without a wish triton on cuda where it works, else torch.

    `weight` is the head's, with which triton is tried: what it compiles for these sizes is then ready.

    Raises:
        OptionError: there is none of that name, or it does not work here.
    """
    _require_known(wish)
    if wish == "torch" or (wish is None and weight.device.type != "cuda"):
        return "torch"
    refusal = _triton_refusal(path, weight)
    if refusal is None:
        return "triton"
    if wish is not None:
        raise _refused(refusal)
    logger.info("draws by torch: triton does not work on %s: %s", weight.device, refusal)
    return "torch"


def require_draws(wish: str | None, device: torch.device) -> None:
    """Find out, before there is a model, whether those that are asked for could be made here.

    Raises:
        OptionError: they could not.
    """
    _require_known(wish)
    refusal = _triton_absence(device) if wish == "triton" else None
    if refusal is not None:
        raise _refused(refusal)


def _require_known(wish: str | None) -> None:
    if wish not in (None, *NAMES):
        raise OptionError(f"draws is {wish!r}, expected {' or '.join(NAMES)}, or nothing for the faster that works.")


def _refused(reason: str) -> OptionError:
    return OptionError(f"draws is 'triton', which does not work here: {reason}. Leave it out, or give torch.")


def _triton_absence(device: torch.device) -> str | None:
    """Why there is no Triton for a device; None if there is."""
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    from ursa_ray.model.draw_kernels import IS_INTERPRETED

    if device.type == "cuda" or IS_INTERPRETED:
        return None
    return f"Triton does not compile for a {device.type}, and its interpreter is not on (TRITON_INTERPRET=1)"


def _triton_refusal(path: Path, weight: Float[Tensor, "k d"]) -> str | None:
    """Why Triton cannot draw from this path and head; None if it can."""
    if not isinstance(path, MetricPath):
        return "it draws on the metric path alone, and this model has the mixture path"
    num_components = path.vectors.shape[1]
    if num_components > MAX_COMPONENTS:
        return f"codebook vectors have {num_components} components, it takes {MAX_COMPONENTS} at most"
    absence = _triton_absence(weight.device)
    if absence is not None:
        return absence
    from ursa_ray.model.triton_draws import refusal

    return refusal(path, weight)


def build_draws(name: str, path: Path) -> Draws:
    """The implementation that was chosen."""
    if name == "torch":
        return TorchDraws(path)
    assert name == "triton" and isinstance(path, MetricPath), (name, path)
    from ursa_ray.model.triton_draws import TritonDraws

    return TritonDraws(path)


def draw(weights: Float[Tensor, "n k"], uniform: Float64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Draw from each row of unnormalised weights by inverting its cumulated sum; a weight of 0 is never drawn.

    First a group of neighbouring codes, then one of them by what is left of the uniform number: only the sums of groups
    are computed for all codes. Rows without any weight give an arbitrary code.
    """
    groups = weights.unflatten(-1, (-1, math.gcd(weights.shape[-1], GROUP)))  # (n, groups, codes)
    group, rest = invert(groups.sum(-1), uniform)
    within, _ = invert(groups[torch.arange(len(groups), device=groups.device), group], rest)
    return group * groups.shape[-1] + within


def invert(
    weights: Float[Tensor, "n k"], uniform: Float64[Tensor, " n"]
) -> tuple[Int64[Tensor, " n"], Float64[Tensor, " n"]]:
    """Which weight each number falls on, and where on it, in [0, 1)."""
    # float64: over 64,000 codes a float32 sum is off by more than the smallest probabilities that matter.
    cumulated = weights.cumsum(-1, dtype=torch.float64)
    threshold = uniform[:, None] * cumulated[:, -1:]
    # Where there is no weight the place is behind the last: 0, which also the shortest group has.
    index = torch.searchsorted(cumulated, threshold, right=True).remainder_(weights.shape[-1])
    weight = weights.gather(1, index).double()
    rest = (threshold - (cumulated.gather(1, index) - weight)) / weight
    return index.squeeze(1), rest.nan_to_num_(0).clamp_(0, 1 - 2.0**-52).squeeze(1)
