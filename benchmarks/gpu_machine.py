"""What the machine of `bench_gpu.py` can do: its versions, two ceilings, and attention by every backend of torch."""

import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import torch
from gpu_side import ATTENTION, forced, parts, seconds_of
from torch.nn.functional import scaled_dot_product_attention

# Of attention as it is checked: so many first and last rows of queries, whose result is computed once more in float32.
NUM_CHECKED = 16


def versions(device: torch.device) -> dict[str, Any]:
    found: dict[str, Any] = {"python": sys.version.split()[0], "torch": torch.__version__, "cuda": torch.version.cuda}
    try:
        import triton

        found["triton"] = triton.__version__
    except ImportError:
        found["triton"] = None
    if device.type != "cuda":
        return found | {"device": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    properties = torch.cuda.get_device_properties(device)
    return found | {
        "device": properties.name,
        "memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "cudnn": torch.backends.cudnn.version(),
        "driver, power limit, clock": _driver(),
        "kernel": platform.release(),
    }


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version,power.limit,clocks.max.sm", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown: {error}"


def ceilings(device: torch.device, small: bool) -> dict[str, float]:
    """Bytes a second of a copy, read and written, and FLOP/s of a product of random matrices, short and for long."""
    found = {"copy_bytes_per_s": _copied(device, 2**20 if small else 2**30)}
    n = 256 if small else 8192
    for dtype in (torch.float16, torch.bfloat16):
        multiply = partial(torch.mm, *(torch.randn(n, n, device=device, dtype=dtype) for _ in range(2)))
        name = str(dtype).removeprefix("torch.")
        found[f"{name}_flops_per_s"] = 2 * n**3 / _median(multiply, device, 10)
        found[f"{name}_lasting_flops_per_s"] = 2 * n**3 / _lasting(multiply, device)
    return found


def _copied(device: torch.device, num: int) -> float:
    source = torch.randn(num, device=device, dtype=torch.float16)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _median(lambda: target.copy_(source), device, 10)


def attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, backend: str, grouped: bool, device: torch.device
) -> dict[str, Any]:
    """Attention of (b, heads, n, d) to (b, kv_heads, n, d): seconds, FLOP/s, its kernel, how far from float32 it is.

    Raises:
        RuntimeError: the backend cannot do it.
    """
    strides = [list(x.stride()) for x in (q, k, v)]
    if not grouped:
        k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))

    def run() -> torch.Tensor:
        with forced(backend):
            return scaled_dot_product_attention(q, k, v, enable_gqa=grouped)

    b, heads, n, d = q.shape
    checked = [*range(NUM_CHECKED), *range(n - NUM_CHECKED, n)]
    found, expected = run()[:, :, checked].float(), _in_float32(q[:, :, checked], k, v)
    seconds = _median(run, device, 5)
    kernels = parts(run, device)["kernels"]
    return {
        "seconds": seconds,
        "flops_per_s": 4.0 * b * heads * n * n * d / seconds,
        "kernel": kernels[0]["name"] if kernels else None,
        "relative_error": ((found - expected).norm() / expected.norm()).item(),
        "strides": strides,
    }


def backends(device: torch.device) -> list[str]:
    """Names to ask `attention` for."""
    return ["default", *(ATTENTION if device.type == "cuda" else ())]


def _in_float32(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    heads = q.shape[1] // k.shape[1]
    k, v = (x.float().repeat_interleave(heads, 1) for x in (k, v))
    # Not by torch's products, which may round to tf32 where somebody asked for it.
    scores = (q.double() @ k.double().mT) * q.shape[-1] ** -0.5
    return (scores.softmax(-1) @ v.double()).float()


def _median(function: Callable[[], Any], device: torch.device, num: int) -> float:
    for _ in range(2):
        function()
    return statistics.median(seconds_of(function, device) for _ in range(num))


def _lasting(function: Callable[[], Any], device: torch.device, seconds: float = 1.5) -> float:
    """Seconds of one call after so many of them: what is left when the card is warm and its clock has come down."""
    num = max(1, int(seconds / 10 / _median(function, device, 3)))

    def often() -> None:
        for _ in range(num):
            function()

    last_s, end_s = 0.0, perf_counter() + seconds
    while perf_counter() < end_s:
        last_s = seconds_of(often, device)
    return last_s / num
