"""What one model runs on: a device, or several of one machine that share every step."""

import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from ursa_ray.errors import OptionError

Parallel = Literal["guidance", "sequence"]

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class Devices:
    """A device, and with a `number` over 1 the next ones of its kind; CPUs are as many processes.

    Attributes:
        parallel: "guidance" gives each of 2 devices a branch of guidance and, where there is one branch, half of the
            positions; "sequence" gives each device as many positions. None is guidance on 2 devices, else sequence.

    Raises:
        OptionError: there are not so many here, or they cannot be used so.
    """

    first: torch.device
    number: int = 1
    parallel: Parallel | None = None

    def __post_init__(self) -> None:
        check_devices(self.number, self.parallel)
        num_gpus = torch.cuda.device_count()
        if self.first.type == "cuda" and self._first_index + self.number > num_gpus:
            raise OptionError(
                f"a model is to run on {self.number} GPUs, the first of them {self.first}, and torch "
                f"{torch.__version__} finds {num_gpus} here. Give fewer devices, or see: ursa-ray doctor"
            )

    def __getitem__(self, rank: int) -> torch.device:
        if self.number == 1 or self.first.type != "cuda":
            return self.first
        return torch.device("cuda", self._first_index + rank)

    @property
    def splits_guidance(self) -> bool:
        return self.number == 2 if self.parallel is None else self.parallel == "guidance"

    @property
    def sharing(self) -> str:
        """To be put behind the name of a device."""
        return f", {'guidance' if self.splits_guidance else 'sequence'} on {self.number} devices" * (self.number > 1)

    @property
    def _first_index(self) -> int:
        return self.first.index or 0


def check_devices(number: int, parallel: str | None, compile: bool | None = None) -> None:  # noqa: A002
    """Refuse what is wrong on any machine.

    Raises:
        OptionError: so many devices cannot be used so.
    """
    if number < 1:
        raise OptionError(f"a model is to run on {number} devices, expected at least 1.")
    if parallel not in (None, "guidance", "sequence"):
        raise OptionError(f"parallel is {parallel!r}, expected 'guidance' or 'sequence'.")
    if parallel is not None and number == 1:
        raise OptionError(f"parallel is {parallel!r} with one device. Give a model more, or leave it out.")
    if compile and number > 1:
        raise OptionError(f"compile is on with {number} devices, but what they tell each other cannot be compiled.")
    if parallel == "guidance" and number != 2:
        raise OptionError(
            f"parallel is 'guidance' with {number} devices, expected 2: one for each branch. Give 'sequence'."
        )


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device that is asked for; without a wish cuda where there is one, else cpu.

    Raises:
        OptionError: there is no such device here.
    """
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if chosen.type not in ("cpu", "cuda"):
        raise OptionError(f"device is {chosen}, expected cpu or cuda.")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise OptionError(f"device is {chosen}, but torch {torch.__version__} finds no GPU here. See: ursa-ray doctor")
    return chosen


def device_name(device: torch.device) -> str:
    """As a ledger has it: a GPU's model, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def device_model(device: torch.device) -> str:
    """Of a CPU too, where the system tells; what vector instructions are used decides how sums are rounded."""
    if device.type == "cuda":
        return device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    return f"{found[1] if found else platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def choose_dtype(device: torch.device, dtype: str | torch.dtype | None) -> torch.dtype:
    """The dtype that is asked for, or that of a device: float16 on cuda, float32 on a cpu.

    Raises:
        OptionError: the network does not compute in a dtype of that name.
    """
    if dtype is None:
        return torch.float32 if device.type == "cpu" else torch.float16
    if isinstance(dtype, str) and dtype not in DTYPES:
        raise OptionError(f"dtype is {dtype!r}, expected {', '.join(DTYPES)}.")
    return DTYPES[dtype] if isinstance(dtype, str) else dtype
