"""The bench of savings takes each of them away, from the code as it is now, without another result."""

from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
STEPS = (0, 25, 48)


@pytest.fixture
def side(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from our_side import OurSide
    from published_cases import Case, write_case

    threads = torch.get_num_threads()
    write_case(Case("least", 256, 2, (4, 4, 4), (2, 4, 4), 3, STEPS), tmp_path)
    yield OurSide(str(tmp_path))
    torch.set_num_threads(threads)


def test_without_any_saving_the_codes_are_the_same(side):
    import bench_savings

    for seed in range(3):
        codes = {}
        for name, without in bench_savings.WITHOUT.items():
            with without():
                codes[name] = side.codes_after(list(STEPS), seed)
        assert not torch.equal(codes["nothing"], side.codes)
        assert [name for name in codes if not torch.equal(codes[name], codes["nothing"])] == []


def test_every_saving_is_timed(side):
    import bench_savings
    from published_cases import Case

    case = Case("least", 256, 1, (4, 4, 4), (2, 4, 4), 3, STEPS)
    runs = bench_savings.measure(case, 2, list(bench_savings.WITHOUT))
    assert all(len(times) == 2 and min(times) > 0 for times in runs.values())
