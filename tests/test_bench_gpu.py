"""The bench of a GPU runs where there is none, and a row that breaks costs that row alone."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType

from ursa_ray.checkpoint.released import RELEASED
from ursa_ray.model.fsq import FiniteScalarQuantizer
from ursa_ray.plan.cost import forward_flops

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def side(benchmarks, tmp_path):
    """A side that answers, raises, ends, or is silent."""
    from gpu_process import Side
    from gpu_record import Budget

    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, time\n"
        "from side import serve\n"
        "class Fake:\n"
        "    def __init__(self, device): self.device = device\n"
        "    def good(self, value): print('noise'); return value\n"
        "    def bad(self): raise RuntimeError('out of memory\\nand more')\n"
        "    def end(self): os._exit(3)\n"
        "    def hang(self): time.sleep(60)\n"
        "serve(Fake)\n"
    )
    with (tmp_path / "log").open("w") as log:
        side = Side(sys.executable, str(script), [BENCHMARKS], "cpu", Budget(20), log)
        yield side
        side.close()


def test_what_a_side_raises_is_told_in_one_line_and_it_goes_on(side):
    from gpu_record import RowError

    with pytest.raises(RowError, match=r"^bad: RuntimeError: out of memory$"):
        side.ask("bad")
    assert side.ask("good", value=[1, 2]) == [1, 2]


def test_a_side_that_ends_is_started_again(side):
    from gpu_record import RowError

    with pytest.raises(RowError, match="ended with 3"):
        side.ask("end")
    assert side.ask("good", value=4) == 4


def test_a_side_that_is_silent_is_left_when_the_time_is_over(side, benchmarks):
    from gpu_record import Budget, RowError

    assert side.ask("good", value=1) == 1
    side._budget = Budget(0)
    with pytest.raises(RowError, match="no answer in 1 s"):
        side.ask("hang")


def test_one_silent_answer_does_not_take_the_time_of_those_after_it(side):
    from gpu_record import RowError

    assert side.ask("good", value=1) == 1
    with pytest.raises(RowError, match="hang: no answer in 1 s"):
        side.ask("hang", limit_s=1)
    assert side.ask("good", value=5) == 5
    assert side._budget.left_s > 5


@pytest.mark.parametrize(("name", "tflop"), [("1.7B", 706), ("0.6B", 572)])
def test_the_least_work_of_a_step_is_that_of_the_table_of_goals(benchmarks, name, tflop):
    from gpu_sizes import SIZES

    size = SIZES[name]
    assert size.minimum_flops / 1e12 == pytest.approx(tflop, rel=0.002)
    # Two branches as a plan counts them, the head once, and at most one layer's attention less.
    config = RELEASED[f"BAAI/URSA-{name}-FSQ320"].transformer
    counted = 2 * forward_flops(config, 33_601) + 2.0 * 33_280 * config.hidden_size * 64_000
    assert counted - size.attention_flops / 2 < size.minimum_flops < counted


def test_the_codebook_of_both_sides_is_that_of_the_quantizer(benchmarks):
    from gpu_side import codebook

    levels = (8, 8, 8, 5, 5, 5)
    assert torch.equal(codebook(list(levels), torch.device("cpu")), FiniteScalarQuantizer(levels).codebook())


class Event:
    """As the profiler's: an operator with the kernels that it launched, or a kernel."""

    def __init__(self, name, parent=None, kernels=(), us=None, is_range=False):
        self.name, self.cpu_parent, self.is_user_annotation = name, parent, is_range
        self.device_type = DeviceType.CPU if us is None else DeviceType.CUDA
        self.kernels = [SimpleNamespace(name=kernel, duration=duration) for kernel, duration in kernels]
        self.time_range = SimpleNamespace(elapsed_us=lambda: us)


def test_time_of_the_device_goes_to_the_part_that_launched_it_and_ranges_are_no_kernels(benchmarks):
    from gpu_side import summed

    sampler = Event("sampler", kernels=[("sampler", 9000.0)])
    network = Event("network", sampler, kernels=[("network", 7000.0)])
    region = Event(
        "Torch-Compiled Region: 0/0", network, [("triton_red_fused", 1000.0), ("Torch-Compiled Region", 1.0)]
    )
    region.kernels[1].name = region.name
    launched = [
        Event("aten::mm", region, [("nvjet_hsh_128x256", 2000.0)]),
        Event("aten::_cudnn_attention_forward", region, [("cudnn_generated_sdpa_sm90", 3000.0)]),
        Event("aten::mm", Event("head", sampler), [("nvjet_hsh_128x256", 500.0)]),
        Event("aten::cumsum", sampler, [("scan", 250.0)]),
    ]
    spans = [("triton_red_fused", 1000.0), ("nvjet_hsh_128x256", 2000.0), ("cudnn_generated_sdpa_sm90", 3000.0)]
    kernels = [
        Event(name, us=us) for name, us in [*spans, ("nvjet_hsh_128x256", 500.0), ("scan", 250.0), ("lost", 50.0)]
    ]
    ranges = [Event("network", us=7000.0, is_range=True), Event("compiled", us=6000.0, is_range=True)]
    found = summed([sampler, network, region, *launched, *kernels, *ranges], on_cuda=True)
    assert found["device_ms"] == pytest.approx(6.8)
    assert found["parts"] == pytest.approx(
        {"attention": 3, "linear": 2, "element-wise": 1, "head": 0.5, "sampler": 0.25, "of unknown parts": 0.05}
    )
    assert found["kernels"][0] == {"name": "cudnn_generated_sdpa_sm90", "ms": 3.0, "calls": 1}
    assert found["kernels"][1] == {"name": "nvjet_hsh_128x256", "ms": 2.5, "calls": 2}


