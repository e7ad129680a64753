"""Products by oneDNN are the products, and only taken where it can: float32, on a CPU, without gradients."""

import numpy as np
import pytest
import torch

from ursa_ray.model import products
from ursa_ray.model.products import attend, by_rows, linear


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["onednn", "torch"])
def either(request, monkeypatch):
    """Both ways; the first is what this machine takes by itself."""
    if request.param == "torch":
        monkeypatch.setattr(products, "_has_onednn", lambda *tensors: False)


def attention(q, k, v):
    """softmax(q k / sqrt(d)) v in float64; query heads 2i and 2i + 1 share key head i."""
    q, k, v = (x.double().numpy() for x in (q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return torch.from_numpy(weights / weights.sum(-1, keepdims=True) @ v).float()


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("shape", [(5, 7), (2, 600, 7), (2, 3, 4, 7)])
def test_a_linear_layer_multiplies_by_the_transposed_weight(shape):
    x, weight = normal(*shape), normal(11, 7, seed=1)
    expected = torch.from_numpy(x.double().numpy() @ weight.double().numpy().T).float()
    torch.testing.assert_close(linear(x, weight), expected, atol=1e-5, rtol=0)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("num_queries", [1, 300, 1100])
def test_attention_is_that_of_the_formula_for_any_number_of_queries(num_queries):
    q, k, v = normal(2, 4, num_queries, 16), normal(2, 2, 301, 16, seed=1), normal(2, 2, 301, 16, seed=2)
    torch.testing.assert_close(attend(q, k, v), attention(q, k, v), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", ["onednn", "flash", "math"])
def test_a_kernel_that_is_named_gives_the_attention_of_the_formula(kernel):
    q, k, v = normal(2, 4, 1100, 16), normal(2, 2, 301, 16, seed=1), normal(2, 2, 301, 16, seed=2)
    torch.testing.assert_close(attend(q, k, v, kernel), attention(q, k, v), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", ["cudnn", "efficient"])
def test_a_kernel_that_cannot_compute_leaves_it_to_no_other(kernel):
    with pytest.raises(RuntimeError, match="backend"):
        attend(normal(1, 2, 5, 8), normal(1, 1, 5, 8), normal(1, 1, 5, 8), kernel)


def test_this_machine_takes_onednn_without_gradients_alone():
    x, weight = normal(3, 7), normal(11, 7).requires_grad_()
    assert not products._has_onednn(x, weight)
    with torch.no_grad():
        assert products._has_onednn(x, weight)
        assert not products._has_onednn(x.half(), weight.half())
        assert not products._has_onednn(x.to("meta"), weight.to("meta"))


def test_gradients_reach_what_a_product_is_made_of():
    x, weight = normal(3, 7).requires_grad_(), normal(11, 7).requires_grad_()
    linear(x, weight).sum().backward()
    torch.testing.assert_close(weight.grad, x.detach().sum(0).expand(11, -1))
    q = normal(1, 2, 5, 8).requires_grad_()
    attend(q, normal(1, 1, 5, 8, seed=1), normal(1, 1, 5, 8, seed=2)).sum().backward()
    assert q.grad is not None and q.grad.abs().sum() > 0


@pytest.mark.parametrize("num_rows", [1, 512, 513, 2000])
def test_rows_in_blocks_are_the_rows_at_once(num_rows):
    x = normal(2, num_rows, 3)
    with torch.no_grad():
        assert torch.equal(by_rows(lambda rows: rows * 2 + 1, x), x * 2 + 1)
