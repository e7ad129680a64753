"""The bench of a GPU runs where there is none, and a row that breaks costs that row alone."""

import json
import subprocess
import sys
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
    from gpu_process import Budget, Side

    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, time\n"
        "from gpu_side import serve\n"
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
    from gpu_process import RowError

    with pytest.raises(RowError, match=r"^bad: RuntimeError: out of memory$"):
        side.ask("bad")
    assert side.ask("good", value=[1, 2]) == [1, 2]


def test_a_side_that_ends_is_started_again(side):
    from gpu_process import RowError

    with pytest.raises(RowError, match="ended with 3"):
        side.ask("end")
    assert side.ask("good", value=4) == 4


def test_a_side_that_is_silent_is_left_when_the_time_is_over(side, benchmarks):
    from gpu_process import Budget, RowError

    assert side.ask("good", value=1) == 1
    side._budget = Budget(0)
    with pytest.raises(RowError, match="no answer in time"):
        side.ask("hang")


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


def test_the_table_says_which_goals_are_met(benchmarks):
    from gpu_tables import tables

    def runs(seconds, peak_bytes):
        return [{"step": 25, "seconds": seconds, "peak_bytes": peak_bytes, "changed": 0.25}]

    step = {"median_s": {"ours": 1.0, "published": 1.2}, "apart": 0.004, "published_error": None}
    step["runs"] = {"ours": runs(1.0, 9e9), "published": runs(1.2, 30e9)}
    about = {"row": "step", "size": "1.7B", "variant": "eager", "attention": "cudnn", "minimum_flops": 700e12}
    rows = [{"row": "ceilings", "found": {"copy_bytes_per_s": 3e12, "float16_flops_per_s": 800e12}}]
    rows.append({**about, "found": step})
    said = tables({"began": "now", "commit": "c", "published_commit": "p", "rows": rows})
    row = next(line for line in said.splitlines() if line.startswith("| eager"))
    # 700 TFLOP at 800 TFLOP/s are 0.875 s; 9 of 30 GB are 0.3.
    for cell in ("1.20 met", "0.88 met", "9.00 missed", "0.30 of 30.0 GB met", "4.0e-03", "25.00% / 25.00%"):
        assert f"| {cell} " in row


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
    assert "eager" in tables and "Where a step of ours" in tables


def run_bench(out, *options):
    subprocess.run(
        [sys.executable, BENCHMARKS / "bench_gpu.py", "--device", "cpu", "--sizes", "small", "--out", out, *options],
        check=True,
        capture_output=True,
        env={"PYTHONPATH": str(BENCHMARKS.parent), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )
    return json.loads((out / "gpu.json").read_text()), (out / "gpu.md").read_text()
