"""How a model computes on its device: by name, and chosen once, when it is loaded.

Left alone, torch falls back in silence from one attention kernel to the next and in the end to the one that holds all
scores. So each is tried here on a tiny call, in order of preference, and the first that works computes alone from then
on; where it no longer can (cuDNN's under `torch.use_deterministic_algorithms`), torch raises.
"""

import logging
import warnings
from dataclasses import dataclass

import torch

from ursa_ray.checkpoint.config import TransformerConfig
from ursa_ray.errors import OptionError
from ursa_ray.model.products import attend

logger = logging.getLogger(__name__)

# Attention kernels in order of preference. Measured elsewhere on an H100, heads of 128: cuDNN 595 TFLOP/s, flash 370.
ATTENTION = {"cpu": ("onednn", "flash"), "cuda": ("cudnn", "flash", "efficient")}

# Holds all scores, so it is never chosen, but may be asked for.
MATH = "math"

# Of two branches of 49 frames of 320x512, for which the memory of the math kernel is told.
NUM_BRANCHES, NUM_POSITIONS = 2, 33_601

# Positions of the call that a kernel is tried with; odd, as those of released models are.
NUM_TRIED = 65

# Of results about 1: above the rounding of bfloat16, 0.004, and far below what another average of values gives.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Backends:
    """What decides how results are rounded, beside the device and the dtype.

    Attributes:
        attention: a name of `ATTENTION`, or `MATH`.
        draws: how the fast sampler draws, by `draws.choose_draws`.
        compile: blocks of the transformer go through `torch.compile`.
        fused: one product for queries, keys and values, and one for both halves of the feed forward's gate.
    """

    attention: str
    draws: str = "torch"
    compile: bool = False
    fused: bool = False

    def __str__(self) -> str:
        extra = [name for name, is_on in (("compiled", self.compile), ("fused", self.fused)) if is_on]
        return ", ".join([f"{self.attention} attention", f"{self.draws} draws", *extra])


def choose_backends(
    config: TransformerConfig,
    device: torch.device,
    dtype: torch.dtype,
    attention: str | None = None,
    draws: str = "torch",
    compile: bool | None = None,  # noqa: A002 - torch's name
) -> Backends:
    """The best for a device, or those that are asked for.

    Raises:
        OptionError: there is none of that name, it does not work here, or none of all does.
    """
    if compile:
        _require_compiler(device)
    backends = Backends(
        _attention(config, device, dtype, attention),
        draws,
        compile=compile or False,
        fused=device.type == "cuda",
    )
    logger.info("%s in %s computes with %s.", device, dtype, backends)
    return backends


def _attention(config: TransformerConfig, device: torch.device, dtype: torch.dtype, wish: str | None) -> str:
    if wish is not None:
        require_attention(wish, config, device, dtype)
        return wish
    refused: dict[str, str] = {}
    for kernel in ATTENTION[device.type]:
        refusal = _refusal(kernel, config, device, dtype)
        if refusal is None:
            return kernel
        logger.info("%s attention does not work on %s: %s", kernel, device, refusal)
        refused[kernel] = refusal
    tried = "".join(f"\n  {kernel}: {refusal}" for kernel, refusal in refused.items())
    raise OptionError(
        f"no attention kernel works on {device} in {dtype} with heads of {config.head_dim}. Tried:{tried}\n"
        f"Give another dtype, or ask for {MATH}. {math_memory(config, dtype)}"
    )


def require_attention(kernel: str, config: TransformerConfig, device: torch.device, dtype: torch.dtype) -> None:
    """Try the kernel that is asked for.

    Raises:
        OptionError: a device of this type has none of that name, or it does not work here.
    """
    known = (*ATTENTION[device.type], MATH)
    if kernel not in known:
        raise OptionError(
            f"attention is {kernel!r}, expected {', '.join(known)} on {device.type}. Without it the first that works "
            f"is taken, but never {MATH}."
        )
    refusal = _refusal(kernel, config, device, dtype)
    if refusal is not None:
        raise OptionError(
            f"attention is {kernel!r}, which does not work on {device} in {dtype} with heads of {config.head_dim}: "
            f"{refusal} Leave it out, or give another dtype."
        )


def _refusal(kernel: str, config: TransformerConfig, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why a kernel cannot compute here, in torch's words; None if it can."""
    random = torch.Generator().manual_seed(0)
    q, k, v = (
        torch.randn(1, NUM_TRIED, heads, config.head_dim, generator=random).to(dtype).transpose(1, 2)
        for heads in (config.num_attention_heads, config.num_key_value_heads, config.num_key_value_heads)
    )
    with warnings.catch_warnings(record=True) as reasons, torch.no_grad():
        warnings.simplefilter("always")  # torch says so why it takes none
        try:
            attended = attend(q.to(device), k.to(device), v.to(device), kernel)
        except RuntimeError as error:
            said = [*(str(reason.message) for reason in reasons), str(error)]
            return " ".join(text.partition("\n")[0].partition(" (Triggered")[0] for text in said)
    expected = attend(q.float(), k.float(), v.float(), MATH)
    return None if torch.allclose(attended.float().cpu(), expected, atol=TOLERANCE) else "its result is wrong."


def math_memory(config: TransformerConfig, dtype: torch.dtype) -> str:
    num_bytes = NUM_BRANCHES * config.num_attention_heads * NUM_POSITIONS**2 * dtype.itemsize
    return f"The attention {MATH} takes {num_bytes / 1e9:.0f} GB for the scores of {NUM_POSITIONS:,} positions."


def _require_compiler(device: torch.device) -> None:
    try:
        torch.compile(torch.square)(torch.ones(1, device=device))
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise OptionError(
            f"compile needs a C++ compiler, and Triton on cuda, but on {device} torch.compile says: {reason} Install "
            "g++, or leave it out."
        ) from error