def tables_of(card):
    """Of one step and one segment of the larger model, measured on `card`."""
    from gpu_tables import tables

    def runs(seconds, peak_bytes):
        return [{"step": 25, "seconds": seconds, "peak_bytes": peak_bytes, "changed": 0.25}]

    step = {"median_s": {"ours": 1.0, "published": 1.2}, "apart": 0.004, "note": None}
    step["runs"] = {"ours": runs(1.0, 9e9), "published": runs(1.2, 30e9)}
    segment = {"whole": True, "steps_s": 48.0, "by_step_s": [0.96] * 50, "building_s": 2.0}
    segment |= {"first_s": {"1": 2.0, "49": 1.9}, "peak_bytes": 7e9}
    about = {"size": "1.7B", "variant": "eager", "attention": "cudnn", "minimum_flops": 700e12}
    rows = [{"row": "machine", "side": "ours", "found": {"device": card}}]
    rows.append({"row": "machine", "side": "published", "found": {"device": card, "flash_attn": None}})
    rows.append({"row": "ceilings", "found": {"copy_bytes_per_s": 3e12, "float16_flops_per_s": 800e12}})
    rows += [{"row": "step", **about, "found": step}, {"row": "segment", **about, "found": segment}]
    return tables({"began": "now", "commit": "c", "published_commit": "p", "rows": rows})


def test_the_table_says_which_goals_are_met(benchmarks):
    said = tables_of("NVIDIA H200")
    row = next(line for line in said.splitlines() if line.startswith("| eager"))
    # 700 TFLOP at 800 TFLOP/s are 0.875 s, at the 989 of the data sheet 0.708; 9 of 30 GB are 0.3.
    for cell in ("1.20 met", "0.88 met", "0.71", "9.00 missed", "0.30 of 30.0 GB met", "4.0e-03", "25.00% / 25.00%"):
        assert f"| {cell} " in row
    # 50 published steps of 1.2 s are 60 s, ours are 48 or, with what is built once, 50.
    assert "| times (goal 1.17) | 1.25 met |" in said
    assert "| times, of a process's first | 1.20 |" in said
    assert "published is without flash-attn" in said


def test_figures_of_another_card_are_not_judged_by_the_goals_of_the_h200(benchmarks):
    said = tables_of("NVIDIA H100 80GB HBM3")
    assert "Steps on NVIDIA H100 80GB HBM3" in said and "goals are of 1.7B on an NVIDIA H200" in said
    assert not any(word in said for word in ("met", "missed", "goal 1.1"))
    # By its data sheet 3.35 TB/s.
    assert "| copy bytes | 3.00 TB/s | 3.35 |" in said


@pytest.fixture
def ours(benchmarks):
    from gpu_ours import OurSide
    from gpu_sizes import SMALL

    side = OurSide("cpu")
    return lambda **how: side.load(SMALL.as_dict(), draws="torch", **how) and side


