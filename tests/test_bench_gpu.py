"""The bench of a GPU runs where there is none, and a row that breaks costs that row alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

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
