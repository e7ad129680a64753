"""Compiles the kernels of the draws for cards that need not be here, and prints what each takes of a card.

    python -m tests.model.compiled_kernels

JSON: a list of kernel, capability, registers of a thread, bytes of its stack and of shared memory, and instructions of
Hopper's matrix units. Not in Triton's interpreter, so in a process without TRITON_INTERPRET.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from ursa_ray.model import draw_kernels as kernels

DTYPES = {
    "num_rows": "i32",
    "beta": "fp32",
    "order": "*i64",
    "group": "*i64",
    "own": "*i64",
}

# FSQ320 and the 1.7B transformer.
NUM_CODES, WIDTH, NUM_COMPONENTS = 64_000, 2048, 6

# Compute capability: weights of which dtypes.
CARDS = {89: ["fp16"], 90: ["fp16", "bf16"]}


def main() -> None:
    found = []
    with tempfile.TemporaryDirectory() as cache:
        triton.knobs.cache.dir = cache
        for capability, dtypes in CARDS.items():
            for dtype in dtypes:
                constants = kernels.head_constants(NUM_CODES, WIDTH, num_bytes=2)
                stages = {"num_stages": kernels.num_stages(capability // 10)}
                for kernel, tile in ((kernels._head_groups, kernels.HEAD), (kernels._head_within, kernels.WITHIN)):
                    found.append(resources(kernel, constants | tile | stages, capability, dtype))
            constants = {"k": NUM_CODES, "e": NUM_COMPONENTS, "size": kernels.GROUP}
            found.append(resources(kernels._rate_groups, constants | kernels.RATES, capability, "fp32"))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


def resources(kernel: Any, constants: dict[str, int], capability: int, dtype: str) -> dict[str, Any]:
    options = {name: value for name, value in constants.items() if name.startswith("num_")}
    fixed = {name: value for name, value in constants.items() if name not in options}
    weights = {"hidden": f"*{dtype}", "weight": f"*{dtype}"}
    signature = {
        name: "constexpr" if name in fixed else (DTYPES | weights).get(name, "*fp32") for name in kernel.arg_names
    }
    # As torch allocates: pointers are multiples of 16 bytes.
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, name in enumerate(kernel.arg_names)
        if signature[name].startswith("*")
    }
    source = ASTSource(kernel, signature, fixed, aligned)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    return {
        "name": kernel.__name__.strip("_"),
        "capability": capability,
        "weights": dtype,
        **options,
        **usage(compiled.asm["cubin"]),
        "shared_bytes": compiled.metadata.shared,
        "num_wgmma": compiled.asm["ptx"].count("wgmma.mma_async"),
    }


def usage(cubin: bytes) -> dict[str, int]:
    tools = Path(triton.__file__).parent / "backends/nvidia/bin"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [tools / "cuobjdump", "-res-usage", file.name]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", printed).groups()
    return {"registers": int(registers), "stack_bytes": int(stack)}


if __name__ == "__main__":
    main()
