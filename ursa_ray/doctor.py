"""What this machine has for rendering."""

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from ursa_ray import __version__
from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.checkpoint.config import TransformerConfig
from ursa_ray.checkpoint.released import RELEASED
from ursa_ray.media import CODECS, encoders, ffmpeg_sha256, ffmpeg_version

# A minute of 320x512 takes about 0.5 GB of frames kept without loss.
MIN_FREE_BYTES = 2 * 10**9


@dataclass(frozen=True)
class Finding:
    name: str
    found: str
    ok: bool = True


def examine() -> list[Finding]:
    """Look at everything; a check that fails is a finding, never an error."""
    checks: dict[str, Callable[[], Finding]] = {
        "software": _software,
        "devices": _devices,
        "backends": _backends,
        "ffmpeg": _ffmpeg,
        "disk": _disk,
        "models": _models,
        "built-in model": _built_in,
    }
    return [_tried(name, check) for name, check in checks.items()]


def _tried(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # whatever is broken here is what the user wants to know
        return Finding(name, f"{type(error).__name__}: {error}", ok=False)


def _software() -> Finding:
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "ray", "pyarrow", "transformers"))
    return Finding("software", f"ursa-ray {__version__}, Python {platform.python_version()}, {packages}")


def _devices() -> Finding:
    import torch

    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    if gpus:
        return Finding("devices", ", ".join(f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)" for gpu in gpus))
    return Finding(
        "devices", f"no GPU; {os.cpu_count()} CPU cores are enough for the model tiny, not for released ones"
    )


def _backends() -> Finding:
    """How released models would compute on each device."""
    import torch

    from ursa_ray.model import choose_backends, choose_dtype
    from ursa_ray.model.draws import choose_draws
    from ursa_ray.model.path import MetricPath

    def chosen(device: torch.device) -> str:
        dtype = choose_dtype(device, None)
        # A codebook as narrow as that of released video models, and some head, are all it takes to try Triton.
        path, head = MetricPath(torch.eye(6, device=device), 1.0, 5.0), torch.ones(6, 64, device=device, dtype=dtype)
        return str(choose_backends(TransformerConfig(), device, dtype, draws=choose_draws(path, head)))

    devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count())] + [torch.device("cpu")]
    return Finding("backends", "; ".join(f"{device}: {chosen(device)}" for device in devices))


def _ffmpeg() -> Finding:
    known = encoders()
    lacking = {name for name, codec in CODECS.items() if codec.encoder not in known}
    without = f"; cannot export {', '.join(sorted(lacking))}" if lacking else ""
    # A render needs these two; the others are asked for by name.
    ok = not lacking & {"h264", "ffv1"}
    return Finding("ffmpeg", f"{ffmpeg_version()}, sha256 {ffmpeg_sha256()[:12]}{without}", ok)


def _disk() -> Finding:
    free = shutil.disk_usage(".").free
    return Finding("disk", f"{free / 1e9:.1f} GB free here", ok=free >= MIN_FREE_BYTES)


def _models() -> Finding:
    cached = [name for name in RELEASED if open_checkpoint(name).folder is not None]
    advice = "none of the released models; to fetch one: hf download BAAI/URSA-1.7B-FSQ320"
    return Finding("models", ", ".join(cached) or advice)


def _built_in() -> Finding:
    from ursa_ray.model import Ursa

    codes = Ursa.from_pretrained("tiny", device="cpu").generate("a test", num_inference_steps=2)
    return Finding("built-in model", f"generates codes {tuple(codes.shape)} with Python at {sys.executable}")
