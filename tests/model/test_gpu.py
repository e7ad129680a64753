"""What only a GPU can show: every attention kernel there, what is chosen, and a generation as a whole."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.model.networks import hidden, network
from tests.model.test_backends import RELEASED, ROOT
from tests.model.test_products import attention, normal
from ursa_ray.errors import OptionError
from ursa_ray.model import Ursa
from ursa_ray.model.backends import ATTENTION, Backends, choose_backends
from ursa_ray.model.products import attend

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]

CUDA = torch.device("cuda")


def works(kernel, dtype):
    try:
        return choose_backends(RELEASED, CUDA, dtype, attention=kernel).attention == kernel
    except OptionError:
        return False


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kernel", ATTENTION["cuda"])
def test_every_kernel_that_works_here_gives_the_attention_of_the_formula(kernel, dtype):
    if not works(kernel, dtype):
        pytest.skip(f"this GPU or torch has no {kernel} attention")
    q, k, v = (x.to(dtype) for x in (normal(2, 4, 1100, 128), normal(2, 2, 301, 128, seed=1), normal(2, 2, 301, 128)))
    expected = attention(q.float(), k.float(), v.float())
    found = attend(q.cuda(), k.cuda(), v.cuda(), kernel).float().cpu()
    # Weights and results are rounded once each; the largest result is about 1.
    torch.testing.assert_close(found, expected, atol=2 * torch.finfo(dtype).eps, rtol=0)


def test_one_of_the_fused_kernels_is_chosen_in_half_precision_and_single():
    for dtype in (torch.float16, torch.float32):
        assert choose_backends(RELEASED, CUDA, dtype).attention in ATTENTION["cuda"]


def test_cudnn_is_refused_where_it_could_not_be_deterministic():
    if not works("cudnn", torch.float16):
        pytest.skip("this GPU or torch has no cudnn attention")
    torch.use_deterministic_algorithms(True)
    try:
        assert choose_backends(RELEASED, CUDA, torch.float16).attention != "cudnn"
        with pytest.raises(OptionError, match="'cudnn', which does not work"):
            choose_backends(RELEASED, CUDA, torch.float16, attention="cudnn")
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_gpu_generates_resumes_and_decodes_as_a_cpu_does():
    here, there = (Ursa.from_pretrained("tiny", device, torch.float32) for device in ("cpu", "cuda"))
    arguments = {"prompt": "a red square moves to the right", "num_inference_steps": 6, "seed": 3}
    expected, steps = here.generate(**arguments), list(there.generate_steps(**arguments))
    codes = steps[-1][1]
    # Rounding flips a token once in millions, and then some of those that see it.
    assert (codes.cpu() != expected).float().mean() < 0.1
    *_, (_, resumed) = there.generate_steps(**arguments, resume=steps[2])
    assert torch.equal(resumed, codes)
    found, frames = there.decode(expected), here.decode(expected)
    assert found.flags.c_contiguous and found.shape == frames.shape
    # Convolutions may be computed in TF32, which has 10 bits.
    assert np.abs(found.astype(int) - frames).mean() < 0.5
    assert there.encode(frames).shape == expected.shape


def test_a_fused_network_gives_the_rows_of_a_plain_one():
    small = network("cuda")
    expected = hidden(small, Backends("efficient"))
    torch.testing.assert_close(hidden(small, Backends("efficient", fused=True)), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("fused", ["plain", "fused"])
def test_a_compiled_network_gives_the_rows_of_an_eager_one(fused):
    command = [sys.executable, "-m", "tests.model.compiled", "cuda", "efficient", fused, "inductor"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)
    assert max(found["differences"]) < 1e-4
    assert found["breaks"] == []