def test_steps_are_of_a_kind_if_they_have_the_same_branches_and_rows(ours):
    side, num_tokens = ours(), 3 * 8 * 8
    # With shift 3 and trunc 0.9, t is 0.889 in step 48 and 0.942 in step 49, which scores all tokens.
    assert side.kind(48)[0] == 7.0 and side.kind(49) == (1.0, num_tokens)
    assert side.kind(0) == ()
    kinds = {side.kind(step) for step in range(50)}
    assert len(kinds) <= 18 and all(kind[1] % (num_tokens // 16) == 0 for kind in kinds if kind)


def test_no_step_of_a_segment_is_the_first_of_its_kind_within_its_time(ours, monkeypatch):
    from ursa_ray.model.guidance import Denoiser

    side, hidden, kinds = ours(), Denoiser.hidden, list[tuple[float, int]]()

    def seen(denoiser, codes, t, scored):
        kinds.append((denoiser.guidance.at(t), len(scored)))
        time.sleep(0.1 if kinds.count(kinds[-1]) == 1 else 0)  # as long as a kernel takes to build
        return hidden(denoiser, codes, t, scored)

    monkeypatch.setattr(Denoiser, "hidden", seen)
    found = side.segment(whole=True)
    before, within = kinds[: len(found["first_s"])], kinds[len(found["first_s"]) :]
    assert len(within) == 49 and len(found["by_step_s"]) == 50
    assert set(within) == set(before) and len(before) == len(set(before))
    assert all(seconds > 0.1 for seconds in found["first_s"].values())


def test_attention_is_measured_as_queries_keys_and_values_of_the_model_lie_in_memory(ours, monkeypatch):
    from gpu_sizes import SMALL

    from ursa_ray.model import transformer

    seen, attend = [], transformer.attend
    monkeypatch.setattr(transformer, "attend", lambda q, *more: seen.append([q, *more[:2]]) or attend(q, *more))
    ours()._one(25)
    about = {"size": SMALL.as_dict(), "dtype": "float32", "backend": "default", "grouped": True}
    found = ours().attention(**about)
    assert found["strides"] == [list(x.stride()) for x in seen[0]]
    assert found["relative_error"] < 1e-5


def test_attention_whose_last_rows_are_wrong_is_found_out(benchmarks, monkeypatch):
    import gpu_machine

    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 97, 16, generator=generator) for _ in range(3))
    attend = gpu_machine.scaled_dot_product_attention

    def wrong(*tensors, **options):
        attended = attend(*tensors, **options)
        attended[:, :, -1] = 0
        return attended

    assert gpu_machine.attention(q, k, v, "default", True, q.device)["relative_error"] < 1e-5
    monkeypatch.setattr(gpu_machine, "scaled_dot_product_attention", wrong)
    assert gpu_machine.attention(q, k, v, "default", True, q.device)["relative_error"] > 0.05


class Answering:
    """A side whose `logits` fail and end it."""

    def __init__(self, logits):
        self.logits, self.is_loaded, self.asked = logits, False, []

    def load(self, **_):
        loaded, self.is_loaded = not self.is_loaded, True
        return {"backends": "none"} if loaded else None

    def ask(self, what, **_):
        from gpu_record import RowError

        self.asked.append(what)
        if what == "logits" and self.logits == "end":
            self.is_loaded = False
            raise RowError("logits: the process ended with 1")
        assert self.is_loaded
        return {"seconds": 1.0, "peak_bytes": None, "changed": 0.0}


@pytest.mark.parametrize("breaks", ["ours", "published"])
def test_steps_are_measured_though_logits_are_not_to_be_had(benchmarks, tmp_path, breaks):
    from bench_gpu import Bench
    from gpu_sizes import SMALL

    bench = object.__new__(Bench)
    bench.out, bench.sides = tmp_path, {}
    for name in ("ours", "published"):
        bench.sides[name] = Answering("end" if name == breaks else "write nothing")
    found = bench.steps(SMALL, "eager", "default")
    assert found["apart"] is None and "logits" in found["note"]
    assert found["median_s"] == {"ours": 1.0, "published": 1.0}


def test_what_there_is_no_time_for_is_skipped_and_the_rest_is_written(tmp_path):
    content, tables = run_bench(tmp_path, "--minutes", "0.02")
    assert all("skipped" in row for row in content["rows"])
    assert "Not measured" in tables


def test_a_run_without_a_gpu_measures_steps_their_parts_and_a_segment(tmp_path):
    content, tables = run_bench(tmp_path, "--variants", "eager;fused, triton draws")
    found = {row["row"]: row["found"] for row in content["rows"] if "found" in row}
    (refused,) = [row for row in content["rows"] if row["row"] == "step" and "error" in row]
    assert "triton" in refused["error"]
    assert {run["step"] for run in found["step"]["runs"]["ours"]} == {8, 25, 41}
    assert found["parts"]["parts"]["sampler"] > 0
    assert found["decode"]["frames"] == [9, 64, 64, 3]
    assert len(found["segment"]["by_step_s"]) == 50 and found["segment"]["by_step_s"][0] < min(
        found["segment"]["by_step_s"][1:]
    )
    assert found["files"]["bytes"] > 0
    names = [row["row"] for row in content["rows"]]
    assert names.index("segment") < names.index("parts")
    assert "eager" in tables and "Where a step of ours" in tables


@pytest.mark.slow  # half a minute
def test_no_step_of_a_segment_is_compiled_within_its_time(tmp_path):
    content, _ = run_bench(tmp_path, "--variants", "fused, compiled")
    (found,) = [row["found"] for row in content["rows"] if row["row"] == "segment"]
    assert found["by_step_s"][49] <= 5 * statistics.median(found["by_step_s"])
    # The last step has one branch, which is compiled for itself.
    assert found["first_s"]["49"] > 5 * found["by_step_s"][49]


def run_bench(out, *options):
    subprocess.run(
        [sys.executable, BENCHMARKS / "bench_gpu.py", "--device", "cpu", "--sizes", "small", "--out", out, *options],
        check=True,
        capture_output=True,
        env={"PYTHONPATH": str(BENCHMARKS.parent), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )
    return json.loads((out / "gpu.json").read_text()), (out / "gpu.md").read_text()
