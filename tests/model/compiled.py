"""A process of its own for networks that are compiled: torch.compile cannot follow the checks of shapes in tests.

Prints the largest difference from eager rows for one and two prompts, why the graph of a block had to break, and how
many products are in it. `traced` stands for what needs no compiler: graphs are taken, and run as they are, on a CPU.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace

import torch

from tests.model.networks import hidden, network
from ursa_ray.model import Backends

PRODUCT = "ursa_ray.onednn.default"

num_products = []


def traced(graph: torch.fx.GraphModule, _: object) -> Callable:
    num_products.append(sum(str(node.target) == PRODUCT for node in graph.graph.nodes))
    return graph.forward


if __name__ == "__main__":
    device, attention, fused, how = sys.argv[1:]
    if how == "traced":
        compile_with = torch.compile
        torch.compile = lambda function, dynamic, options: compile_with(function, backend=traced, dynamic=dynamic)
    chosen = Backends(attention, fused=fused == "fused")
    small = network(device)
    eager = [hidden(small, chosen, num) for num in (1, 2)]
    compiled = [hidden(small, replace(chosen, compile=True), num) for num in (1, 2)]
    differences = [(one - other).abs().max().item() for one, other in zip(eager, compiled, strict=True)]
    breaks = list(torch._dynamo.utils.counters["graph_break"])
    sys.stdout.write(json.dumps({"differences": differences, "breaks": breaks, "num_products": num_products}))
