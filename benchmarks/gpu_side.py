"""What the sides of `bench_gpu.py` share: timing, random weights, and where the time of a step goes.

Needs torch alone: the published side has its own environment.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch.autograd import DeviceType
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile, record_function

SEED = 20251123

# Of the random weights that the published class begins with.
STD = 0.02

ATTENTION = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
}

# Parts of a step, from ranges that the sides name; within `network` operators tell what they are.
RANGES = ("network", "head", "guidance", "sampler")
ATTENTION_WORDS = ("attention", "sdpa", "fmha", "flash")
PRODUCT_OPERATORS = ("aten::mm", "aten::addmm", "aten::bmm", "mkldnn::", "aten::_scaled_mm")
NUM_KERNELS = 25


def forced(attention: str) -> AbstractContextManager[None]:
    """No other attention than this backend's, an error where it cannot; `default` leaves the choice to torch."""
    return nullcontext() if attention == "default" else sdpa_kernel(ATTENTION[attention])


def seconds_of(function: Callable[[], Any], device: torch.device) -> float:
    """Seconds from its first kernel to its last, waits of the device for this process included."""
    if device.type != "cuda":
        start_s = perf_counter()
        function()
        return perf_counter() - start_s
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    function()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def measured(function: Callable[[], Any], device: torch.device) -> dict[str, float | None]:
    """Seconds, and the most bytes that tensors had meanwhile, weights included (None on a CPU)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = seconds_of(function, device)
    return {"seconds": seconds, "peak_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None}


def fill(module: torch.nn.Module) -> None:
    """Random weights in place; the same on both sides, since their names are."""
    weights = module.state_dict()
    generator = torch.Generator(next(iter(weights.values())).device).manual_seed(SEED)
    for name in sorted(weights):
        if weights[name].ndim > 1:
            weights[name].normal_(std=STD, generator=generator)
        else:
            weights[name].fill_(0 if name.endswith("bias") else 1)


def weights_bytes(*modules: torch.nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for module in modules for weight in module.parameters())


def drawn(size: dict[str, Any], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes (n,) and the ids of prompt and negative prompt (2, p); the same on both sides."""
    generator = torch.Generator(device).manual_seed(SEED + 1)
    t, h, w = size["grid"]
    config = size["transformer"]
    codes = torch.randint(config["lm_head_size"], (t * h * w,), generator=generator, device=device)
    prompts = torch.randint(2, config["lm_vocab_size"], (2, size["num_text"]), generator=generator, device=device)
    return codes, prompts


def codebook(levels: list[int], device: torch.device) -> torch.Tensor:
    """Vectors of a grid of so many levels, (k, e): what stands in the released schedulers."""
    steps = torch.tensor(levels, device=device)
    half_widths, basis = steps // 2, steps.cumprod(0) // steps
    codes = torch.arange(int(steps.prod()), device=device)[:, None]
    return (codes // basis % steps - half_widths) / half_widths


def changed(before: torch.Tensor, after: torch.Tensor) -> float:
    """Share of codes that a step changed: it is to be the same, within noise, however the step is computed."""
    return (before != after.flatten()).double().mean().item()


def labelled(label: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as a range of the profiler."""

    def within(*arguments: Any, **options: Any) -> Any:
        with record_function(label):
            return function(*arguments, **options)

    return within


def parts(function: Callable[[], Any], device: torch.device) -> dict[str, Any]:
    """Milliseconds of the device (on a CPU of its operators) by part and by kernel, and of the clock in all."""
    on_cuda = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    with profile(activities=activities, acc_events=True) as profiler:
        seconds = seconds_of(function, device)
    return {"ms": seconds * 1e3, **summed(profiler.events(), on_cuda)}


def summed(events: Iterable[Any], on_cuda: bool) -> dict[str, Any]:
    """Of a profile's events, each kernel counted once, whatever operator launched it."""
    events = [event for event in events if event.name not in RANGES]
    operators = [event for event in events if event.device_type == DeviceType.CPU]
    if on_cuda:
        kernels = [(event.name, event.time_range.elapsed_us()) for event in events if _is_kernel(event)]
        # A range that some library opened has its own span on the device among its kernels.
        launched = [(e, k.name, k.duration) for e in operators for k in e.kernels if k.name != e.name]
    else:
        kernels = [(event.name, event.self_cpu_time_total) for event in operators]
        launched = [(event, event.name, event.self_cpu_time_total) for event in operators]
    by_part, by_kernel = defaultdict[str, float](float), defaultdict[str, list[float]](lambda: [0.0, 0])
    for event, name, us in launched:
        by_part[_part(event, name)] += us / 1e3
    for name, us in kernels:
        by_kernel[name][0] += us / 1e3
        by_kernel[name][1] += 1
    total_ms = sum(us for _, us in kernels) / 1e3
    by_part["of unknown parts"] = total_ms - sum(by_part.values())
    longest = sorted(by_kernel.items(), key=lambda item: -item[1][0])[:NUM_KERNELS]
    return {
        "device_ms": total_ms,
        "parts": dict(sorted(by_part.items(), key=lambda item: -item[1])),
        "kernels": [{"name": name[:160], "ms": ms, "calls": calls} for name, (ms, calls) in longest],
    }


def _is_kernel(event: Any) -> bool:
    return event.device_type == DeviceType.CUDA and not getattr(event, "is_user_annotation", False)


def _part(event: Any, kernel: str) -> str:
    above, names = event, [event.name]
    while above is not None and above.name not in RANGES:
        above = above.cpu_parent
        names.append("" if above is None else above.name)
    if above is None or above.name != "network":
        return "other" if above is None else above.name
    said = " ".join([kernel, *names]).lower()
    if any(word in said for word in ATTENTION_WORDS):
        return "attention"
    return "linear" if event.name.startswith(PRODUCT_OPERATORS) else "element-wise"


def save_rows(rows: torch.Tensor, file: str) -> None:
    np.save(file, rows.float().cpu().numpy())
