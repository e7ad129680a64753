"""A process of its own for networks that are compiled: torch.compile cannot follow the checks of shapes in tests.

Prints the largest difference from eager rows for one and two prompts, and why the graph of a block had to break.
"""

import json
import sys
from dataclasses import replace

import torch

from tests.model.networks import hidden, network
from ursa_ray.model import Backends

if __name__ == "__main__":
    device, attention, fused = sys.argv[1:]
    chosen = Backends(attention, fused=fused == "fused")
    small = network(device)
    eager = [hidden(small, chosen, num) for num in (1, 2)]
    compiled = [hidden(small, replace(chosen, compile=True), num) for num in (1, 2)]
    differences = [(one - other).abs().max().item() for one, other in zip(eager, compiled, strict=True)]
    breaks = list(torch._dynamo.utils.counters["graph_break"])
    sys.stdout.write(json.dumps({"differences": differences, "breaks": breaks}))
