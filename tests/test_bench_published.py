"""The bench beside the published implementation runs with our side alone, and refuses sides that do other work."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_vs_published

    return bench_vs_published


class Recorded:
    """A side that has its logits already."""

    def __init__(self, logits):
        self.logits = np.array(logits, dtype=np.float32)

    def ask(self, what, file):
        np.save(file, self.logits)


def test_sides_whose_logits_differ_are_refused(bench, tmp_path):
    ours, near, far = (Recorded([[[1.0, 2.0]], [[3.0, 4.0 + by]]]) for by in (0, 5e-6, 2e-5))
    assert bench._logits_apart({"ours": ours, "published": near}, tmp_path) == pytest.approx(5e-6, rel=0.1)
    with pytest.raises(bench.OptionError, match="apart"):
        bench._logits_apart({"ours": ours, "published": far}, tmp_path)


def test_our_side_alone_is_timed(tmp_path):
    subprocess.run(
        [sys.executable, BENCHMARKS / "bench_vs_published.py", "--case", "small", "--rounds", "1", "--out", tmp_path],
        check=True,
        capture_output=True,
        env={"PYTHONPATH": str(BENCHMARKS.parent), "PATH": "/usr/bin:/bin"},
    )
    case = json.loads((tmp_path / "published.json").read_text())["cases"]["small"]
    (run,) = case["runs"]["ours"]
    assert run["seconds"] > 0 and run["peak_bytes"] > 0
    assert "small" in (tmp_path / "published.md").read_text()
