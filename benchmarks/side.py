"""One side of a comparison: a process that runs steps of a case when it is told to, and says what they cost.

Lines of JSON on standard input and output. Needs torch alone, since the published side has an environment of its own.
Linux: the peak is the resident set's (`VmHWM`), reset before every run, above what it was when the case was loaded.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch


class Side(Protocol):
    def logits(self) -> torch.Tensor:
        """Unguided scores of the case's codes for the prompt and the negative prompt, (2, n, k)."""
        ...

    def steps(self, steps: list[int], seed: int) -> torch.Tensor:
        """Codes, (n,), after these steps of the case's schedule, from its codes."""
        ...


def serve(make: Any) -> None:
    """Answer until standard input ends; `make(case, folder)` builds the `Side` of the folder that is given."""
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    # What libraries print must not come between the answers.
    os.dup2(2, 1)
    folder = Path(sys.argv[1])
    side = make(json.loads((folder / "case.json").read_text()), folder)
    rest_bytes = _resident("VmRSS")
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["what"] == "versions":
            answer = {"torch": torch.__version__, "python": sys.version.split()[0]}
        elif asked["what"] == "logits":
            np.save(asked["file"], side.logits().numpy())
            answer = {}
        else:
            answer = _measured(side, asked["steps"], asked["seed"], rest_bytes)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _measured(side: Side, steps: list[int], seed: int, rest_bytes: int) -> dict[str, float]:
    Path("/proc/self/clear_refs").write_text("5")
    start_s = time.process_time()
    codes = side.steps(steps, seed)
    return {
        "seconds": time.process_time() - start_s,
        "peak_bytes": _resident("VmHWM") - rest_bytes,
        "mean_code": codes.double().mean().item(),
    }


def _resident(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)
