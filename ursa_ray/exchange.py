"""What a worker is given and gives back: small values (codes, hashes), which go between machines."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ursa_ray.model import Parallel, check_devices
from ursa_ray.plan import Segment


def codes_dtype(num_codes: int) -> type[np.unsignedinteger]:
    """As what codes go between machines, and lie in the ledger, where there are so many."""
    return np.uint16 if num_codes <= 2**16 else np.uint32


@dataclass(frozen=True)
class Request:
    """A segment to make: its codes with the parent's given, or, with its own `codes` given, its frames alone."""

    segment: Segment
    fps: Fraction
    parent_codes: np.ndarray | None = None
    codes: np.ndarray | None = None


@dataclass(frozen=True)
class Step:
    """`has_preview` if one was written in this step; `warning` is what went wrong that the segment can do without.

    `computes` comes with the first step of a worker: on what it computes, and how.
    """

    key: str
    done: int
    total: int
    has_preview: bool = False
    warning: str = ""
    computes: str = ""


@dataclass(frozen=True)
class Done:
    """`codes` (t, h, w), uint16 or uint32; `frames_sha256` names the file in the media folder.

    `backends` tell how they were computed, beside device, dtype and threads.

    Unless it `is_framed`, that file is still being written: see `Worker.framed`.
    """

    key: str
    codes: np.ndarray
    frames_sha256: str
    device: str
    dtype: str
    num_threads: int
    seconds: float
    is_framed: bool = True
    backends: str = ""


@dataclass(frozen=True)
class WorkerOptions:
    """What every replica of a render shares.

    Attributes:
        model: `tiny`, an absolute folder or a hub id.
        weights_sha256: what the plan's keys were made with.
        run: where the run is, the same on every machine: frames and steps are written there and assets read.
        device: "cuda", "cpu", or None for what there is.
        num_threads: of each CPU of a replica; other numbers round sums differently and so can give other codes.
        dtype, attention, draws, compile: as for `Ursa.from_pretrained`; None for the device's best.
        preview_steps: steps, counted from 1, in which a preview is written.
        num_devices: of a replica, on one machine.
        parallel: how several devices share a step, as `model.Devices` has it; rounds otherwise, too.

    Raises:
        OptionError: so many devices cannot be used so.
    """

    model: str
    weights_sha256: str
    run: str
    device: str | None = None
    num_threads: int = 1
    dtype: str | None = None
    attention: str | None = None
    draws: str | None = None
    compile: bool | None = None
    preview_steps: tuple[int, ...] = ()
    num_devices: int = 1
    parallel: Parallel | None = None

    def __post_init__(self) -> None:
        check_devices(self.num_devices, self.parallel, self.compile)
