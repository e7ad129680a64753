"""A side of `bench_vs_published.py`: runs steps of a case on one thread of a CPU and says what they cost.

Linux: the peak is the resident set's (`VmHWM`), reset before every run, above what it was when the case was loaded.
"""

import json
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch


class CaseSide(ABC):
    def __init__(self, folder: str):
        torch.set_num_threads(1)
        self.load(json.loads((Path(folder) / "case.json").read_text()), Path(folder))
        self._rest_bytes = _resident("VmRSS")

    @abstractmethod
    def load(self, case: dict[str, Any], folder: Path) -> None: ...

    @abstractmethod
    def scores(self) -> torch.Tensor:
        """Unguided scores of the case's codes for the prompt and the negative prompt, (2, n, k)."""

    @abstractmethod
    def codes_after(self, steps: list[int], seed: int) -> torch.Tensor:
        """Codes, (n,), after these steps of the case's schedule, from its codes."""

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__, "python": sys.version.split()[0]}

    def logits(self, file: str) -> None:
        np.save(file, self.scores().numpy())

    def steps(self, steps: list[int], seed: int) -> dict[str, float]:
        Path("/proc/self/clear_refs").write_text("5")
        start_s = time.process_time()
        codes = self.codes_after(steps, seed)
        return {
            "seconds": time.process_time() - start_s,
            "peak_bytes": _resident("VmHWM") - self._rest_bytes,
            "mean_code": codes.double().mean().item(),
        }


def _resident(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)
