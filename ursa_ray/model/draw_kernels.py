"""Triton kernels that weigh all codes of a row and keep a few numbers for every group of neighbouring codes.

No kernel writes a number for every row and code. Of the scores it keeps, for every row and group, the largest and the
sum of exponentials beside it; of the rates the nearest distance, the sum of probabilities and that of rates beside it.
Scores of the one group that is drawn are then computed again: 1/250 of the work at 64,000 codes.

Axes: n rows, k codes, g groups of GROUP codes, of which the last may be short, d width of a row, e components of a
codebook vector. All tensors are contiguous and on one device. Imported only where Triton is wanted and can be had.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Float32, Int64
from torch import Tensor

# Codes of a group. It is the width of a tile of the product as well, so that a tile's epilogue ends a group.
GROUP = 256

# Tiles of the product: 128 x 256 accumulators are 128 registers of each of 256 threads, 64 x 128 as a half are 64.
HEAD = {"ROWS": 128, "num_warps": 8}
WITHIN = {"ROWS": 64, "CODES": 128, "num_warps": 4}
RATES = {"ROWS": 16, "num_warps": 8}

# Bytes of a row of a tile that are loaded at once: a whole line of the swizzled shared memory that wgmma reads.
LINE_BYTES = 128

# Tiles of rows that share the weight of some groups while it is in the L2 cache.
ROWS_TOGETHER = tl.constexpr(16)


def head_groups(
    hidden: Float[Tensor, "n d"], weight: Float[Tensor, "k d"]
) -> tuple[Float32[Tensor, "n g"], Float32[Tensor, "n g"]]:
    """Of hidden @ weight.T the maximum of every group, and the sum of exp(score - maximum)."""
    num_rows, num_groups = len(hidden), triton.cdiv(len(weight), GROUP)
    peak = hidden.new_empty(num_rows, num_groups, dtype=torch.float32)
    total = torch.empty_like(peak)
    grid = (triton.cdiv(num_rows, HEAD["ROWS"]) * num_groups,)
    with torch.cuda.device_of(hidden):
        _head_groups[grid](hidden, weight, peak, total, num_rows, **product_options(weight), **HEAD)
    return peak, total


def head_within(
    hidden: Float[Tensor, "n d"], weight: Float[Tensor, "k d"], group: Int64[Tensor, " n"]
) -> Float32[Tensor, "n codes"]:
    """Scores of the codes of one group for every row, -inf where the last group has no code."""
    logits = hidden.new_empty(len(hidden), GROUP, dtype=torch.float32)
    # Rows of a group next to each other share a tile: the weight of a group, 1 MB, is not read for every row.
    order = group.argsort()
    grid = (triton.cdiv(len(hidden), WITHIN["ROWS"]), GROUP // WITHIN["CODES"])
    with torch.cuda.device_of(hidden):
        _head_within[grid](hidden, weight, order, group, logits, len(hidden), **product_options(weight), **WITHIN)
    return logits


def rate_groups(
    target: Float32[Tensor, "n e"],
    reach: Float32[Tensor, " n"],
    own: Int64[Tensor, " n"],
    vectors: Float32[Tensor, "e k"],
    beta: float,
) -> tuple[Float32[Tensor, "n g"], Float32[Tensor, "n g"], Float32[Tensor, "n g"]]:
    """Nearest squared distance of `target` in every group; sums of w and of w max(0, reach - distance), with

    w = exp(beta (nearest - distance)). The code `own` of a row adds nothing to the second sum.
    """
    (num_components, num_codes), num_rows = vectors.shape, len(target)
    nearest = target.new_empty(num_rows, triton.cdiv(num_codes, GROUP))
    total, closer = torch.empty_like(nearest), torch.empty_like(nearest)
    sizes = {"K": num_codes, "E": num_components, "GROUP": GROUP}
    with torch.cuda.device_of(target):
        _rate_groups[triton.cdiv(num_rows, RATES["ROWS"]), nearest.shape[1]](
            target, reach, own, vectors, nearest, total, closer, beta, num_rows, **sizes, **RATES
        )
    return nearest, total, closer


def product_options(weight: Float[Tensor, "k d"]) -> dict[str, Any]:
    """Constants of both kernels of the head."""
    num_codes, width = weight.shape
    depth = LINE_BYTES // weight.element_size()
    return {"K": num_codes, "D": width, "GROUP": GROUP, "DEPTH": depth, "num_stages": num_stages(weight.device)}


def num_stages(device: torch.device) -> int:
    """Tiles on their way to shared memory at once, 48 KB each: Hopper and Blackwell have room for four, 227 KB, others for two."""
    if device.type != "cuda":
        return 1
    return 4 if torch.cuda.get_device_capability(device)[0] in (9, 10) else 3


@triton.jit(do_not_specialize=["num_rows"])
@no_type_check
def _head_groups(hidden, weight, peak, total, num_rows, K: tl.constexpr, D: tl.constexpr, GROUP: tl.constexpr,
                 DEPTH: tl.constexpr, ROWS: tl.constexpr):
    num_groups: tl.constexpr = (K + GROUP - 1) // GROUP
    tile = tl.program_id(0)
    num_tiles = tl.cdiv(num_rows, ROWS)
    tile, group = tl.swizzle2d(tile // num_groups, tile % num_groups, num_tiles, num_groups, ROWS_TOGETHER)
    rows = tile * ROWS + tl.arange(0, ROWS)
    codes = group * GROUP + tl.arange(0, GROUP)
    scores = _scores(hidden, weight, tl.minimum(rows, num_rows - 1), codes, K, D, DEPTH)
    largest = tl.max(scores, 1)
    out = rows * num_groups + group
    tl.store(peak + out, largest, mask=rows < num_rows)
    tl.store(total + out, tl.sum(tl.exp(scores - largest[:, None]), 1), mask=rows < num_rows)


@triton.jit(do_not_specialize=["num_rows"])
@no_type_check
def _head_within(hidden, weight, order, group, logits, num_rows, K: tl.constexpr, D: tl.constexpr, GROUP: tl.constexpr,
                 DEPTH: tl.constexpr, ROWS: tl.constexpr, CODES: tl.constexpr):
    num_groups: tl.constexpr = (K + GROUP - 1) // GROUP
    places = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    rows = tl.load(order + places, mask=places < num_rows, other=0)
    groups = tl.load(group + rows, mask=places < num_rows, other=num_groups)
    columns = tl.program_id(1) * CODES + tl.arange(0, CODES)
    # One group after the other of those that the tile's rows are in, mostly one or two.
    current = tl.min(groups, 0)
    while current < num_groups:
        scores = _scores(hidden, weight, rows, current * GROUP + columns, K, D, DEPTH)
        tl.store(logits + rows[:, None] * GROUP + columns[None, :], scores, mask=(groups == current)[:, None])
        current = tl.min(tl.where(groups > current, groups, num_groups), 0)


@triton.jit
@no_type_check
def _scores(hidden, weight, rows, codes, K: tl.constexpr, D: tl.constexpr, DEPTH: tl.constexpr):
    depth = tl.arange(0, DEPTH)
    # int64: rows times their width may pass 2^31.
    left = hidden + rows.to(tl.int64)[:, None] * D + depth[None, :]
    right = weight + tl.minimum(codes, K - 1).to(tl.int64)[None, :] * D + depth[:, None]
    scores = tl.zeros((rows.shape[0], codes.shape[0]), tl.float32)
    for start in range(0, D, DEPTH):
        a = tl.load(left + start, mask=(depth < D - start)[None, :], other=0.0)
        b = tl.load(right + start, mask=(depth < D - start)[:, None], other=0.0)
        # ieee: float32 weights are not rounded to tf32; others have no choice.
        scores = tl.dot(a, b, scores, input_precision="ieee")
    return tl.where(codes[None, :] < K, scores, float("-inf"))


@triton.jit(do_not_specialize=["num_rows"])
@no_type_check
def _rate_groups(target, reach, own, vectors, nearest, total, closer, beta, num_rows, K: tl.constexpr,
                 E: tl.constexpr, GROUP: tl.constexpr, ROWS: tl.constexpr):
    group, num_groups = tl.program_id(1), tl.num_programs(1)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    codes = group * GROUP + tl.arange(0, GROUP)
    real = rows < num_rows
    distances = tl.zeros((ROWS, GROUP), tl.float32)
    for component in tl.static_range(E):
        a = tl.load(target + rows * E + component, mask=real, other=0.0)
        b = tl.load(vectors + component * K + codes, mask=codes < K, other=0.0)
        difference = a[:, None] - b[None, :]
        distances += difference * difference
    distances = tl.where(codes[None, :] < K, distances, float("inf"))
    least = tl.min(distances, 1)
    weights = tl.where(codes[None, :] < K, tl.exp(beta * (least[:, None] - distances)), 0.0)
    gains = tl.maximum(tl.load(reach + rows, mask=real, other=0.0)[:, None] - distances, 0.0)
    is_own = codes[None, :] == tl.load(own + rows, mask=real, other=0)[:, None]
    out = rows * num_groups + group
    tl.store(nearest + out, least, mask=real)
    tl.store(total + out, tl.sum(weights, 1), mask=real)
    tl.store(closer + out, tl.sum(tl.where(is_own, 0.0, weights * gains), 1), mask=real)
