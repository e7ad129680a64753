"""Matrix products, attention and functions of rows, by the fastest way that torch has on a device.

On a CPU torch's float32 products are MKL's, which on other makers' processors keeps to AVX2. oneDNN, which torch has
for convolutions, does not: on one core with AVX-512 (AMD EPYC) 240 against 105 GFLOP/s for linear layers, 165 against
97 for attention. Both give float32 results, off by rounding alone.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.nn.attention import SDPBackend, sdpa_kernel

# Rows that are worked on at once on a CPU: what lies between two products stays in the cache, and below the 32 MB from
# which malloc asks the system for every page again. Feed forward of 7042 rows, 512 to 1536: 157 against 228 ms.
ROWS = 512

# On a GPU, where feed forward of all 67,202 rows of a released model would hold gate and up in float32: 6.6 GB, and
# 0.8 GB so. Large enough to fill one (predicted, decision 0018). Compiled it never holds them.
ROWS_ON_GPU = 8192

# The operator is no part of torch's public interface: a version may come that has another.
HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")

# torch's attention kernels; "math" holds all scores.
KERNELS = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}


def by_rows(function: Callable[[Tensor], Tensor], x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
    """`function` of every row, which must not see the others."""
    is_on_gpu = x.device.type != "cpu"
    if torch.is_grad_enabled() or (is_on_gpu and torch.compiler.is_compiling()):
        return function(x)
    rows = x.flatten(0, 1).split(ROWS_ON_GPU if is_on_gpu else ROWS)
    return torch.cat([function(each) for each in rows]).view(x.shape)


def linear(x: Float[Tensor, "*rows d"], weight: Float[Tensor, "out d"]) -> Float[Tensor, "*rows out"]:
    return _onednn(x, weight) if _has_onednn(x, weight) else F.linear(x, weight)


def attend(
    q: Float[Tensor, "b heads n d"],
    k: Float[Tensor, "b kv_heads m d"],
    v: Float[Tensor, "b kv_heads m d"],
    kernel: str | None = None,
) -> Float[Tensor, "b heads n d"]:
    """Full attention; neighbouring query heads share a key head.

    `kernel` is "onednn" or one of `KERNELS`, and no other computes. None, for training, takes what has gradients.

    Raises:
        RuntimeError: the kernel cannot compute this.
    """
    if kernel in (None, "onednn") and _has_onednn(q, k, v):
        return _attend_by_onednn(q, k, v)
    if kernel is None:
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    if kernel not in KERNELS:
        raise RuntimeError("oneDNN computes in float32, on a CPU, without gradients, if this torch has its operator.")
    if kernel == "efficient" or q.device.type == "cpu":  # on a CPU only from torch 2.9 on may heads share keys
        k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    with sdpa_kernel(KERNELS[kernel]):
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=q.shape[1] != k.shape[1])


def _attend_by_onednn(
    q: Float[Tensor, "b heads n d"], k: Float[Tensor, "b kv_heads m d"], v: Float[Tensor, "b kv_heads m d"]
) -> Float[Tensor, "b heads n d"]:
    grouped = (q * q.shape[-1] ** -0.5).unflatten(1, (k.shape[1], -1)).flatten(2, 3)  # (b, kv_heads, rows, d)
    branches = zip(grouped, k, v, strict=True)
    heads = [_attend_head(*head) for branch in branches for head in zip(*branch, strict=True)]
    return torch.cat(heads).view(q.shape)


def _attend_head(q: Float[Tensor, "n d"], k: Float[Tensor, "m d"], v: Float[Tensor, "m d"]) -> Float[Tensor, "n d"]:
    k, transposed = k.contiguous(), v.mT.contiguous()
    return torch.cat([_onednn(_onednn(rows, k).softmax(-1), transposed) for rows in q.split(ROWS)])


def _has_onednn(*tensors: Tensor) -> bool:
    """It has no gradients."""
    return (
        HAS_ONEDNN
        and all(x.device.type == "cpu" and x.dtype == torch.float32 for x in tensors)
        and not (torch.is_grad_enabled() and any(x.requires_grad for x in tensors))
    )


def _onednn(x: Float[Tensor, "*rows d"], weight: Float[Tensor, "out d"]) -> Float[Tensor, "*rows out"]:
    if torch.compiler.is_compiling():
        return _opaque_onednn(x, weight)
    # What torch.compile makes of a linear layer on a CPU; torch has no public name for it.
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


# torch.compile itself takes the operator for frozen weights alone. In eager mode this would add 10 us to every product.
@torch.library.custom_op("ursa_ray::onednn", mutates_args=())
def _opaque_onednn(x: Tensor, weight: Tensor) -> Tensor:
    return _onednn(x, weight)


@_opaque_onednn.register_fake
def _(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], len(weight))
