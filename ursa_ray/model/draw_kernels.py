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
from triton.language import constexpr

# Codes of a group. It is the width of a tile of the product as well, so that the end of a tile is that of a group.
GROUP = 256

# Tiles: the head's 128 x 256 accumulators are 128 registers of each of 256 threads.
HEAD = {"block_rows": 128, "num_warps": 8}
WITHIN = {"block_rows": 64, "block_codes": 128, "num_warps": 4}
RATES = {"block_rows": 16, "num_warps": 8}

# Of a row of a tile, loaded at once: a whole line of the swizzled shared memory that Hopper's matrix units read.
LINE_BYTES = 128

# Tiles of rows that go through the groups together, so that the groups' weights stay in the L2 cache.
_ROWS_TOGETHER = constexpr(16)


def head_groups(
    hidden: Float[Tensor, "n d"], weight: Float[Tensor, "k d"]
) -> tuple[Float32[Tensor, "n g"], Float32[Tensor, "n g"]]:
    """Of hidden @ weight.T the maximum of every group, and the sum of exp(score - maximum)."""
    num_rows, num_groups = len(hidden), _cdiv(len(weight), GROUP)
    peak = hidden.new_empty(num_rows, num_groups, dtype=torch.float32)
    total = torch.empty_like(peak)
    grid = (_cdiv(num_rows, HEAD["block_rows"]) * num_groups,)
    with torch.cuda.device_of(hidden):
        _head_groups[grid](hidden, weight, peak, total, num_rows, **_product_options(weight), **HEAD)
    return peak, total


