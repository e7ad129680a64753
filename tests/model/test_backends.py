"""Backends are chosen once, by trying them, and no other than the chosen one computes."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.model.networks import hidden, network
from ursa_ray.checkpoint.config import TransformerConfig
from ursa_ray.cli.options import Attention, Draws, Dtype
from ursa_ray.errors import OptionError
from ursa_ray.model import Ursa, backends, draws, transformer
from ursa_ray.model.backends import ATTENTION, MATH, Backends, choose_backends
from ursa_ray.model.devices import DTYPES, choose_dtype
from ursa_ray.model.products import attend

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
RELEASED = TransformerConfig()


def compiled(*words):
    command = [sys.executable, "-m", "tests.model.compiled", "cpu", *words]
    return json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)


@pytest.fixture(name="small", scope="module")
def small_network():
    return network()


@pytest.mark.parametrize(("dtype", "kernel"), [("float32", "onednn"), ("bfloat16", "flash"), ("float16", "flash")])
def test_a_cpu_computes_with_the_first_kernel_that_works_and_says_so(dtype, kernel, caplog):
    caplog.set_level(logging.INFO)
    assert choose_backends(RELEASED, CPU, DTYPES[dtype]) == Backends(kernel, "torch")
    assert f"{kernel} attention, torch draws" in caplog.text


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"attention": "fast"}, "attention is 'fast', expected onednn, flash, math on cpu"),
        ({"attention": "cudnn"}, "attention is 'cudnn', expected onednn, flash, math on cpu"),
    ],
)
def test_a_backend_that_a_device_lacks_is_refused_with_those_that_it_has(wish, message):
    with pytest.raises(OptionError, match=message):
        choose_backends(RELEASED, CPU, torch.float32, **wish)


def test_a_kernel_that_is_asked_for_but_cannot_compute_is_refused_and_not_replaced():
    with pytest.raises(OptionError, match=r"'onednn', which does not work on cpu in torch.float16.*float32, on a CPU"):
        choose_backends(RELEASED, CPU, torch.float16, attention="onednn")


def test_where_no_kernel_works_the_error_tells_why_each_was_refused_and_what_math_would_take(monkeypatch):
    monkeypatch.setitem(ATTENTION, "cpu", ("cudnn", "efficient"))
    with pytest.raises(OptionError) as caught:
        choose_backends(RELEASED, CPU, torch.float16)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines[1:3]] == ["  cudnn", "  efficient"]
    assert all("backend" in line for line in lines[1:3])  # torch's own words
    assert "takes 72 GB for the scores of 33,601 positions" in lines[-1]


def test_math_computes_only_if_it_is_asked_for_and_a_model_tells_its_memory(caplog, monkeypatch):
    assert Ursa.from_pretrained("tiny", device="cpu", attention=MATH).backends.attention == MATH
    assert "The attention math takes 36 GB for the scores of 33,601 positions" in caplog.text
    monkeypatch.setitem(ATTENTION, "cpu", ())
    with pytest.raises(OptionError):
        choose_backends(RELEASED, CPU, torch.float16)
    assert choose_backends(RELEASED, CPU, torch.float16, attention=MATH).attention == MATH


@pytest.mark.parametrize(
    "wrong",
    [
        lambda q, k, v: v.mean(2, keepdim=True).repeat_interleave(2, 1).expand_as(q),  # whatever the scores are
        lambda q, k, v: attend(q, k.roll(1, 1), v.roll(1, 1), "math"),  # of other heads
        lambda q, k, v: attend(q, k[:, :, :64], v[:, :, :64], "math"),  # without the one that fills no block
    ],
    ids=["evenly", "other heads", "without the last"],
)
def test_a_kernel_with_wrong_results_is_not_taken(wrong, monkeypatch):
    def attend_wrongly(q, k, v, kernel):
        return wrong(q, k, v) if kernel == "onednn" else attend(q, k, v, kernel)

    monkeypatch.setattr(backends, "attend", attend_wrongly)
    assert choose_backends(RELEASED, CPU, torch.float32).attention == "flash"


@pytest.mark.parametrize("scored", [None, torch.tensor([3, 4, 29])])
@pytest.mark.parametrize("chosen", [Backends("flash"), Backends("math"), Backends("onednn", fused=True)], ids=str)
def test_hidden_rows_are_the_same_whatever_computes_them(small, chosen, scored):
    expected = hidden(small, Backends("onednn"), scored=scored)
    torch.testing.assert_close(hidden(small, chosen, scored=scored), expected, atol=1e-5, rtol=0)


def test_fused_products_leave_names_and_values_of_weights_and_take_no_memory_of_their_own():
    small = network()
    before = {name: weight.clone() for name, weight in small.state_dict().items()}
    hidden(small, Backends("onednn", fused=True))
    after = small.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(weight, before[name]) for name, weight in after.items())
    attention = small.model.layers[0].self_attn
    kept = {layer.weight.untyped_storage().data_ptr() for layer in (attention.q_proj, attention.k_proj)}
    assert kept == {attention.fused.untyped_storage().data_ptr()}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("words", [("onednn", "plain"), ("flash", "fused")])
def test_compiled_blocks_give_the_same_rows_in_either_number_of_branches(words):
    found = compiled(*words, "inductor")
    assert max(found["differences"]) < 1e-5
    assert found["breaks"] == []


# Queries, keys, values, o; gate, up, down. Those in the same bracket are one: (q, k, v), o, (gate, up), down.
@pytest.mark.parametrize(("fused", "num_products"), [("plain", 7), ("fused", 4)])
def test_a_compiled_block_has_as_many_products_as_an_eager_one(fused, num_products):
    assert compiled("flash", fused, "traced")["num_products"] == [num_products] * 2  # in either number of branches


def test_every_size_is_compiled_or_refused_and_none_goes_on_eagerly(monkeypatch):
    def counted(graph, _):
        sizes.append(graph)
        return graph

    compile_with, sizes = torch.compile, []
    monkeypatch.setattr(
        torch, "compile", lambda function, *, dynamic, options: compile_with(function, backend=counted, dynamic=dynamic)
    )
    monkeypatch.setattr(transformer, "MAX_COMPILED", 12)
    for name in ("recompile_limit", "fail_on_recompile_limit_hit"):  # torch's, as they are now afterwards
        monkeypatch.setattr(torch._dynamo.config, name, getattr(torch._dynamo.config, name))
    double = transformer.compiled(lambda x: x + x)
    for size in range(2, 14):
        double(torch.ones(size))
    assert len(sizes) == 12
    with pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit):
        double(torch.ones(20))


def test_names_on_the_command_line_are_those_of_the_model():
    assert {*Attention} == {MATH, *(kernel for kernels in ATTENTION.values() for kernel in kernels)}
    assert {*Dtype} == DTYPES.keys()
    assert {*Draws} == {*draws.NAMES}


def test_a_dtype_may_be_given_by_its_name_and_depends_else_on_the_device():
    assert choose_dtype(CPU, "bfloat16") == torch.bfloat16
    assert choose_dtype(CPU, None) == torch.float32
    assert choose_dtype(torch.device("cuda"), None) == torch.float16
    with pytest.raises(OptionError, match="dtype is 'int8', expected float16, bfloat16, float32"):
        choose_dtype(CPU, "int8")