def head_within(
    hidden: Float[Tensor, "n d"], weight: Float[Tensor, "k d"], group: Int64[Tensor, " n"]
) -> Float32[Tensor, "n codes"]:
    """Scores of the codes of one group for every row, -inf where the last group has no code."""
    scores = hidden.new_empty(len(hidden), GROUP, dtype=torch.float32)
    # Rows of one group share a tile: its weight, 1 MB, is not read for every row.
    order = group.argsort()
    grid = (_cdiv(len(hidden), WITHIN["block_rows"]), GROUP // WITHIN["block_codes"])
    with torch.cuda.device_of(hidden):
        _head_within[grid](hidden, weight, order, group, scores, len(hidden), **_product_options(weight), **WITHIN)
    return scores


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
    (e, k), num_rows = vectors.shape, len(target)
    nearest = target.new_empty(num_rows, _cdiv(k, GROUP))
    total, gain = torch.empty_like(nearest), torch.empty_like(nearest)
    grid = (_cdiv(num_rows, RATES["block_rows"]), nearest.shape[1])
    with torch.cuda.device_of(target):
        _rate_groups[grid](target, reach, own, vectors, nearest, total, gain, beta, num_rows, k, e, GROUP, **RATES)
    return nearest, total, gain


def head_constants(num_codes: int, width: int, num_bytes: int) -> dict[str, int]:
    """Constants of both kernels of the head, with weights of `num_bytes` each."""
    return {"k": num_codes, "d": width, "size": GROUP, "block_d": LINE_BYTES // num_bytes}


def num_stages(major: int) -> int:
    """How far ahead tiles are loaded on cards of a major compute capability, 48 KB each: what shared memory holds."""
    # 227 KB on Hopper and on Blackwell for data centres; 99 KB on the least of others, where one more is in registers.
    return 4 if major in (9, 10) else 3


def _product_options(weight: Float[Tensor, "k d"]) -> dict[str, Any]:
    major = torch.cuda.get_device_capability(weight.device)[0] if weight.is_cuda else 0
    num_codes, width = weight.shape
    return {**head_constants(num_codes, width, weight.element_size()), "num_stages": num_stages(major)}


def _cdiv(number: int, size: int) -> int:
    return -(-number // size)


# Rows differ from step to step: without this Triton would compile once more where their number is a multiple of 16.
@triton.jit(do_not_specialize=["num_rows"])
@no_type_check
def _head_groups(
    hidden,
    weight,
    peak,
    total,
    num_rows,
    k: constexpr,
    d: constexpr,
    size: constexpr,
    block_rows: constexpr,
    block_d: constexpr,
):
    num_groups: constexpr = (k + size - 1) // size
    first, num_blocks = tl.program_id(0), tl.cdiv(num_rows, block_rows)
    block, group = tl.swizzle2d(first // num_groups, first % num_groups, num_blocks, num_groups, _ROWS_TOGETHER)
    rows = block * block_rows + tl.arange(0, block_rows)
    codes = group * size + tl.arange(0, size)
    scores = _scores(hidden, weight, tl.minimum(rows, num_rows - 1), codes, k, d, block_d)
    largest = tl.max(scores, 1)
    place = rows * num_groups + group
    tl.store(peak + place, largest, mask=rows < num_rows)
    tl.store(total + place, tl.sum(tl.exp(scores - largest[:, None]), 1), mask=rows < num_rows)


@triton.jit(do_not_specialize=["num_rows"])
@no_type_check
def _head_within(
    hidden,
    weight,
    order,
    group,
    out,
    num_rows,
    k: constexpr,
    d: constexpr,
    size: constexpr,
    block_rows: constexpr,
    block_codes: constexpr,
    block_d: constexpr,
):
    num_groups: constexpr = (k + size - 1) // size
    places = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    rows = tl.load(order + places, mask=places < num_rows, other=0)
    groups = tl.load(group + rows, mask=places < num_rows, other=num_groups)
    columns = tl.program_id(1) * block_codes + tl.arange(0, block_codes)
    # Group by group of those that the block's rows are in, mostly one or two.
    current = tl.min(groups, 0)
    while current < num_groups:
        scores = _scores(hidden, weight, rows, current * size + columns, k, d, block_d)
        tl.store(out + rows[:, None] * size + columns[None, :], scores, mask=(groups == current)[:, None])
        current = tl.min(tl.where(groups > current, groups, num_groups), 0)


@triton.jit
@no_type_check
def _scores(hidden, weight, rows, codes, k: constexpr, d: constexpr, block_d: constexpr):
    depth = tl.arange(0, block_d)
    # int64: a row times its width may pass 2^31.
    left = hidden + rows.to(tl.int64)[:, None] * d + depth[None, :]
    right = weight + tl.minimum(codes, k - 1).to(tl.int64)[None, :] * d + depth[:, None]
    scores = tl.zeros((rows.shape[0], codes.shape[0]), tl.float32)
    for start in range(0, d, block_d):
        a = tl.load(left + start, mask=(depth < d - start)[None, :], other=0.0)
        b = tl.load(right + start, mask=(depth < d - start)[:, None], other=0.0)
        # ieee: float32 weights are not rounded to tf32; others have no choice.
        scores = tl.dot(a, b, scores, input_precision="ieee")
    return tl.where(codes[None, :] < k, scores, float("-inf"))


@triton.jit(do_not_specialize=["num_rows"])
@no_type_check
def _rate_groups(
    target,
    reach,
    own,
    vectors,
    nearest,
    total,
    gain,
    beta,
    num_rows,
    k: constexpr,
    e: constexpr,
    size: constexpr,
    block_rows: constexpr,
):
    group, num_groups = tl.program_id(1), tl.num_programs(1)
    rows = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    codes = group * size + tl.arange(0, size)
    is_row, is_code = rows < num_rows, codes < k
    distances = tl.zeros((block_rows, size), tl.float32)
    for component in tl.static_range(e):
        a = tl.load(target + rows * e + component, mask=is_row, other=0.0)
        b = tl.load(vectors + component * k + codes, mask=is_code, other=0.0)
        difference = a[:, None] - b[None, :]
        distances += difference * difference
    distances = tl.where(is_code[None, :], distances, float("inf"))
    least = tl.min(distances, 1)
    weights = tl.where(is_code[None, :], tl.exp(beta * (least[:, None] - distances)), 0.0)
    gains = tl.maximum(tl.load(reach + rows, mask=is_row, other=0.0)[:, None] - distances, 0.0)
    is_own = codes[None, :] == tl.load(own + rows, mask=is_row, other=0)[:, None]
    place = rows * num_groups + group
    tl.store(nearest + place, least, mask=is_row)
    tl.store(total + place, tl.sum(weights, 1), mask=is_row)
    tl.store(gain + place, tl.sum(tl.where(is_own, 0.0, weights * gains), 1), mask=is_row)


# Triton's interpreter, for tests without a GPU, must be asked for before kernels are defined.
IS_INTERPRETED = not isinstance(_head_groups, triton.JITFunction)
